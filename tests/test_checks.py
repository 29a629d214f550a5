"""check_array: named axes, wrong shapes and types."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose._checks import check_array


def test_sizes_of_named_axes():
    value = np.zeros((5, 17, 2), np.float32)
    assert check_array("xy", value, ("N", "K", 2), np.float32) == {"N": 5, "K": 17}
    assert check_array("xy", value, (None, 17, None)) == {}
    assert check_array("square", np.zeros((4, 4)), ("n", "n")) == {"n": 4}
    assert check_array("scalar", np.zeros(()), ()) == {}
    assert check_array("nobody", np.zeros((0, 2)), ("N", 2)) == {"N": 0}


WRONG = [
    ((5, 3), ("N", 2), r"xy: expected shape \[N, 2\], got \[5, 3\]"),
    ((5, 2, 1), ("N", 2), r"got \[5, 2, 1\]"),
    ((2,), ("N", 2), r"got \[2\]"),
    ((), ("N",), r"got \[\]"),
    ((3, 4), ("n", "n"), r"expected shape \[n, n\], got \[3, 4\]"),
    ((3, 4), (None, 5), r"expected shape \[any, 5\]"),
]


@pytest.mark.parametrize(("shape", "expected", "says"), WRONG)
def test_wrong_shapes(shape, expected, says):
    with pytest.raises(ValueError, match=says):
        check_array("xy", np.zeros(shape), expected)


def test_wrong_type():
    with pytest.raises(ValueError, match="xy: expected dtype float32, got float64"):
        check_array("xy", np.zeros(3), (3,), np.float32)
    with pytest.raises(ValueError, match="expected dtype bool, got int64"):
        check_array("xy", np.zeros(3, np.int64), (3,), bool)
