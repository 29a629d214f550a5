"""Write and read the results of the benchmark scripts as CSV, with one row per number so that runs can be compared."""

from __future__ import annotations

import csv
import io
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from edgepose._files import write_bytes, write_json
from edgepose.measure.machine import Machine, describe
from edgepose.measure.results import Evaluation, Retained
from edgepose.measure.timings import BenchResult
from edgepose.metrics.retention import Interval

RESULTS = Path(__file__).resolve().parent / "results"


def write_csv(name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """Write RESULTS/name with a header. The file is written under a temporary name and renamed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_bytes(RESULTS / name, text.getvalue().encode())
    return RESULTS / name


def read_csv(name: str) -> list[dict[str, str]]:
    """Return the rows of RESULTS/name as dictionaries."""
    with (RESULTS / name).open(newline="") as file:
        return list(csv.DictReader(file))


def write_machine(name: str) -> None:
    """Write RESULTS/name-machine.json, which describes the machine and the commit of the measurement."""
    write_json(RESULTS / f"{name}-machine.json", describe().to_json() | {"commit": _commit()})


def read_machine(name: str) -> Machine:
    """Read RESULTS/name-machine.json."""
    return msgspec.json.decode((RESULTS / f"{name}-machine.json").read_bytes(), type=Machine)


def _commit() -> str:
    """Return the hash of the current commit, with "-dirty" if files differ from it."""
    command = ["git", "-C", str(RESULTS), "describe", "--always", "--dirty", "--abbrev=40", "--match", ""]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def write_accuracy(name: str, result: Evaluation) -> None:
    """Write the numbers of `edgepose eval` as name-accuracy.csv and name-joints.csv."""
    rows, joints = [], []
    for engine in result.engines:
        label, graph = f"{engine.backend}-{engine.precision}", engine.onnx_sha256[:12]
        for metric, value in engine.metrics.items():
            numbers = [*_ends(value.interval), *_kept(engine.retention.get(metric))]
            rows.append([label, graph, engine.n, metric, *numbers])
            parts = value.parts.items()
            joints += [[label, metric, part, _number(its.interval.value)] for part, its in parts]
    retained = ["retained", "retained_low", "retained_high", "detectable"]
    write_csv(f"{name}-accuracy.csv", ["engine", "graph", "people", "metric", "value", "low", "high", *retained], rows)
    write_csv(f"{name}-joints.csv", ["engine", "metric", "part", "value"], joints)


def _kept(retained: Retained | None) -> list[str]:
    if retained is None:
        return [""] * 4
    return [*_ends(retained.kept.interval), _number(retained.kept.detectable)]


def _ends(interval: Interval) -> list[str]:
    return [_number(value) for value in (interval.value, interval.low, interval.high)]


def write_latency(name: str, result: BenchResult) -> None:
    """Write the numbers of `edgepose bench` as name-latency.csv and name-ratios.csv."""
    rows, ratios = [], []
    names = [f"{engine.backend}-{engine.precision}" for engine in result.engines]
    for label, engine in zip(names, result.engines, strict=True):
        for stage, times in engine.stages.items():
            numbers = [f"{value:.4f}" for value in (times.p50_ms, times.p90_ms, times.p95_ms, times.p99_ms)]
            rows.append([label, stage, result.threads, result.batch, result.rounds, *numbers])
        ratios.append([label, label, "pipeline_over_network", _number(engine.pipeline_over_network), "", ""])
    for row in result.ratios:
        for kind, value in (("network", row.network), ("end_to_end", row.end_to_end)):
            ratios.append([names[row.engine], names[row.against], f"{kind}_times_faster", *_ends(value)])
    header = ["engine", "stage", "threads", "batch", "rounds", "p50_ms", "p90_ms", "p95_ms", "p99_ms"]
    write_csv(f"{name}-latency.csv", header, rows)
    write_csv(f"{name}-ratios.csv", ["engine", "against", "what", "value", "low", "high"], ratios)


def _number(value: float) -> str:
    return f"{value:.5f}"
