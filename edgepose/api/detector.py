"""Open the network of `--detector`: an ONNX file, a folder that one was published in, an engine folder or a zoo name.

A detector is an engine like any other. An ONNX file is built once into the cache folder, as `edgepose.load` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from edgepose.api.cache import EngineChoice, compiled_folder, engine_folder
from edgepose.artifacts.spec import ModelSpec
from edgepose.backends.engine import open_engine
from edgepose.backends.session import OpenOptions
from edgepose.codecs.onestage import OnestageCodec
from edgepose.errors import EngineError, UsageError
from edgepose.runtime.finders import FinderOptions, expected
from edgepose.runtime.finders.network import NetworkFinder
from edgepose.runtime.pipeline import open_pipeline
from edgepose.zoo import ZOO


@contextmanager
def open_finder(text: str, options: OpenOptions) -> Iterator[NetworkFinder]:
    """Open a network that finds people for the length of the block.

    Args:
        text: An ONNX file, the folder that one was published in, an engine folder or a zoo name.
        options: How the session is opened.

    Raises:
        UsageError: There is no such network, it finds joints in the box of one person and no people, it has no such
            classes, or classes are given for an engine.
        SpecError: The ONNX file is of no known family.
        EngineError: The engine is damaged or was made for another machine.
        EdgeposeError: It cannot be built.
    """
    path = Path(text)
    if text not in ZOO and not path.exists() and path.suffix != ".onnx":
        raise UsageError(f"detector {text!r}: {expected()}")
    lines: list[str] = []
    choice = EngineChoice(det_classes=options.classes if isinstance(options, FinderOptions) else ())
    folder = engine_folder(text, choice, note=lines.append)
    cached = folder != path
    compiled = compiled_folder() if cached else None
    options = replace(options, compiled_dir=compiled and compiled / folder.name)
    try:
        session, manifest = open_engine(folder, options)
    except EngineError:
        if not cached:
            raise
        folder = engine_folder(text, choice, rebuild=True, note=lines.append)
        session, manifest = open_engine(folder, options)
    with session:
        spec = manifest.spec
        if not spec.codec.finds_people:
            raise UsageError(
                f"detector {text!r} finds the {len(spec.skeleton)} joints of one person (codec {spec.codec.name!r}), "
                "and no people in an image; give a person detector"
            )
        if isinstance(options, FinderOptions) and options.least_score is not None:
            spec = _from_score(spec, options.least_score, text)
        with open_pipeline(session, spec, threads=options.threads) as pipeline:
            about = [f"detector {path.name}: {line}" for line in lines if line.startswith("contract:")]
            yield NetworkFinder(pipeline, about)


def _from_score(spec: ModelSpec, least_score: float, text: str) -> ModelSpec:
    """Return the contract of a detector that reports people from a score on."""
    if not isinstance(spec.codec, OnestageCodec):
        raise UsageError(f"detector {text!r}: codec {spec.codec.name!r} has no score to choose; leave out --det-score")
    return replace(spec, codec=replace(spec.codec, score_threshold=least_score))
