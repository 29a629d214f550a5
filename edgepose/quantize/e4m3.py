"""The numbers of FP8 in the format E4M3: the definition that the graphs are compared with.

E4M3 has a sign, four bits of exponent with a bias of 7, and three bits of mantissa. The largest number is 448, the
smallest above zero is 2^-9, and there are no infinities. Numbers are rounded to the nearest one, ties to even, and
beyond 448 they saturate, as QuantizeLinear does in ONNX (opset 19) for the type FLOAT8E4M3FN.
"""

from __future__ import annotations

import numpy as np

from edgepose._checks import Array

LARGEST = 448.0
MANTISSA = 3  # bits
SMALLEST_EXPONENT = -6  # of the numbers with an implicit leading one


def round_e4m3(values: Array) -> Array:
    """Round to the numbers of E4M3.

    Args:
        values: [...] float32, finite.

    Returns:
        [...] float32, each a number of E4M3.
    """
    limited = np.clip(values.astype(np.float64), -LARGEST, LARGEST)
    exponent = np.maximum(np.frexp(limited)[1] - 1, SMALLEST_EXPONENT)
    step = np.ldexp(1.0, exponent - MANTISSA)
    return np.asarray(np.rint(limited / step) * step, np.float32)


def codes_of(values: Array) -> Array:
    """Return the bytes of numbers of E4M3.

    Args:
        values: [...] float32, numbers of E4M3 as `round_e4m3` returns them.

    Returns:
        [...] uint8: the sign, the exponent and the mantissa of each.
    """
    size = np.abs(values.astype(np.float64))
    exponent = np.where(size > 0, np.maximum(np.frexp(size)[1] - 1, SMALLEST_EXPONENT), SMALLEST_EXPONENT)
    steps = np.ldexp(size, MANTISSA - exponent).astype(np.int64)  # with the leading one, which small numbers lack
    code = steps + ((exponent - SMALLEST_EXPONENT) << MANTISSA)
    return np.asarray(code + (np.signbit(values) * 0x80), np.uint8)
