"""Verbs that measure: `eval`, `bench` and `report`, and the `demo` of everything."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgepose.api.evaluate import EvaluateOptions
from edgepose.cli import flags, options, show

if TYPE_CHECKING:
    from edgepose.measure.results import Evaluation
    from edgepose.measure.timings import BenchResult

PRINTED = ("pck@0.2", "pckh@0.5")  # of which papers print a row; the rows of the others are in the JSON


def print_accuracy(result: "Evaluation") -> None:
    """Print the table, the joints of the first metric, the rows that papers print, and what was not measured."""
    from edgepose.measure.boxes import CORNERS
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
    if first.joints != CORNERS.joints:
        show.note(f"joints compared: {', '.join(first.joints)}")
    for reason, names in tables.skipped(first).items():
        show.note(f"not measured: {', '.join(names)}: {reason}")
    if len(result.engines) > 1:
        show.note(tables.DETECTABLE)


@click.command(name="eval")
@options.engines
@options.data
@flags.flags_of(EvaluateOptions)
@options.json_path
@options.overwrite
def evaluate(engines: tuple[str, ...], data: str, **given: Any) -> None:
    """Measure the accuracy of ENGINES (engine folders, ONNX files or zoo names) on labeled images.

    \b
    The boxes are the labels' unless --detector names a list of COCO detections with scores, or a network.
    A network that finds people by itself needs no boxes: it sees whole images, and is measured by AP. The boxes of a
    person detector are measured by AP and recall of people.
    The column "detectable" is the smallest retention loss that this sample size can detect at 95 % confidence.

    \b
    Examples:
      edgepose eval engines/openvino-fp32 engines/openvino-int8 --data lsp:LSP:test --json eval.json
      edgepose eval engines/openvino-int8 --data coco:COCO:val2017 --detector person_detections.json
    """
    from edgepose.api.evaluate import evaluate

    chosen = flags.take(EvaluateOptions, given)
    result = evaluate(engines, data=data, options=chosen, track=show.track, note=show.note, **given)
    print_accuracy(result)


def print_latency(result: "BenchResult") -> None:
    """Print percentiles, ratios and sensors, and a warning for each clock that moved."""
    from edgepose.api.build import int8_problem
    from edgepose.report import tables

    show.table(tables.latency_title(result), *tables.latency(result))
    show.table("speed", *tables.speed(result))
    show.table("sensors", *tables.sensors(result))
    show.note(tables.machine_line(result.machine))
    int8 = any(engine.precision.startswith("int8") for engine in result.engines)
    problem = int8_problem() if int8 else None
    show.lines([*result.warnings(), *result.sensors.warnings, *([problem] if problem else [])], err=True)


@click.command()
@options.engines
@click.option("--source", type=options.FILE, help="An image instead of the rendered 1280x720 frame.")
@click.option("--people", type=click.IntRange(1, 64), default=1, show_default=True, help="Crops that run as one batch.")
@click.option("--rounds", type=click.IntRange(1), default=100, show_default=True, help="Timed runs of each engine.")
@click.option("--threads", type=click.IntRange(0), default=1, show_default=True, help="CPU threads; 0 = default.")
@options.json_path
@options.overwrite
def bench(engines: tuple[str, ...], **given: Any) -> None:
    """Time ENGINES (engine folders, ONNX files or zoo names) stage by stage in one interleaved run.

    \b
    Examples:
      edgepose bench engines/onnxruntime-fp32 engines/openvino-int8 --json bench.json
      edgepose bench engines/openvino-int8 --people 8 --threads 2
    """
    from edgepose.api.benchmark import benchmark

    print_latency(benchmark(engines, track=show.track, note=show.note, **given))


@click.command()
@click.argument("folder", type=options.NEW_FOLDER)
@click.option("--out", type=options.NEW_FILE, help="The page; by default FOLDER/report.html.")
@options.overwrite
def report(folder: Path, out: Path | None, overwrite: bool) -> None:
    """Make one HTML page of the eval.json and bench.json in FOLDER: tables and plots.

    \b
    Example:
      edgepose report results --out report.html
    """
    from edgepose.api.report import report

    click.echo(report(folder, out=out, overwrite=overwrite))


@click.command()
@click.option("--out", type=options.NEW_FOLDER, default=Path("demo-out"), show_default=True, help="Folder to write to.")
@click.option("--people", type=click.IntRange(32), default=200, show_default=True, help="Figures to evaluate on.")
@click.option("--frames", type=click.IntRange(2), default=120, show_default=True, help="Frames of the clip.")
@click.option("--rounds", type=click.IntRange(1), default=60, show_default=True, help="Timed runs of each engine.")
@options.overwrite
def demo(**given: Any) -> None:
    """Build, run, evaluate and time the model that ships, on rendered figures.

    \b
    It shows the whole pipeline on any machine. Rendered figures say nothing about accuracy on photographs:
    for that see the tables in the documentation, or run edgepose eval on LSP.

    \b
    Example:
      edgepose demo --out demo-out
    """
    from edgepose.api.demo import demo

    result = demo(track=show.track, note=show.note, **given)
    print_accuracy(result.accuracy)
    print_latency(result.latency)
    show.lines((result.report, result.overlay, result.poses))
