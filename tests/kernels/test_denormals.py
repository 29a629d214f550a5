"""Denormal numbers are zero inside `denormals_flushed`, and what they were before and after it."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.kernels.denormals import FLUSHES, denormals_flushed

SMALL = np.full(64, 1e-37, np.float32)


def smallest() -> float:
    return float((SMALL * np.float32(1e-3)).max())


@pytest.mark.skipif(not FLUSHES, reason="needs the host extension")
def test_denormals_are_zero_inside_and_kept_outside() -> None:
    assert smallest() > 0
    with denormals_flushed():
        assert smallest() == 0
        with denormals_flushed():
            assert smallest() == 0
        assert smallest() == 0
    assert smallest() > 0


@pytest.mark.skipif(not FLUSHES, reason="needs the host extension")
def test_an_error_restores_them() -> None:
    with pytest.raises(ValueError, match="within"), denormals_flushed():
        raise ValueError("within")
    assert smallest() > 0
