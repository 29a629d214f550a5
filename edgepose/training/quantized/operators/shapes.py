"""Operators that move values and compute none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from edgepose.training.quantized.operators.call import Call, Operator, integers

_PAD_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}


def reshape(call: Call, inputs: Sequence[Any]) -> Tensor:
    """Reshape; 0 keeps the length of an axis."""
    values, shape = inputs[0], integers(inputs[1])
    if not call.get("allowzero", 0):
        shape = [values.shape[axis] if length == 0 else length for axis, length in enumerate(shape)]
    return values.reshape(shape)  # type: ignore[no-any-return]


def transpose(call: Call, inputs: Sequence[Any]) -> Tensor:
    """Transpose."""
    return torch.permute(inputs[0], tuple(call.get("perm", range(inputs[0].ndim)[::-1])))


def flatten(call: Call, inputs: Sequence[Any]) -> Tensor:
    """Flatten to two axes."""
    values, axis = inputs[0], call.get("axis", 1)
    return values.reshape(math.prod(values.shape[: axis % (values.ndim + 1)]), -1)  # type: ignore[no-any-return]


def cut(call: Call, inputs: Sequence[Any]) -> Tensor:
    """Slice."""
    values = inputs[0]
    begins, ends = integers(inputs[1]), integers(inputs[2])
    axes = integers(inputs[3]) if len(inputs) > 3 and inputs[3] is not None else list(range(len(begins)))
    steps = integers(inputs[4]) if len(inputs) > 4 and inputs[4] is not None else [1] * len(begins)
    for axis, begin, end, step in zip(axes, begins, ends, steps, strict=True):
        picked = range(values.shape[axis])[begin:end:step]
        if step < 0 and end < -values.shape[axis]:
            picked = range(values.shape[axis])[begin::step]
        values = values.index_select(axis, torch.tensor(list(picked), device=values.device, dtype=torch.int64))
    return values  # type: ignore[no-any-return]


def split(call: Call, inputs: Sequence[Any]) -> tuple[Tensor, ...]:
    """Split."""
    values, axis = inputs[0], call.get("axis", 0)
    if len(inputs) > 1 and inputs[1] is not None:
        return torch.split(values, integers(inputs[1]), dim=axis)
    return torch.split(values, -(-values.shape[axis] // call.outputs), dim=axis)


def gather(call: Call, inputs: Sequence[Any]) -> Tensor:
    """Gather."""
    values, index = inputs
    axis = call.get("axis", 0) % values.ndim
    index = torch.where(index < 0, index + values.shape[axis], index)
    found = values.index_select(axis, index.flatten().to(torch.int64))
    return found.reshape(*values.shape[:axis], *index.shape, *values.shape[axis + 1 :])  # type: ignore[no-any-return]


def gather_nd(call: Call, inputs: Sequence[Any]) -> Tensor:
    """GatherND without batch axes."""
    call.need(not call.get("batch_dims", 0), "batch_dims")
    values, index = inputs
    return values[tuple(index.to(torch.int64).unbind(-1))]  # type: ignore[no-any-return]


def squeeze(call: Call, inputs: Sequence[Any]) -> Tensor:
    """Squeeze."""
    values = inputs[0]
    given = integers(inputs[1]) if len(inputs) > 1 and inputs[1] is not None else call.get("axes", None)
    axes = [axis for axis, length in enumerate(values.shape) if length == 1] if given is None else given
    return torch.squeeze(values, tuple(axes))


def unsqueeze(call: Call, inputs: Sequence[Any]) -> Tensor:
    """Unsqueeze; the axes count in the output."""
    values = inputs[0]
    given = integers(inputs[1]) if len(inputs) > 1 else call.get("axes", [])
    rank = values.ndim + len(given)
    for axis in sorted(axis % rank for axis in given):
        values = values.unsqueeze(axis)
    return values  # type: ignore[no-any-return]


def pad(call: Call, inputs: Sequence[Any]) -> Tensor:
    """Pad."""
    values, mode = inputs[0], call.text("mode", "constant")
    call.need(mode in _PAD_MODES, f"mode {mode!r}")
    call.need(len(inputs) < 4 or inputs[3] is None, "axes")
    pads = integers(inputs[1]) if len(inputs) > 1 else list(call.get("pads", []))
    fill = float(inputs[2]) if len(inputs) > 2 and inputs[2] is not None else 0.0
    rank = values.ndim
    sides = [side for axis in reversed(range(rank)) for side in (pads[axis], pads[axis + rank])]
    if mode == "constant":
        return functional.pad(values, sides, value=fill)
    call.need(not any(sides[4:]), "padding of other than the last two axes")
    return functional.pad(values, sides[:4], mode=_PAD_MODES[mode])


def expand(call: Call, inputs: Sequence[Any]) -> Tensor:
    """Expand."""
    return inputs[0] * torch.ones(integers(inputs[1]), dtype=inputs[0].dtype, device=inputs[0].device)  # type: ignore[no-any-return]


TABLE: dict[str, Operator] = {
    "Concat": lambda call, x: torch.cat(list(x), dim=call.get("axis", 0)),
    "Reshape": reshape,
    "Transpose": transpose,
    "Flatten": flatten,
    "Slice": cut,
    "Split": split,
    "Gather": gather,
    "GatherND": gather_nd,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Pad": pad,
    "Expand": expand,
    "Shape": lambda call, x: torch.tensor(list(x[0].shape), dtype=torch.int64, device=x[0].device),
    "Identity": lambda call, x: x[0],
    "Dropout": lambda call, x: x[0],
}
