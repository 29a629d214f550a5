"""Results as rows of text, for the terminal, the report page, and the generated tables of the documentation.

Every function that ends in a table returns `Rows`, (columns, rows); `markdown` turns them into a Markdown table. How
the value of a metric is printed is declared by the metric and is part of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgepose.backends import BACKENDS, about, report_name
from edgepose.measure.machine import Machine
from edgepose.measure.results import EngineAccuracy, Evaluation, MetricValue
from edgepose.measure.timings import BenchResult, EngineLatency
from edgepose.metrics.metric import FRACTION_OF_JOINTS, Declaration
from edgepose.metrics.retention import Interval

RESULTS = ("eval", "bench")  # a result of each verb is a file of that name
DETECTABLE = "detectable: the smallest retention loss that this sample size can detect at 95 % confidence"

Rows = tuple[list[str], list[list[str]]]


def engine_name(engine: EngineAccuracy | EngineLatency) -> str:
    """Return backend and precision, for example "openvino int8"."""
    return f"{engine.backend} {engine.precision}"


def metric_name(name: str, declared: Declaration) -> str:
    """Return the name of a metric, with its unit where the value is not printed as percent."""
    return name if declared.percent else f"{name} ({declared.printed_unit})"


def percent(fraction: float) -> str:
    """Format a fraction as percent with two decimals."""
    return FRACTION_OF_JOINTS.text(fraction)


def with_interval(value: Interval, declared: Declaration = FRACTION_OF_JOINTS) -> str:
    """Format a value with its 95 % interval. Without a declaration it is a fraction, as every retention is."""
    return f"{declared.text(value.value)} [{declared.text(value.low)}, {declared.text(value.high)}]"


def accuracy_title(result: Evaluation) -> str:
    """Return the line above the table of `accuracy`."""
    first = result.engines[0]
    return f"{result.data}: {first.n} people, boxes from {first.boxes}; percent unless stated [95 % interval]"


def accuracy(result: Evaluation) -> Rows:
    """Make one row per metric: each engine's value with its interval, and its retention relative to the first engine.

    The column "detectable" holds the smallest retention loss, in percent, that this sample size can detect at 95 %
    confidence.
    """
    columns = ["metric"]
    for i, engine in enumerate(result.engines):
        columns += [engine_name(engine), "retained", "detectable"] if i else [engine_name(engine)]
    declared: dict[str, Declaration] = {}
    for engine in result.engines:
        for name, value in engine.metrics.items():
            declared.setdefault(name, value.declared)
    return columns, [_accuracy_row(result, name, its) for name, its in declared.items()]


def _accuracy_row(result: Evaluation, name: str, declared: Declaration) -> list[str]:
    row = [metric_name(name, declared)]
    for i, engine in enumerate(result.engines):
        value, retained = engine.metrics.get(name), engine.retention.get(name)
        row.append(with_interval(value.interval, declared) if value else "-")
        if i:
            row += (
                [with_interval(retained.kept.interval), percent(retained.kept.detectable)] if retained else ["-", "-"]
            )
    return row


def row_line(value: MetricValue) -> str:
    """Format the row that papers print: "head 96.69, shoulder 95.19, ..."."""
    return ", ".join(f"{name} {value.declared.text(share)}" for name, share in value.row.items())


def skipped(engine: EngineAccuracy) -> dict[str, list[str]]:
    """Group the metrics that were not measured: reason -> their names."""
    reasons: dict[str, list[str]] = {}
    for name, reason in engine.skipped.items():
        reasons.setdefault(reason, []).append(name)
    return reasons


def shown_by_joint(engine: EngineAccuracy) -> str | None:
    """Return the metric that is shown joint by joint: the first one that has joints, None where there is none."""
    found = (name for name, value in engine.metrics.items() if value.parts and value.declared.kind == "per_joint")
    return next(found, None)


def per_joint(engine: EngineAccuracy, metric: str) -> Rows:
    """Make one row per joint, with the value of one metric."""
    value = engine.metrics[metric]
    columns = ["joint", metric_name(metric, value.declared)]
    rows = [[joint.replace("_", " "), value.declared.text(part.interval.value)] for joint, part in value.parts.items()]
    return columns, rows


def latency_title(result: BenchResult) -> str:
    """Return the line above the table of `latency`."""
    height, width = result.frame
    threads = result.threads or "default"
    return f"{width}x{height} frame, batch {result.batch}, {threads} thread(s), {result.rounds} rounds"


def latency(result: BenchResult) -> Rows:
    """Make one row per engine and stage: percentiles in milliseconds."""
    columns = ["engine", "stage", "p50 ms", "p90 ms", "p95 ms", "p99 ms"]
    rows = []
    for engine in result.engines:
        for stage, times in engine.stages.items():
            numbers = [f"{value:.2f}" for value in (times.p50_ms, times.p90_ms, times.p95_ms, times.p99_ms)]
            rows.append([engine_name(engine), stage.replace("_", " "), *numbers])
    return columns, rows


def speed(result: BenchResult) -> Rows:
    """Make one row per engine: throughput, pipeline over network, and how many times faster it is than the first."""
    columns = ["engine", "images/s", "pipeline / network", "faster than the first (network)"]
    faster = {row.engine: row.network for row in result.ratios}
    rows = []
    for i, engine in enumerate(result.engines):
        gain = faster.get(i)
        text = "1" if gain is None else f"{gain.value:.2f} [{gain.low:.2f}, {gain.high:.2f}]"
        rows.append([engine_name(engine), f"{engine.throughput_ips:.1f}", f"{engine.pipeline_over_network:.3f}", text])
    return columns, rows


def sensors(result: BenchResult) -> Rows:
    """Make one row per sensor that was read while engines were timed; no rows where the machine has none."""
    columns = ["sensor", "unit", "first", "min", "median", "max", "last"]
    found = result.sensors
    kinds = (("°C", 1, found.temperature_c), ("W", 1, found.power_w), ("MHz", 0, found.clock_mhz))
    rows = [
        [name, unit, *(f"{value:.{digits}f}" for value in (read.first, read.min, read.median, read.max, read.last))]
        for unit, digits, sensors_of_kind in kinds
        for name, read in sensors_of_kind.items()
    ]
    return columns, rows


def machine_line(machine: Machine) -> str:
    """Describe the machine in one line."""
    flags = ", ".join(machine.cpu_flags) or "no instruction sets of note"
    timed = {report_name(name) for name in BACKENDS if not about(name).on_gpu}
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items() if name in timed)
    return f"{machine.cpu}, {machine.cores} cores ({flags}); INT8: {machine.int8}; {versions}"


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table. The first column is aligned as text, the others as numbers."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "|".join(["---"] + ["---:"] * (len(columns) - 1)) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def results_in(folder: Path) -> dict[str, Path]:
    """Find the result files of a folder by verb: eval.json and bench.json."""
    return {name: path for name in RESULTS if (path := folder / f"{name}.json").is_file()}
