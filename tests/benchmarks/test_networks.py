"""The committed costs are those of the networks as they stand."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")


@pytest.mark.slow
def test_costs_are_current() -> None:
    import networks
    from records import read_csv

    found = [[str(value) for value in row] for row in networks.rows()]
    wanted = [[line[column] for column in networks.COLUMNS] for line in read_csv("networks.csv")]
    assert found == wanted, "run: python benchmarks/networks.py && make results"
