"""Results as rows of text: for the terminal, the report page, and the tables in README.

Every function takes the JSON value that `eval` or `bench` wrote and returns (columns, rows); `markdown`
turns them into a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgepose._files import read_json
from edgepose.backends import BACKENDS, about, report_name
from edgepose.errors import EdgeposeError

# kind -> what its JSON has at the top, and for each engine
KEYS = {"eval": ("data", "engines"), "bench": ("machine", "frame", "batch", "threads", "rounds", "engines", "ratios")}
ENTRY_KEYS = {
    "eval": ("path", "backend", "precision", "n", "metrics", "joints", "skipped"),
    "bench": ("path", "backend", "precision", "stages", "throughput_ips", "pipeline_over_network"),
}

Rows = tuple[list[str], list[list[str]]]


def engine_name(entry: dict[str, Any]) -> str:
    """`openvino int8`: backend and precision."""
    return f"{entry['backend']} {entry['precision']}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def _with_interval(metric: dict[str, Any] | None) -> str:
    if metric is None or metric.get("value") is None:
        return "-"
    text = _percent(metric["value"])
    if metric.get("low") is None:
        return text
    return f"{text} [{_percent(metric['low'])}, {_percent(metric['high'])}]"


def accuracy(result: dict[str, Any]) -> Rows:
    """One row a metric: each engine's value in percent with its 95 % interval, and what it retains of the first.

    "smallest" is the smallest loss, in percent of the first engine, that so many people could have shown.
    """
    engines = result["engines"]
    columns = ["metric"]
    for i, entry in enumerate(engines):
        columns += [engine_name(entry), "retained", "smallest"] if i else [engine_name(entry)]
    rows = []
    for name in engines[0]["metrics"]:
        row = [name]
        for i, entry in enumerate(engines):
            row.append(_with_interval(entry["metrics"].get(name)))
            kept = (entry.get("retention") or {}).get(name) or {}
            row += [_with_interval(kept), _percent(kept.get("smallest"))] if i else []
        rows.append(row)
    return columns, rows


def row_line(row: dict[str, float]) -> str:
    """`head 96.69, shoulder 95.19, ...`: a row as papers print it, in percent."""
    return ", ".join(f"{name} {_percent(value)}" for name, value in row.items())


def skipped(entry: dict[str, Any]) -> dict[str, list[str]]:
    """Why metrics were not measured: reason -> their names."""
    reasons: dict[str, list[str]] = {}
    for name, reason in entry.get("skipped", {}).items():
        reasons.setdefault(reason, []).append(name)
    return reasons


def per_joint(entry: dict[str, Any], metric: str) -> Rows:
    """One row a joint, in percent."""
    joints = entry["metrics"][metric].get("per_joint") or {}
    return ["joint", metric], [[joint.replace("_", " "), _percent(value)] for joint, value in joints.items()]


def latency(result: dict[str, Any]) -> Rows:
    """One row an engine and stage: percentiles in milliseconds."""
    columns = ["engine", "stage", "p50 ms", "p90 ms", "p95 ms", "p99 ms"]
    rows = []
    for entry in result["engines"]:
        for stage, times in entry["stages"].items():
            numbers = [f"{times[key]:.2f}" for key in ("p50_ms", "p90_ms", "p95_ms", "p99_ms")]
            rows.append([engine_name(entry), stage.replace("_", " "), *numbers])
    return columns, rows


def speed(result: dict[str, Any]) -> Rows:
    """One row an engine: throughput, pipeline over network, and how many times faster than the first."""
    columns = ["engine", "images/s", "pipeline / network", "faster than the first (network)"]
    faster = {row["engine"]: row["network"] for row in result["ratios"]}
    rows = []
    for i, entry in enumerate(result["engines"]):
        gain = faster.get(i)
        text = "1" if gain is None else f"{gain['value']:.2f} [{gain['low']:.2f}, {gain['high']:.2f}]"
        rows.append(
            [engine_name(entry), f"{entry['throughput_ips']:.1f}", f"{entry['pipeline_over_network']:.3f}", text]
        )
    return columns, rows


UNITS = {"temperature_c": "°C", "power_w": "W", "clock_mhz": "MHz"}


def sensors(result: dict[str, Any]) -> Rows:
    """One row a sensor that spoke while engines were timed; no rows where there was none."""
    columns = ["sensor", "unit", "first", "min", "median", "max", "last"]
    found = result.get("sensors", {})  # results of earlier versions have none
    rows = [
        [name, unit, *(f"{values[column]:.{0 if kind == 'clock_mhz' else 1}f}" for column in columns[2:])]
        for kind, unit in UNITS.items()
        for name, values in found.get(kind, {}).items()
    ]
    return columns, rows


def machine_line(machine: dict[str, Any]) -> str:
    """The machine in one line."""
    flags = ", ".join(machine["cpu_flags"]) or "no instruction sets of note"
    timed = {report_name(name) for name in BACKENDS if not about(name).on_gpu}
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items() if name in timed)
    return f"{machine['cpu']}, {machine['cores']} cores ({flags}); INT8: {machine['int8']}; {versions}"


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A GitHub table; the first column is words, the others are numbers."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "|".join(["---"] + ["---:"] * (len(columns) - 1)) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def results_in(folder: Path) -> dict[str, Path]:
    """The result files of a folder by kind: eval.json, bench.json."""
    return {path.stem: path for name in KEYS if (path := folder / f"{name}.json").is_file()}


def read_results(path: Path, kind: str) -> dict[str, Any]:
    """What `edgepose eval --json` or `bench --json` wrote. EdgeposeError for anything else."""
    value = read_json(path, kind)
    entries = value.get("engines") if isinstance(value, dict) else None
    whole = isinstance(entries, list) and bool(entries) and set(KEYS[kind]) <= set(value)
    if not whole or not all(isinstance(entry, dict) and set(ENTRY_KEYS[kind]) <= set(entry) for entry in entries or []):
        raise EdgeposeError(f"{path} is no result of edgepose {kind}; make it again with edgepose {kind} --json")
    return dict(value)
