"""The strides of the grids of a head, by the number of its rows."""

from __future__ import annotations

import numpy as np
import pytest
from published import returning

from edgepose.graph.adapters.detectors import grid_of
from edgepose.recognize import candidate_of
from edgepose.recognize.cells import cells_of

SIZE = (96, 100)  # 100 is no multiple of the strides
CHOICES = ((8, 16, 32, 64), (8, 16, 32))


@pytest.mark.parametrize("strides", CHOICES)
@pytest.mark.parametrize("anchors", [1, 3])
def test_the_number_of_rows_tells_the_strides(strides: tuple[int, ...], anchors: int) -> None:
    rows = np.arange(anchors * len(grid_of(SIZE, strides)) * 7, dtype=np.float32).reshape(-1, 7)
    candidate = candidate_of(returning({"output": rows}, size=SIZE))
    cells = cells_of(candidate, CHOICES, anchors)
    assert cells is not None
    assert (cells.strides, cells.size, cells.output, cells.columns) == (strides, SIZE, "output", 7)
    assert len(cells.grid) * anchors == len(rows)
    assert np.array_equal(cells.of_noise(candidate), rows)


@pytest.mark.parametrize("more", [-1, 1])
def test_other_outputs_have_no_cells(more: int) -> None:
    rows = np.zeros((len(grid_of(SIZE, CHOICES[0])) + more, 7), np.float32)
    assert cells_of(candidate_of(returning({"output": rows}, size=SIZE)), CHOICES) is None
    two = returning({"output": rows[: more or None], "second": rows}, size=SIZE)
    assert cells_of(candidate_of(two), CHOICES) is None
