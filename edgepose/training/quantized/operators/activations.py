"""Activation functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from edgepose.training.quantized.operators.call import Call, Operator


def clip(call: Call, inputs: Sequence[Any]) -> Tensor:
    """Clip; the limits are inputs, or attributes before opset 11."""
    low = inputs[1] if len(inputs) > 1 else call.get("min", None)
    high = inputs[2] if len(inputs) > 2 else call.get("max", None)
    if low is None and high is None:
        return _tensor(inputs[0])
    return torch.clamp(inputs[0], _number(low), _number(high))


def prelu(call: Call, inputs: Sequence[Any]) -> Tensor:
    """PRelu; the slope broadcasts as in ONNX."""
    values, slope = inputs
    return torch.where(values >= 0, values, values * slope)


def hard_sigmoid(call: Call, inputs: Sequence[Any]) -> Tensor:
    """HardSigmoid."""
    return torch.clamp(inputs[0] * call.get("alpha", 0.2) + call.get("beta", 0.5), 0, 1)


def hard_swish(call: Call, inputs: Sequence[Any]) -> Tensor:
    """HardSwish."""
    return _tensor(inputs[0] * torch.clamp(inputs[0] / 6 + 0.5, 0, 1))


def gelu(call: Call, inputs: Sequence[Any]) -> Tensor:
    """Gelu."""
    return functional.gelu(inputs[0], approximate=call.text("approximate", "none"))


def _number(limit: Any) -> float | None:
    return None if limit is None else float(limit)


def _tensor(values: Any) -> Tensor:
    assert isinstance(values, Tensor)
    return values


TABLE: dict[str, Operator] = {
    "Relu": lambda call, x: torch.relu(x[0]),
    "Clip": clip,
    "LeakyRelu": lambda call, x: functional.leaky_relu(x[0], call.get("alpha", 0.01)),
    "PRelu": prelu,
    "Elu": lambda call, x: functional.elu(x[0], call.get("alpha", 1.0)),
    "Sigmoid": lambda call, x: torch.sigmoid(x[0]),
    "HardSigmoid": hard_sigmoid,
    "HardSwish": hard_swish,
    "Tanh": lambda call, x: torch.tanh(x[0]),
    "Softplus": lambda call, x: functional.softplus(x[0]),
    "Gelu": gelu,
    "Softmax": lambda call, x: torch.softmax(x[0], dim=call.get("axis", -1)),
}
