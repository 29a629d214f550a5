"""The largest value of every float tensor on a few inputs, observed inside the graph so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.graph.lookup import copied
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

    The graph itself reduces each tensor to two numbers, so one run computes all of them and keeps none in memory.

    Args:
        model: The prepared float graph (`graph.prepare`) with one input.
        inputs: Inputs of the network [N, ...].
        make_runner: Makes what runs the graph.

    Raises:
        ModelError: The graph cannot be run, or the type of a tensor is unknown.
    """
    view = view_of(model)
    names = [name for node in model.graph.node for name in view.float_outputs(node)]
    largest = _largest(model, names, inputs, make_runner, _extremes)
    masks = [name for name, value in largest.items() if not np.isfinite(value)]
    if masks:
        largest |= _largest(model, masks, inputs, make_runner, _finite_extremes)
    return largest | {name: float(np.abs(inputs).max(initial=0)) for name in view.graph.inputs[:1]}


Reduction = Callable[[str], list["onnx.NodeProto"]]  # tensor -> the nodes that reduce it


def _largest(
    model: onnx.ModelProto, names: list[str], inputs: Array, make_runner: MakeRunner, reduction: Reduction
) -> dict[str, float]:
    from onnx import numpy_helper

    made = copied(model)
    made.graph.initializer.append(numpy_helper.from_array(np.zeros((), np.float32), ZERO))
    for name in names:
        made.graph.node.extend(reduction(name))
    labels = {name: (f"{name}__max", f"{name}__min") for name in names}
    runner = make_runner(made, tuple(label for pair in labels.values() for label in pair))
    largest = dict.fromkeys(names, 0.0)
    for images in batches(runner, inputs):
        values = runner.run(images)
        for name, pair in labels.items():
            largest[name] = max(largest[name], *(abs(float(values[label])) for label in pair))
    return largest


def _extremes(name: str) -> list[onnx.NodeProto]:
    """Reduce a tensor to its largest and its smallest value."""
    from onnx import helper

    return [
        helper.make_node("ReduceMax", [name], [f"{name}__max"], keepdims=0),
        helper.make_node("ReduceMin", [name], [f"{name}__min"], keepdims=0),
    ]


def _finite_extremes(name: str) -> list[onnx.NodeProto]:
    """Do as `_extremes`, with 0 in place of infinities, which a mask holds."""
    from onnx import helper

    finite = f"{name}__finite"
    return [
        helper.make_node("IsInf", [name], [f"{name}__infinite"]),
        helper.make_node("Where", [f"{name}__infinite", ZERO, name], [finite]),
        helper.make_node("ReduceMax", [finite], [f"{name}__max"], keepdims=0),
        helper.make_node("ReduceMin", [finite], [f"{name}__min"], keepdims=0),
    ]


def batches(runner: Runner, inputs: Array) -> Iterator[Array]:
    """Yield the inputs one at a time, or as many as a fixed batch axis asks for, the last one repeated."""
    axis = runner.input_shape[0]
    count = axis if isinstance(axis, int) else 1
    for start in range(0, len(inputs), count):
        part = inputs[start : start + count]
        yield np.concatenate([part, np.repeat(part[-1:], count - len(part), axis=0)]) if len(part) < count else part
