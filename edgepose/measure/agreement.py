"""How closely two results of one network agree: relative error, signal-to-noise ratio, and joints that moved.

    agreement = compare(expected, found)
    if (problem := agreement.problem("fp16")) is not None:
        raise BuildError(problem)

The limits of each precision:

- FP32 must agree to a relative error of 1e-3. Correct libraries differ by 1e-6 to 1e-5, with the order in which they
  add; a layer that is computed by another rule differs by 1e-2 or more.
- FP16 rounds each value to 11 bits, a noise of about -70 dB for each layer, and layers add up: the shipped network has
  54 dB in FP16, other networks between 45 and 65 dB. Below 40 dB there is a warning. Below 20 dB, where FP16 is worse
  than INT8 usually is, the graph is refused.
- INT8 of the shipped network has 26 dB. Below 15 dB, where the noise is a fifth of the signal, there is a warning.
  An output of zeros has exactly 0 dB, so that a graph below 1 dB is no better than no network at all: it is refused.
  FP8, which is an experiment, has the limits of INT8.
- A list of people has no fixed order, so that noise says nothing about it. Its people are matched, and a sample shows
  only a few: one who is lost is a large share. FP32 may move 10 % of the joints, FP16 25 %, and INT8 50 %. Accuracy is
  what the guard tests.

Run only the tests of this file with `pytest tests/measure/test_agreement.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepose._checks import Array

ZERO = 1e-6  # an output below this everywhere has no signal; errors are then compared with it
GARBAGE_DB = 1.0  # a result below it is refused in any precision
FEW = 0.1  # share of joints that may move where the signal-to-noise ratio is low
MOVED = 0.05  # a joint has moved when it is further away than this fraction of the box


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What a precision may differ from the float network; None where there is no limit of this kind.

    Attributes:
        relative_error: The largest relative error that is accepted.
        warn_db: Signal-to-noise ratio below which a warning is given.
        refuse_db: Signal-to-noise ratio below which the result is refused.
        joints: Share of the joints of a list of people that may move.
    """

    relative_error: float | None = None
    warn_db: float | None = None
    refuse_db: float | None = None
    joints: float = 0.5


LIMITS = {
    "fp32": Limit(relative_error=1e-3, joints=0.1),
    "fp16": Limit(warn_db=40.0, refuse_db=20.0, joints=0.25),
    "int8": Limit(warn_db=15.0, refuse_db=GARBAGE_DB),
    "int8-fp16": Limit(warn_db=15.0, refuse_db=GARBAGE_DB),
    "fp8": Limit(warn_db=15.0, refuse_db=GARBAGE_DB),
}


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The difference between an expected and a found array.

    Attributes:
        relative_error: The largest absolute difference, as a fraction of the largest absolute value expected;
            infinite where a found value is not finite or the shapes differ.
        snr_db: The signal-to-noise ratio in decibels: infinite where both are equal, -infinite where a found value
            is not finite or the shapes differ, NaN where the expected array is zero (there is no signal).
        finite: Whether each value is finite that is expected to be.
        shapes: The two shapes where they differ, else "".
    """

    relative_error: float
    snr_db: float
    finite: bool = True
    shapes: str = ""

    def problem(
        self, precision: str = "fp32", joints_moved: float | None = None, *, listed: bool = False
    ) -> str | None:
        """Return why a result of this precision cannot be right, as a clause, or None where it may be.

        Args:
            precision: The precision of the result.
            joints_moved: The share of joints that moved, where it is known. A low ratio with joints that stay is no
                fault of FP16: coordinates that an ArgMax in the graph finds may jump where two places are equal.
            listed: Whether the output is a list, whose rows may change places where two scores are nearly equal. The
                joints alone say then whether it is right.
        """
        limit = LIMITS[precision]
        if self.shapes:
            return f"its shape is {self.shapes}"
        if not self.finite:
            return "it is NaN or infinite where the float network is not"
        if listed and joints_moved is not None:
            if joints_moved <= limit.joints:
                return None
            most = f"{100 * limit.joints:.0f} %"
            return f"{100 * joints_moved:.0f} % of the joints are elsewhere, and {most} is the limit"
        if limit.relative_error is not None and not self.relative_error <= limit.relative_error:
            return f"its relative error is {self.relative_error:.2g}, and {limit.relative_error:g} is the limit"
        if limit.refuse_db is None or not self.snr_db < limit.refuse_db:
            return None
        if joints_moved is not None and joints_moved <= FEW and self.snr_db >= GARBAGE_DB:
            return None
        return f"its signal-to-noise ratio is {self.snr_db:.1f} dB, and {limit.refuse_db:g} dB is the limit"

    def warning(self, precision: str) -> str | None:
        """Return what is doubtful about a result of this precision that has no problem, as a clause, or None."""
        limit = LIMITS[precision].warn_db
        if limit is None or not self.snr_db < limit:
            return None
        return f"a signal-to-noise ratio of {self.snr_db:.1f} dB is low, {precision} should reach {limit:g} dB"

    def describe(self) -> str:
        """Return the numbers as a clause."""
        if self.shapes:
            return f"shape {self.shapes}"
        if not self.finite:
            return "NaN or infinite"
        if self.relative_error == 0:
            return "equal"
        ratio = "no signal" if math.isnan(self.snr_db) else f"SNR {self.snr_db:.1f} dB"
        return f"{ratio}, relative error {self.relative_error:.2g}"


def compare(expected: Array, found: Array) -> Agreement:
    """Compare an array with what it should be.

    Values that are not finite in `expected` are left out: a network may return infinities on purpose.

    Args:
        expected: The result of the float network, any shape.
        found: The result to judge.

    Returns:
        The difference.
    """
    if expected.shape != found.shape:
        wrong = f"{list(found.shape)} in place of {list(expected.shape)}"
        return Agreement(relative_error=math.inf, snr_db=-math.inf, shapes=wrong)
    counted = np.isfinite(expected) if expected.dtype.kind == "f" else np.ones(expected.shape, bool)
    wanted, got = expected[counted].astype(np.float64), found[counted].astype(np.float64)
    if not np.isfinite(got).all():
        return Agreement(relative_error=math.inf, snr_db=-math.inf, finite=False)
    noise = np.abs(wanted - got)
    if not noise.any():
        return Agreement(relative_error=0.0, snr_db=math.inf)
    largest = float(np.abs(wanted).max())
    if largest < ZERO:
        return Agreement(relative_error=float(noise.max()) / ZERO, snr_db=math.nan)
    # Divided by the largest value first, so that no square overflows or becomes zero.
    signal = float(np.square(wanted / largest).sum())
    rest = float(np.square(noise / largest).sum())
    snr_db = 10 * math.log10(signal / rest) if rest else math.inf
    return Agreement(relative_error=float(noise.max()) / largest, snr_db=snr_db)


def worst(agreements: list[Agreement]) -> Agreement:
    """Return the agreement with the lowest signal-to-noise ratio; equal outputs where there are none."""
    by_ratio = sorted(agreements, key=lambda item: -math.inf if item.problem("int8") else _number(item.snr_db))
    return by_ratio[0] if by_ratio else Agreement(relative_error=0.0, snr_db=math.inf)


def _number(snr_db: float) -> float:
    return math.inf if math.isnan(snr_db) else snr_db


def moved(expected: Array, found: Array, side: float) -> float:
    """Return the share of joints that moved by more than 0.05 of a box.

    Args:
        expected: The joints of the float network, [N, K, 2 or more]: x, y, and values that are not used.
        found: The joints to judge, in the same shape.
        side: The longer side of the box, in the unit of the joints.

    Returns:
        A fraction from 0 to 1. A joint that is not finite has moved.
    """
    distance = np.linalg.norm(found[..., :2].astype(np.float64) - expected[..., :2], axis=-1)
    # `not near` is also true for NaN, which `far` is not.
    return float((~(distance <= MOVED * side)).mean()) if distance.size else 0.0


def finite(value: Any) -> Any:
    """Return a JSON value with None in the place of numbers that are not finite, which JSON does not have."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
