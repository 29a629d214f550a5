"""Every network learns 64 photographs by heart, and its INT8 graph keeps that: benchmarks/overfit.py, judged."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

import overfit

from edgepose.models import names


@pytest.mark.slow
@pytest.mark.parametrize("name", overfit.OVERFIT)
def test_it_learns_64_photographs_by_heart(name: str, data_root: Path, tmp_path: Path) -> None:
    people = overfit.photographs(data_root)
    log = overfit.overfit(name, people, tmp_path, threads=1)
    best = max(float(line["pck@0.2"]) for line in log)
    assert best >= 0.95
    assert overfit.int8_pck(name, people, tmp_path) >= 0.98 * best


def test_every_system_is_asked() -> None:
    """Each network that is small enough, and what the committed log says of it."""
    small = {name for name in names() if name.endswith(("-small", "-lite"))}
    assert set(overfit.OVERFIT) == small


def test_the_committed_log_is_of_networks_that_learnt() -> None:
    from records import read_csv

    best = {line["model"]: line for line in read_csv("overfit.csv") if line["epoch"] == "best"}
    assert set(best) == set(overfit.OVERFIT)
    for name, line in best.items():
        assert float(line["pck@0.2"]) >= 0.95, name
        assert float(line["int8_pck@0.2"]) >= 0.98 * float(line["pck@0.2"]), name
