"""`edgepose eval`: every metric the labels allow, per joint, with intervals; retention against the first engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from edgepose._files import refuse_existing, write_json
from edgepose.cli import options, show


def evaluate_engines(
    engines: Sequence[Path], data_text: str, *, threads: int = 0, flip_test: bool = False, n_boot: int = 1000
) -> dict[str, Any]:
    """DESIGN's `eval --json` value for several engines on one data set."""
    from edgepose.artifacts.manifest import read_manifest
    from edgepose.backends.engine import open_engine
    from edgepose.backends.session import OpenOptions
    from edgepose.datasets.open import open_data
    from edgepose.measure.accuracy import collect, evaluate
    from edgepose.runtime.topdown import TopDown

    for path in engines:  # all of them, before the first one works for minutes
        read_manifest(path)
    data = open_data(data_text)
    predictions = []
    for path in engines:
        session, manifest = open_engine(path, OpenOptions(threads=threads))
        with session:
            predictions.append(
                collect(
                    TopDown(session, manifest.spec, flip_test=flip_test, threads=threads),
                    data,
                    path=str(path),
                    onnx_sha256=manifest.onnx_sha256,
                    precision=manifest.precision,
                    backend=manifest.backend,
                    skeleton=manifest.spec.skeleton,
                    track=show.track,
                )
            )
    return evaluate(predictions, data, n_boot=n_boot).to_json() | {"flip_test": flip_test}


def print_accuracy(result: dict[str, Any]) -> None:
    """The table, the joints of the first metric, and what could not be measured."""
    from edgepose.report import tables

    first = result["engines"][0]
    show.table(f"{result['data']}: {first['n']} people, percent [95 % interval]", *tables.accuracy(result))
    show.table("per joint, first engine, percent", *tables.per_joint(first, next(iter(first["metrics"]))))
    show.note(f"joints compared: {', '.join(first['joints'])}")
    for name, reason in first["skipped"].items():
        show.note(f"not measured: {name}: {reason}")


@click.command(name="eval")
@click.argument("engines", nargs=-1, required=True, type=options.ENGINE)
@options.data
@click.option("--json", "json_path", type=options.NEW_FILE, help="Write the numbers here.")
@click.option("--flip-test", is_flag=True, help="Average with the mirrored crop: twice the work, more accurate.")
@click.option("--n-boot", type=click.IntRange(100), default=1000, show_default=True, help="Bootstrap draws.")
@options.threads
@options.overwrite
def command(
    engines: tuple[Path, ...],
    data: str,
    json_path: Path | None,
    flip_test: bool,
    n_boot: int,
    threads: int,
    overwrite: bool,
) -> None:
    """Measure the accuracy of ENGINES on labelled photographs, with boxes from the labels.

    \b
    Examples:
      edgepose eval engines/openvino-fp32 engines/openvino-int8 --data lsp:LSP:test --json eval.json
      edgepose eval engines/openvino-int8 --data coco:COCO:val2017
    """
    if json_path is not None:
        refuse_existing(json_path, overwrite)
    result = evaluate_engines(engines, data, threads=threads, flip_test=flip_test, n_boot=n_boot)
    print_accuracy(result)
    if json_path is not None:
        write_json(json_path, result)
