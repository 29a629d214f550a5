"""Pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from edgepose.training.quantized.operators.call import Call, Operator
from edgepose.training.quantized.operators.windows import window_of


def max_pool(call: Call, inputs: Sequence[Any]) -> Tensor:
    """MaxPool over images [B, C, H, W]."""
    (values,) = inputs
    call.need(values.ndim == 4 and call.outputs == 1, "other than one output for images")
    window = window_of(call, call.get("kernel_shape", []), values.shape[2:])
    ceil = bool(call.get("ceil_mode", 0))
    call.need(not ceil or window.begins == window.ends, "ceil_mode and uneven padding")
    padded = window.padded(values, float("-inf"))
    return functional.max_pool2d(padded, window.kernel, window.strides, 0, window.dilations, ceil)


def average_pool(call: Call, inputs: Sequence[Any]) -> Tensor:
    """AveragePool over images [B, C, H, W]."""
    (values,) = inputs
    window = window_of(call, call.get("kernel_shape", []), values.shape[2:])
    call.need(values.ndim == 4 and set(window.dilations) == {1}, "dilations, or other than images")
    even, ceil = window.begins == window.ends, bool(call.get("ceil_mode", 0))
    counted = bool(call.get("count_include_pad", 0))
    if even:
        return functional.avg_pool2d(values, window.kernel, window.strides, window.begins, ceil, counted)
    call.need(not ceil, "ceil_mode and uneven padding")
    total = functional.avg_pool2d(window.padded(values), window.kernel, window.strides)
    if counted:
        return total
    share = functional.avg_pool2d(window.padded(torch.ones_like(values[:1, :1])), window.kernel, window.strides)
    return total / share


def global_average_pool(call: Call, inputs: Sequence[Any]) -> Tensor:
    """GlobalAveragePool."""
    return torch.mean(inputs[0], dim=list(range(2, inputs[0].ndim)), keepdim=True)


def global_max_pool(call: Call, inputs: Sequence[Any]) -> Tensor:
    """GlobalMaxPool."""
    return torch.amax(inputs[0], dim=list(range(2, inputs[0].ndim)), keepdim=True)


TABLE: dict[str, Operator] = {
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "GlobalMaxPool": global_max_pool,
}
