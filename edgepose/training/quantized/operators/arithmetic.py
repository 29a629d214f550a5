"""Element-wise arithmetic, reductions and conversions of type."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from edgepose.training.quantized.operators.call import Call, Operator, integers

# The numbers of TensorProto.DataType
TYPES = {1: torch.float32, 6: torch.int32, 7: torch.int64, 9: torch.bool, 11: torch.float64, 2: torch.uint8}


def divide(call: Call, inputs: Sequence[Any]) -> Tensor:
    """Div, which truncates integers."""
    a, b = inputs
    return torch.div(a, b) if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def cast(call: Call, inputs: Sequence[Any]) -> Tensor:
    """Cast."""
    kind = call.get("to", 0)
    call.need(kind in TYPES, f"type {kind}")
    return inputs[0].to(TYPES[kind])  # type: ignore[no-any-return]


def arg_max(call: Call, inputs: Sequence[Any]) -> Tensor:
    """ArgMax."""
    call.need(not call.get("select_last_index", 0), "select_last_index")
    return torch.argmax(inputs[0], dim=call.get("axis", 0), keepdim=bool(call.get("keepdims", 1)))


def reduced(reduce: Callable[..., Tensor]) -> Operator:
    """Return a reduction; its axes are an attribute, or an input from opset 13 or 18 on."""

    def compute(call: Call, inputs: Sequence[Any]) -> Tensor:
        values = inputs[0]
        given = call.get("axes", None) if len(inputs) < 2 or inputs[1] is None else integers(inputs[1])
        if not given and call.get("noop_with_empty_axes", 0):
            return values  # type: ignore[no-any-return]
        axes = given or list(range(values.ndim))
        return reduce(values, dim=axes, keepdim=bool(call.get("keepdims", 1)))

    return compute


def batch_norm(call: Call, inputs: Sequence[Any]) -> Tensor:
    """BatchNormalization of a trained network, which no convolution before it could take in."""
    call.need(not call.get("training_mode", 0), "training_mode")
    values, gamma, beta, mean, variance = inputs
    shape = [1, -1, *[1] * (values.ndim - 2)]
    factor = gamma / torch.sqrt(variance + call.get("epsilon", 1e-5))
    return (values - mean.reshape(shape)) * factor.reshape(shape) + beta.reshape(shape)  # type: ignore[no-any-return]


def _folded(combine: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return lambda call, x: functools.reduce(combine, x)


TABLE: dict[str, Operator] = {
    "Add": lambda call, x: x[0] + x[1],
    "Sub": lambda call, x: x[0] - x[1],
    "Mul": lambda call, x: x[0] * x[1],
    "Div": divide,
    "Pow": lambda call, x: torch.pow(x[0], x[1]),
    "Sqrt": lambda call, x: torch.sqrt(x[0]),
    "Exp": lambda call, x: torch.exp(x[0]),
    "Log": lambda call, x: torch.log(x[0]),
    "Erf": lambda call, x: torch.erf(x[0]),
    "Neg": lambda call, x: -x[0],
    "Abs": lambda call, x: torch.abs(x[0]),
    "Floor": lambda call, x: torch.floor(x[0]),
    "Reciprocal": lambda call, x: torch.reciprocal(x[0]),
    "Max": _folded(torch.maximum),
    "Min": _folded(torch.minimum),
    "Sum": _folded(torch.add),
    "Where": lambda call, x: torch.where(x[0], x[1], x[2]),
    "Cast": cast,
    "ArgMax": arg_max,
    "ReduceMean": reduced(torch.mean),
    "ReduceSum": reduced(torch.sum),
    "ReduceMax": reduced(torch.amax),
    "ReduceMin": reduced(torch.amin),
    "BatchNormalization": batch_norm,
}
