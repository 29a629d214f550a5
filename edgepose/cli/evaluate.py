"""`edgepose eval`: every metric the labels allow, per joint, with intervals; retention against the first engine.

A network that finds people by itself (codec paf) gets no boxes, and is measured by AP like one with a detector.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgepose._files import refuse_existing, write_json
from edgepose.cli import options, show
from edgepose.errors import UsageError

if TYPE_CHECKING:
    from edgepose.artifacts.manifest import Manifest
    from edgepose.backends.session import OpenOptions
    from edgepose.datasets.samples import PoseData
    from edgepose.measure.predictions import Detected, Predictions
    from edgepose.measure.results import Evaluation

PRINTED = ("pck@0.2", "pckh@0.5")  # of which papers print a row; those of the others are in the JSON


@dataclass(frozen=True, kw_only=True)
class EvalRequest:
    """What to measure on what. detector: None for boxes from the labels, a boxes .json, or a YOLOX .onnx."""

    engines: Sequence[Path]
    data: str
    detector: str | None = None
    threads: int = 0
    flip_test: bool = False
    n_boot: int = 1000


def evaluate_engines(request: EvalRequest) -> Evaluation:
    """Measure several engines on one data set."""
    from edgepose.artifacts.manifest import read_manifest
    from edgepose.backends.session import OpenOptions
    from edgepose.datasets.open import open_data
    from edgepose.measure.accuracy import evaluate

    _refuse(request, [read_manifest(path) for path in request.engines])  # before the first one works for minutes
    data = open_data(request.data)
    opened = OpenOptions(threads=request.threads)
    found = [_predict(path, request, data, opened) for path in request.engines]
    return evaluate(found, data, n_boot=request.n_boot, flip_test=request.flip_test, track=show.track)


def _refuse(request: EvalRequest, manifests: Sequence[Manifest]) -> None:
    """UsageError where networks that find people themselves are given a detector, or others to be compared with."""
    given = zip(request.engines, manifests, strict=True)
    alone = [(path, found.spec.codec.name) for path, found in given if found.spec.codec.finds_people]
    if not alone:
        return
    first = f"{alone[0][0]} finds people by itself (codec {alone[0][1]!r})"
    if request.detector is not None:
        raise UsageError(f"{first}; leave out --detector")
    if len(alone) < len(manifests):
        raise UsageError(f"{first} and the other engines look into boxes; measure them apart")


def _predict(path: Path, request: EvalRequest, data: PoseData, opened: OpenOptions) -> Predictions | Detected:
    """The predictions of one engine: on labeled boxes, on those of a detector, or on whole images."""
    from edgepose.backends.engine import open_engine
    from edgepose.measure.predictions import Engine, predict
    from edgepose.runtime.finders import open_finder
    from edgepose.runtime.pipeline import open_pipeline

    with contextlib.ExitStack() as stack:
        session, manifest = open_engine(path, opened)
        stack.enter_context(session)
        engine = Engine(
            path=str(path),
            onnx_sha256=manifest.onnx_sha256,
            precision=manifest.precision,
            backend=manifest.backend,
            skeleton=manifest.spec.skeleton,
        )
        opening = open_pipeline(session, manifest.spec, flip_test=request.flip_test, threads=request.threads)
        pipeline = stack.enter_context(opening)
        finder = None if request.detector is None else stack.enter_context(open_finder(request.detector, opened))
        return predict(pipeline, data, engine, finder=finder, source=request.detector or "", track=show.track)


def print_accuracy(result: Evaluation) -> None:
    """Print the table, the joints of the first metric, the rows that papers print, and what was not measured."""
    from edgepose.report import tables

    first = result.engines[0]
    click.echo(tables.accuracy_title(result))
    show.table("", *tables.accuracy(result))
    named = tables.shown_by_joint(first)
    if named is not None:
        click.echo("joint by joint, first engine")
        show.table("", *tables.per_joint(first, named))
    for name in PRINTED:
        if name in first.metrics and first.metrics[name].row:
            show.note(f"{name} as papers print it: {tables.row_line(first.metrics[name])}")
    show.note(f"joints compared: {', '.join(first.joints)}")
    for reason, names in tables.skipped(first).items():
        show.note(f"not measured: {', '.join(names)}: {reason}")
    if len(result.engines) > 1:
        show.note(tables.DETECTABLE)


@click.command(name="eval")
@click.argument("engines", nargs=-1, required=True, type=options.ENGINE)
@options.data
@click.option("--detector", metavar="BOXES.json|YOLOX.onnx|whole",
              help="People from a detector, as papers measure AP; without it boxes are the labels'.")  # fmt: skip
@click.option("--json", "json_path", type=options.NEW_FILE, help="Write the numbers here.")
@click.option("--flip-test", is_flag=True, help="Average with the mirrored crop: twice the work, more accurate.")
@click.option("--n-boot", type=click.IntRange(100), default=1000, show_default=True, help="Bootstrap draws.")
@options.threads
@options.overwrite
def command(
    engines: tuple[Path, ...],
    data: str,
    detector: str | None,
    json_path: Path | None,
    flip_test: bool,
    n_boot: int,
    threads: int,
    overwrite: bool,
) -> None:
    """Measure the accuracy of ENGINES on labeled photographs.

    \b
    Boxes are the labels' unless --detector gives others: a list of COCO detections with scores, or a network.
    A network of part affinity fields needs none: it sees whole images, and is measured by AP.
    The column "detectable" is the smallest retention loss that this sample size can detect at 95 % confidence.

    \b
    Examples:
      edgepose eval engines/openvino-fp32 engines/openvino-int8 --data lsp:LSP:test --json eval.json
      edgepose eval engines/openvino-int8 --data coco:COCO:val2017 --detector person_detections.json
    """
    if json_path is not None:
        refuse_existing(json_path, overwrite)
    result = evaluate_engines(
        EvalRequest(engines=engines, data=data, detector=detector, threads=threads, flip_test=flip_test, n_boot=n_boot)
    )
    print_accuracy(result)
    if json_path is not None:
        write_json(json_path, result.to_json())
