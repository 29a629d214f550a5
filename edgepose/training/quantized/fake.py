"""Fake quantization: values rounded and clipped as int8 does, in float, with gradients (Bengio et al., 2013).

The straight-through estimator passes the gradient of a rounded value to the value before it. Scales of activations are
learned (Esser et al., ICLR 2020) as the base-2 logarithm of their factor to the calibrated scale (Jain et al., MLSys
2020), so that one learning rate fits tensors of any range. Scales of weights follow from the weights, by the rule of
`quantize.qdq.quantize_weight`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from edgepose.quantize.ranges import STEPS


class _Straight(torch.autograd.Function):
    """Return `found` in the forward pass, and hand its gradient to `source`."""

    @staticmethod
    def forward(ctx: Any, found: Tensor, source: Tensor) -> Tensor:
        return found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        return None, gradient


class _FakeActivation(torch.autograd.Function):
    """Round and clip. It keeps the values alone, and computes the steps again for the gradient, to save memory."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(values, scale)
        return (values / scale).round_().clamp_(-STEPS - 1, STEPS).mul_(scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        values, scale = ctx.saved_tensors
        steps = values / scale
        rounded = torch.round(steps)
        clipped = torch.clamp(rounded, -STEPS - 1, STEPS)
        inside = rounded == clipped
        clipped -= steps.mul_(inside)
        return gradient * inside, (gradient * clipped).sum()


def straight(found: Tensor, source: Tensor) -> Tensor:
    """Return `found`, whose gradient goes to `source` (a tensor of the same shape)."""
    made: Tensor = _Straight.apply(found, source)  # type: ignore[no-untyped-call]
    return made


def fake_activation(
    values: Tensor,
    scale: Tensor,  # [], positive
) -> Tensor:
    """Return what QuantizeLinear and DequantizeLinear make of the values, with gradients for values and scale."""
    made: Tensor = _FakeActivation.apply(values, scale)  # type: ignore[no-untyped-call]
    return made


def fake_weight(weight: Tensor, axis: int | None, groups: int = 1) -> Tensor:
    """Return what `quantize.qdq.quantize_weight` and DequantizeLinear make of a weight, with a gradient.

    Args:
        weight: [...] float32.
        axis: The axis with one scale per entry, or None for a single scale.
        groups: With more than one, the entries along the axis share a scale within each of so many equal groups.
    """
    raw = weight.detach()
    others = [index for index in range(raw.ndim) if index != axis]
    largest = raw.abs().amax(dim=others)
    if axis is not None and groups > 1:
        largest = largest.reshape(groups, -1).amax(dim=1).repeat_interleave(len(largest) // groups)
    dead = largest <= STEPS * torch.finfo(torch.float32).tiny
    scale = torch.where(dead, torch.full_like(largest, STEPS), largest) / STEPS
    if axis is not None:
        scale = scale.reshape([-1 if index == axis else 1 for index in range(raw.ndim)])
    return straight(torch.clamp(torch.round(raw / scale), -STEPS, STEPS) * scale, weight)
