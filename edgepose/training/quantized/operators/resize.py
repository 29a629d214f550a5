"""Resize in the modes nearest and linear, axis by axis, with every coordinate rule of ONNX that networks use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgepose.training.quantized.operators.call import Call, Operator, integers


def resize(call: Call, inputs: Sequence[Any]) -> Tensor:
    """Resize."""
    values = inputs[0]
    mode = call.text("mode", "nearest")
    call.need(mode in ("nearest", "linear"), f"mode {mode!r}")
    call.need("axes" not in call.attributes, "axes")
    scales = inputs[2].tolist() if len(inputs) > 2 and inputs[2] is not None and inputs[2].numel() else None
    if scales is None:
        sizes = integers(inputs[3])
        scales = [size / before for size, before in zip(sizes, values.shape, strict=True)]
    else:
        sizes = [math.floor(scale * before) for scale, before in zip(scales, values.shape, strict=True)]
    for axis, (size, scale) in enumerate(zip(sizes, scales, strict=True)):
        if size != values.shape[axis]:
            values = _along(call, values, axis, size, scale, mode)
    return values  # type: ignore[no-any-return]


def _along(call: Call, values: Tensor, axis: int, size: int, scale: float, mode: str) -> Tensor:
    before = values.shape[axis]
    places = [_place(call, x, size, scale, before) for x in range(size)]
    if mode == "nearest":
        rule = call.text("nearest_mode", "round_prefer_floor")
        picked = [min(max(_rounded(call, place, rule), 0), before - 1) for place in places]
        return values.index_select(axis, torch.tensor(picked, device=values.device))
    inside = [min(max(place, 0.0), before - 1.0) for place in places]
    low = [min(math.floor(place), before - 1) for place in inside]
    high = [min(index + 1, before - 1) for index in low]
    share = torch.tensor([place - index for place, index in zip(inside, low, strict=True)], device=values.device)
    share = share.to(values.dtype).reshape([-1 if index == axis else 1 for index in range(values.ndim)])
    first, second = (values.index_select(axis, torch.tensor(i, device=values.device)) for i in (low, high))
    return first + (second - first) * share


def _place(call: Call, x: int, size: int, scale: float, before: int) -> float:
    """Return the coordinate in the input of pixel `x` of the output, in float32, so that ties round as in engines."""
    rule = call.text("coordinate_transformation_mode", "half_pixel")
    if rule == "asymmetric":
        return float(np.float32(x) / np.float32(scale))
    if rule == "align_corners":
        return x * (before - 1) / (size - 1) if size > 1 else 0.0
    call.need(rule in ("half_pixel", "pytorch_half_pixel"), f"coordinate rule {rule!r}")
    return (
        0.0
        if rule == "pytorch_half_pixel" and size == 1
        else float(np.float32(x + 0.5) / np.float32(scale) - np.float32(0.5))
    )


def _rounded(call: Call, place: float, rule: str) -> int:
    if rule == "floor":
        return math.floor(place)
    if rule == "ceil":
        return math.ceil(place)
    call.need(rule in ("round_prefer_floor", "round_prefer_ceil"), f"nearest rule {rule!r}")
    return math.ceil(place - 0.5) if rule == "round_prefer_floor" else math.floor(place + 0.5)


TABLE: dict[str, Operator] = {"Resize": resize}
