"""The largest value of every float tensor on a few inputs, observed inside the graph so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.graph.lookup import copied, graph_of
from edgepose.quantize.float16.view import view_of
from edgepose.quantize.work import MakeRunner, Runner

if TYPE_CHECKING:
    import onnx

ZERO = "edgepose__zero"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A few inputs of a network, and what runs a graph on them.

    Attributes:
        inputs: The inputs [N, ...].
        make_runner: Makes what runs a graph as it is written, without optimizations, such as
            `backends.onnxruntime.make_plain_runner`.
    """

    inputs: Array
    make_runner: MakeRunner


def largest_values(model: onnx.ModelProto, inputs: Array, make_runner: MakeRunner) -> dict[str, float]:
    """Return the largest finite absolute value of each float32 tensor.

    The graph itself reduces each tensor to one number, so one run computes all of them and keeps none in memory.

    Args:
        model: The prepared float graph (`graph.prepare`) with one input.
        inputs: Inputs of the network [N, ...].
        make_runner: Makes what runs the graph.

    Raises:
        ModelError: The graph cannot be run, or the type of a tensor is unknown.
    """
    view = view_of(model)
    tensors = {name: f"{name}__largest" for node in model.graph.node for name in view.float_outputs(node)}
    largest = {name: float(np.abs(inputs).max(initial=0)) for name in graph_of(model).inputs[:1]}
    runner = make_runner(_reducing(model, tensors), tuple(tensors.values()))
    for images in batches(runner, inputs):
        values = runner.run(images)
        for name, label in tensors.items():
            largest[name] = max(largest.get(name, 0.0), float(values[label]))
    return largest


def _reducing(model: onnx.ModelProto, tensors: dict[str, str]) -> onnx.ModelProto:
    """Add the largest finite absolute value of each tensor, in place of a mask's infinities 0."""
    from onnx import helper, numpy_helper

    made = copied(model)
    made.graph.initializer.append(numpy_helper.from_array(np.zeros((), np.float32), ZERO))
    for name, label in tensors.items():
        made.graph.node.extend(
            (
                helper.make_node("IsInf", [name], [f"{label}__infinite"]),
                helper.make_node("Abs", [name], [f"{label}__size"]),
                helper.make_node("Where", [f"{label}__infinite", ZERO, f"{label}__size"], [f"{label}__finite"]),
                helper.make_node("ReduceMax", [f"{label}__finite"], [label], keepdims=0),
            )
        )
    return made


def batches(runner: Runner, inputs: Array) -> Iterator[Array]:
    """Yield the inputs one at a time, or as many as a fixed batch axis asks for, the last one repeated."""
    axis = runner.input_shape[0]
    count = axis if isinstance(axis, int) else 1
    for start in range(0, len(inputs), count):
        part = inputs[start : start + count]
        yield np.concatenate([part, np.repeat(part[-1:], count - len(part), axis=0)]) if len(part) < count else part
