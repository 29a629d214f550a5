"""The benchmark of the metrics, small: OKS AP gives the same numbers as pycocotools. Times are for the benchmark."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parents[2] / "benchmarks" / "metrics.py"


def test_the_same_numbers_as_pycocotools(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pycocotools")
    spec = importlib.util.spec_from_file_location("benchmark_of_metrics", PATH)
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    for name, size in (("IMAGES", 500), ("PEOPLE", 1100), ("DRAWS", 10)):
        monkeypatch.setattr(benchmark, name, size)
    rows = {row[0] for row in benchmark.oks_rows(rounds=1)}  # which compares the ten numbers first
    assert "edgepose / pycocotools" in rows
