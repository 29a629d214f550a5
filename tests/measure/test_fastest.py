"""Which engine is the fastest, on times that are known."""

from __future__ import annotations

import time

import numpy as np
import pytest

from edgepose.errors import UsageError
from edgepose.measure.fastest import ROUNDS, Times, time_calls


def times(**medians_ms: float) -> Times:
    """Return 60 rounds in which all engines share the noise of a round, of 5 %, and have 2 % of their own."""
    random = np.random.default_rng(0)
    shared = random.normal(1, 0.05, 60)
    return Times(seconds={name: 1e-3 * ms * shared * random.normal(1, 0.02, 60) for name, ms in medians_ms.items()})


def test_the_fastest_is_chosen() -> None:
    found = times(fp32=4.0, fp16=3.0, int8=2.0)
    assert found.fastest(("fp32", "fp16", "int8")) == "int8"
    assert found.rounds == 60
    assert found.median_ms("fp16") == pytest.approx(3.0, rel=0.05)
    longer = found.longer("fp32", "int8")
    assert longer.low < 2 < longer.high and longer.high - longer.low < 0.1


def test_of_those_that_cannot_be_told_apart_the_more_precise_one_is_chosen() -> None:
    found = times(fp32=3.0, fp16=2.0, int8=1.999)
    assert found.fastest(("fp32", "fp16", "int8")) == "fp16"
    assert found.fastest(("int8", "fp16", "fp32")) == "int8"
    assert found.fastest(("fp32",)) == "fp32"


def test_a_difference_that_the_noise_hides_is_none() -> None:
    random = np.random.default_rng(1)
    noisy = Times(seconds={name: random.uniform(1e-3, 3e-3, 20) for name in ("fp32", "int8")})
    assert noisy.fastest(("fp32", "int8")) == "fp32"


def test_nothing_to_choose_from() -> None:
    with pytest.raises(UsageError, match="no engine"):
        times(fp32=1.0).fastest(())


def test_the_rounds_fit_into_the_budget() -> None:
    slow = time_calls({"a": lambda: time.sleep(0.01), "b": lambda: time.sleep(0.005)}, 0.15)
    assert ROUNDS[0] <= slow.rounds <= 10
    assert slow.fastest(("a", "b")) == "b"
    assert time_calls({"a": lambda: None}, 10.0).rounds == ROUNDS[1]
    assert time_calls({"a": lambda: time.sleep(0.002)}, 0.0).rounds == ROUNDS[0]
