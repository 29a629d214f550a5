"""Two results of one network: how far they are apart, and what each precision may differ."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgepose.measure.agreement import Agreement, compare, moved, worst

SIGNAL = np.linspace(-2, 2, 400, dtype=np.float32).reshape(2, 200)


def test_equal_results() -> None:
    found = compare(SIGNAL, SIGNAL.copy())
    assert found == Agreement(relative_error=0.0, snr_db=math.inf)
    assert found.describe() == "equal"
    assert all(found.problem(part) is None and found.warning(part) is None for part in ("fp32", "fp16", "int8"))


def test_the_numbers_are_those_of_the_definition() -> None:
    found = compare(SIGNAL, SIGNAL + np.float32(0.02))
    assert found.relative_error == pytest.approx(0.01, rel=1e-3)
    power = float(np.square(SIGNAL).mean())
    assert found.snr_db == pytest.approx(10 * math.log10(power / 0.02**2), abs=0.01)
    assert found.describe() == f"SNR {found.snr_db:.1f} dB, relative error 0.01"


@pytest.mark.parametrize(
    ("noise", "refused", "warned"),
    [
        (1e-6, (), ()),
        (0.005, ("fp32",), ()),  # 47 dB
        (0.1, ("fp32",), ("fp16",)),  # 21 dB
        (0.4, ("fp32", "fp16"), ("fp16", "int8")),  # 9 dB
        (2.0, ("fp32", "fp16", "int8"), ("fp16", "int8")),  # -5 dB
    ],
)
def test_the_limits_of_the_precisions(noise: float, refused: tuple[str, ...], warned: tuple[str, ...]) -> None:
    found = compare(SIGNAL, SIGNAL + np.float32(noise))
    parts = ("fp32", "fp16", "int8")
    assert tuple(part for part in parts if found.problem(part)) == refused
    assert tuple(part for part in parts if found.warning(part)) == warned


def test_zeros_in_place_of_a_signal_are_refused_in_every_precision() -> None:
    found = compare(SIGNAL, np.zeros_like(SIGNAL))
    assert found.snr_db == pytest.approx(0)
    assert all(found.problem(part) for part in ("fp32", "fp16", "int8", "int8-fp16"))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    broken = SIGNAL.copy()
    broken[1, 3] = value
    found = compare(SIGNAL, broken)
    assert not found.finite and found.snr_db == -math.inf
    assert "NaN or infinite" in str(found.problem("int8"))


def test_infinities_that_the_float_network_returns_too_are_no_error() -> None:
    masked = SIGNAL.copy()
    masked[0, 0] = -math.inf
    assert compare(masked, masked.copy()).relative_error == 0


def test_an_output_of_zeros_has_no_signal() -> None:
    zeros = np.zeros((1, 8), np.float32)
    assert compare(zeros, zeros).problem("fp32") is None
    assert compare(zeros, zeros + np.float32(1e-10)).problem("fp32") is None
    found = compare(zeros, zeros + np.float32(0.01))
    assert math.isnan(found.snr_db) and found.describe().startswith("no signal")
    assert found.problem("fp32") and found.problem("int8") is None


def test_a_constant_output_is_a_signal() -> None:
    constant = np.full((1, 8), 3, np.float32)
    assert compare(constant, constant * np.float32(1.1)).snr_db == pytest.approx(20, abs=0.01)


def test_large_and_tiny_values_do_not_overflow() -> None:
    for scale in (1e-5, 1e30):
        assert compare(SIGNAL * np.float32(scale), SIGNAL * np.float32(scale * 1.01)).snr_db == pytest.approx(40, abs=1)


def test_shapes_that_differ() -> None:
    assert compare(SIGNAL, SIGNAL[:, :5]).problem("int8") == "its shape is [2, 5] in place of [2, 200]"


def test_integers_and_empty_arrays() -> None:
    assert compare(np.arange(4), np.arange(4)).relative_error == 0
    assert compare(np.zeros((0, 3)), np.zeros((0, 3))).relative_error == 0


def test_the_worst_of_several() -> None:
    good, bad = compare(SIGNAL, SIGNAL), compare(SIGNAL, SIGNAL * np.float32(0.9))
    assert worst([good, bad]) is bad
    assert worst([]).relative_error == 0


def test_joints_that_moved() -> None:
    expected = np.zeros((2, 2, 3))
    found = expected.copy()
    found[0, 0, 0], found[0, 1, 1], found[1, 0, 0] = 4.9, 5.1, math.nan
    assert moved(expected, found, 100) == 0.5
    assert moved(expected[:0], found[:0], 100) == 0
