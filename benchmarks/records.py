"""Results as CSV: one line a number, so that a diff of two runs reads well. Used by the scripts beside it."""

from __future__ import annotations

import csv
import io
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from edgepose._files import write_bytes, write_json
from edgepose.measure.machine import describe

RESULTS = Path(__file__).resolve().parent / "results"


def write_csv(name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """RESULTS/name with a header; written beside and renamed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_bytes(RESULTS / name, text.getvalue().encode())
    return RESULTS / name


def read_csv(name: str) -> list[dict[str, str]]:
    """The lines of RESULTS/name by column."""
    with (RESULTS / name).open(newline="") as file:
        return list(csv.DictReader(file))


def write_machine(name: str) -> None:
    """RESULTS/name-machine.json: where the numbers of that name come from."""
    write_json(RESULTS / f"{name}-machine.json", describe() | {"commit": _commit()})


def _commit() -> str:
    """The commit that was measured, marked when files differed from it."""
    command = ["git", "-C", str(RESULTS), "describe", "--always", "--dirty", "--abbrev=40", "--match", ""]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def write_accuracy(name: str, result: dict[str, Any]) -> None:
    """The numbers of `edgepose eval`: name-accuracy.csv and name-joints.csv."""
    rows, joints = [], []
    for entry in result["engines"]:
        engine = f"{entry['backend']}-{entry['precision']}"
        for metric, value in entry["metrics"].items():
            kept = (entry.get("retention") or {}).get(metric) or {}
            numbers = [value["value"], value["low"], value["high"]]
            numbers += [kept.get("value"), kept.get("low"), kept.get("high"), kept.get("smallest")]
            graph = entry["onnx_sha256"][:12]
            rows.append([engine, graph, entry["n"], metric, *(_number(number) for number in numbers)])
            parts = value.get("per_joint") or value.get("per_limb") or {}
            joints += [[engine, metric, part, _number(share)] for part, share in parts.items()]
    header = [
        "engine",
        "graph",
        "people",
        "metric",
        "value",
        "low",
        "high",
        "retained",
        "retained_low",
        "retained_high",
        "smallest",
    ]
    write_csv(f"{name}-accuracy.csv", header, rows)
    write_csv(f"{name}-joints.csv", ["engine", "metric", "part", "value"], joints)


def write_latency(name: str, result: dict[str, Any]) -> None:
    """The numbers of `edgepose bench`: name-latency.csv and name-ratios.csv."""
    rows, ratios = [], []
    names = [f"{entry['backend']}-{entry['precision']}" for entry in result["engines"]]
    for engine, entry in zip(names, result["engines"], strict=True):
        for stage, times in entry["stages"].items():
            numbers = [f"{times[key]:.4f}" for key in ("p50_ms", "p90_ms", "p95_ms", "p99_ms")]
            rows.append([engine, stage, result["threads"], result["batch"], result["rounds"], *numbers])
        ratios.append([engine, engine, "pipeline_over_network", _number(entry["pipeline_over_network"]), "", ""])
    for row in result["ratios"]:
        for kind in ("network", "end_to_end"):
            value = row[kind]
            numbers = [_number(value[key]) for key in ("value", "low", "high")]
            ratios.append([names[row["engine"]], names[row["against"]], f"{kind}_times_faster", *numbers])
    header = ["engine", "stage", "threads", "batch", "rounds", "p50_ms", "p90_ms", "p95_ms", "p99_ms"]
    write_csv(f"{name}-latency.csv", header, rows)
    write_csv(f"{name}-ratios.csv", ["engine", "against", "what", "value", "low", "high"], ratios)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5f}"
