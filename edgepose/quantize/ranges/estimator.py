"""`Estimator`: what a method that turns observed activations into a quantization range consists of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.quantize.statistics import Observed

STEPS = 127  # the scale is threshold / 127, so int8 -128 is never needed and zero stays zero


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """A method that chooses the range of one tensor from its statistics alone.

    Attributes:
        name: Its name in contracts, on the command line and in scales.json.
        threshold: Takes the statistics of a tensor that is not always zero, and the options. Returns the largest
            absolute value that int8 shall represent; larger values are clipped.
        needs: Names of the statistics that it needs in addition to "range".
        parameters: Names of the options that it reads; scales.json keeps their values.
    """

    name: str
    threshold: Callable[[Observed, QuantizeOptions], float]
    needs: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
