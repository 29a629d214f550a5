"""Measure the accuracy of engines on labeled images, and what each engine retains of the first."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgepose._files import write_json
from edgepose._options import option
from edgepose._outputs import refuse_existing
from edgepose._progress import Note, Track, quiet, silent
from edgepose.errors import UsageError

if TYPE_CHECKING:
    from edgepose.artifacts.manifest import Manifest
    from edgepose.backends.session import OpenOptions
    from edgepose.datasets.samples import PoseData
    from edgepose.measure.predictions import Detected, Predictions
    from edgepose.measure.results import Evaluation


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """How to measure accuracy.

    Attributes:
        detector: A boxes file (.json), a person detector (ONNX file, folder or engine) or "whole"; without it the
            boxes are the labels'.
        flip_test: Whether to average with the mirrored crop.
        n_boot: Number of bootstrap draws of the confidence intervals.
        threads: CPU threads of inference and of cropping; 0 chooses.
    """

    detector: str | None = option(
        None, "--detector", "Find people with a detector, as papers measure AP; by default boxes are the labels'.",
        metavar="BOXES.json|DETECTOR|whole",
    )  # fmt: skip
    flip_test: bool = option(False, "--flip-test", "Average with the mirrored crop: twice the work, more accurate.")
    n_boot: int = option(1000, "--n-boot", "Bootstrap draws of the confidence intervals.", min=100)
    threads: int = option(0, "--threads", "CPU threads of inference and of cropping; 0 chooses.", min=0)


def evaluate(
    engines: str | Path | Sequence[str | Path],
    *,
    data: str,
    options: EvaluateOptions = EvaluateOptions(),
    out: str | Path | None = None,
    overwrite: bool = False,
    track: Track = quiet,
    note: Note = silent,
) -> Evaluation:
    """Measure engines by every metric that the labels allow; retention is relative to the first engine.

    Args:
        engines: An engine folder, a zoo name or an ONNX file, or several of them.
        data: Labeled images as KIND:PATH[:SPLIT].
        options: Detector, flip test, confidence intervals and threads.
        out: The JSON file to write; without it nothing is written.
        overwrite: Whether to replace `out`.
        track: Shows the progress.
        note: Receives lines about builds, and about labels that look wrong.

    Returns:
        Every metric of every engine, with confidence intervals.

    Raises:
        EngineError: An engine is damaged or was made for another machine.
        UsageError: There is no engine, `out` exists, or a network that finds people by itself is given a detector or
            compared with one that needs boxes.
        DataError: The data cannot be read, or nothing can be measured on it.

    Examples:
        >>> result = evaluate(["engines/openvino-fp32", "engines/openvino-int8"], data="lsp:LSP:test")
        >>> result.engines[1].retention["pck@0.2"]
    """
    from edgepose.api.cache import engine_folders
    from edgepose.artifacts.manifest import read_manifest
    from edgepose.backends.session import OpenOptions
    from edgepose.datasets.doubts import note_doubts
    from edgepose.datasets.open import open_data
    from edgepose.measure import accuracy

    if out is not None:
        several = [engines] if isinstance(engines, (str, Path)) else engines
        refuse_existing(Path(out), overwrite, [*several, data, options.detector])
    if options.n_boot < 1:
        raise UsageError(f"n_boot = {options.n_boot}; expected 1 draw or more")
    opening = OpenOptions(threads=options.threads)
    folders = engine_folders(engines, track=track, note=note)
    _refuse(folders, [read_manifest(path) for path in folders], options, data)  # before minutes of work on the first
    opened = open_data(data)
    note_doubts(opened, note)
    found = [_predict(path, options, opened, opening, track, note) for path in folders]
    result = accuracy.evaluate(found, opened, n_boot=options.n_boot, flip_test=options.flip_test, track=track)
    if out is not None:
        write_json(Path(out), result.to_json())
    return result


def _refuse(folders: Sequence[Path], manifests: Sequence[Manifest], options: EvaluateOptions, data: str) -> None:
    """Raise UsageError for a detector where networks need none, and for networks that cannot be compared."""
    detectors = [path for path, found in zip(folders, manifests, strict=True) if not len(found.spec.skeleton)]
    if detectors and len(detectors) < len(manifests):
        raise UsageError(
            f"{detectors[0]} is a person detector, of which boxes are measured, and the other engines find joints; "
            f"measure them in separate runs, or a pose network on the detector's boxes: "
            f"edgepose eval POSE_NETWORK --data {data} --detector {detectors[0]}"
        )
    both = zip(folders, manifests, strict=True)
    alone = [(path, found.spec.codec.name) for path, found in both if found.spec.codec.finds_people]
    if not alone:
        return
    first = f"{alone[0][0]} finds people by itself (codec {alone[0][1]!r})"
    if options.detector is not None:
        raise UsageError(f"{first}; leave out --detector")
    if len(alone) < len(manifests):
        raise UsageError(f"{first} and the other engines need boxes; measure them in separate runs")


def _predict(
    path: Path, options: EvaluateOptions, data: PoseData, opened: OpenOptions, track: Track, note: Note
) -> Predictions | Detected:
    """Run one engine on labeled boxes, on those of a detector, or on whole images."""
    from edgepose.backends.engine import open_engine
    from edgepose.measure.boxes import compared_skeleton
    from edgepose.measure.predictions import Engine, evaluated, predict
    from edgepose.runtime.finders import notes_of, open_finder
    from edgepose.runtime.pipeline import open_pipeline

    with contextlib.ExitStack() as stack:
        session, manifest = open_engine(path, opened)
        stack.enter_context(session)
        engine = Engine(
            path=str(path),
            onnx_sha256=manifest.onnx_sha256,
            precision=manifest.precision,
            backend=manifest.backend,
            skeleton=compared_skeleton(manifest.spec.skeleton),
        )
        spec = evaluated(manifest.spec)
        opening = open_pipeline(session, spec, flip_test=options.flip_test, threads=options.threads)
        pipeline = stack.enter_context(opening)
        finder = None if options.detector is None else stack.enter_context(open_finder(options.detector, opened))
        found = predict(pipeline, data, engine, finder=finder, source=options.detector or "", track=track)
        for line in notes_of(finder):
            note(line)
        return found
