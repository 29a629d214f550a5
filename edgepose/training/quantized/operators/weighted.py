"""Convolutions, deconvolutions and matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional

from edgepose.training.quantized.operators.call import Call, Operator
from edgepose.training.quantized.operators.windows import window_of

_CONV = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_DECONV = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}


def conv(call: Call, inputs: Sequence[Any]) -> Tensor:
    """Conv."""
    values, weight = inputs[:2]
    bias = inputs[2] if len(inputs) > 2 else None
    window, axes = window_of(call, weight.shape[2:], values.shape[2:]), weight.ndim - 2
    padding: Any = window.begins
    if window.begins != window.ends:
        values, padding = window.padded(values), 0
    return _CONV[axes](values, weight, bias, window.strides, padding, window.dilations, call.get("group", 1))


def conv_transpose(call: Call, inputs: Sequence[Any]) -> Tensor:
    """ConvTranspose, computed without padding and then cropped by it."""
    call.need("output_shape" not in call.attributes, "output_shape")
    call.need(call.text("auto_pad", "NOTSET") in ("NOTSET", "VALID"), "auto_pad")
    values, weight = inputs[:2]
    bias = inputs[2] if len(inputs) > 2 else None
    window, axes = window_of(call, weight.shape[2:], values.shape[2:]), weight.ndim - 2
    more = tuple(call.get("output_padding", [0] * axes))
    found = _DECONV[axes](values, weight, bias, window.strides, 0, more, call.get("group", 1), window.dilations)
    for axis, (begin, end) in enumerate(zip(window.begins, window.ends, strict=True)):
        found = found.narrow(axis + 2, begin, found.shape[axis + 2] - begin - end)
    return found


def gemm(call: Call, inputs: Sequence[Any]) -> Tensor:
    """Gemm."""
    a = inputs[0].T if call.get("transA", 0) else inputs[0]
    b = inputs[1].T if call.get("transB", 0) else inputs[1]
    found = (a @ b) * call.get("alpha", 1.0)
    if len(inputs) < 3 or inputs[2] is None:
        return found  # type: ignore[no-any-return]
    return found + inputs[2] * call.get("beta", 1.0)  # type: ignore[no-any-return]


TABLE: dict[str, Operator] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Gemm": gemm,
    "MatMul": lambda call, x: x[0] @ x[1],
}
