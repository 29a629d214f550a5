"""`edgepose eval`: every metric the labels allow, with confidence intervals, and retention against the first engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgepose._files import refuse_existing, write_json
from edgepose.api.evaluate import EvaluateOptions, evaluate
from edgepose.cli import flags, options, show

PRINTED = ("pck@0.2", "pckh@0.5")  # of which papers print a row; the rows of the others are in the JSON


def print_accuracy(result: dict[str, Any]) -> None:
    """Print the table, the joints of the first metric, the row papers print, and what could not be measured."""
    from edgepose.report import tables

    first = result["engines"][0]
    click.echo(f"{result['data']}: {first['n']} people, boxes from {first['boxes']}; percent [95 % interval]")
    show.table("", *tables.accuracy(result))
    named = next((name for name, metric in first["metrics"].items() if metric.get("per_joint")), None)
    if named is not None:
        click.echo("joint by joint, first engine, percent")
        show.table("", *tables.per_joint(first, named))
    for name in PRINTED:
        row = first["metrics"].get(name, {}).get("row")
        if row:
            show.note(f"{name} as papers print it: {tables.row_line(row)}")
    show.note(f"joints compared: {', '.join(first['joints'])}")
    for reason, names in tables.skipped(first).items():
        show.note(f"not measured: {', '.join(names)}: {reason}")


@click.command(name="eval")
@options.engines
@options.data
@flags.flags_of(EvaluateOptions)
@options.json_path
@options.overwrite
def command(engines: tuple[str, ...], data: str, json_path: Path | None, overwrite: bool, **given: Any) -> None:
    """Measure the accuracy of ENGINES (engine folders, ONNX files or zoo names) on labeled images.

    \b
    The boxes are the labels' unless --detector names a list of COCO detections with scores, or a network.
    A network of part affinity fields needs no boxes: it sees whole images, and is measured by AP.
    "smallest" is the smallest retention loss that this number of people can detect.

    \b
    Examples:
      edgepose eval engines/openvino-fp32 engines/openvino-int8 --data lsp:LSP:test --json eval.json
      edgepose eval engines/openvino-int8 --data coco:COCO:val2017 --detector person_detections.json
    """
    if json_path is not None:
        refuse_existing(json_path, overwrite)
    chosen = flags.take(EvaluateOptions, given)
    result = evaluate(engines, data=data, options=chosen, track=show.track, note=show.note).to_json()
    print_accuracy(result)
    if json_path is not None:
        write_json(json_path, result)
