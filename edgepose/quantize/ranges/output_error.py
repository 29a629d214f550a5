"""The error that each candidate range of a tensor causes in the outputs of the layers that read it.

The float network runs over a few images. For each tensor x and each candidate scale, the graph itself computes the
rounding error e = q(x) - x, sends it through the weights of the layers that read x (they are linear, so their output
moves by W e), and returns two sums: of the squares of W e and of the squares of the float output. One run measures all
candidates of all tensors, at the cost of about one more network for each candidate. Only these sums leave the graph.

Errors of clipping all have one sign and add up in a sum over neighbors, while those of rounding cancel. The error of
the tensor itself, which `mse` minimizes, does not show that; the error behind the weights does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from edgepose._checks import Array
from edgepose.graph.lookup import WEIGHTED, Graph, copied, graph_of
from edgepose.quantize.ranges.estimator import STEPS
from edgepose.quantize.value_ranges import batches
from edgepose.quantize.work import MakeRunner

if TYPE_CHECKING:
    import onnx

Readers = Mapping[str, tuple[tuple[str, int], ...]]  # tensor -> (node, input position) of each reader
PREFIX = "edgepose__error"


def output_errors(
    model: onnx.ModelProto,
    readers: Readers,
    candidates: Mapping[str, Array],
    inputs: Array,
    make_runner: MakeRunner,
) -> dict[str, Array]:
    """Measure how much each candidate threshold of each tensor changes the outputs of its readers.

    Args:
        model: The prepared float graph (`graph.prepare`) with one input.
        readers: The readers of each tensor's quantizer, as in `Placement.reads`.
        candidates: Tensor -> thresholds [K] to compare; the same K for every tensor.
        inputs: A few inputs of the network [N, ...].
        make_runner: Makes what runs the graph.

    Returns:
        Tensor -> errors [K]: the squared error of each reader's output relative to its squared float output, added up
        over the readers.
    """
    made = copied(model)
    graph = graph_of(model)
    by_name = {node.name: node for node in graph.nodes}
    builder = _Builder(made)
    energies: dict[str, str] = {}
    labels: dict[str, list[tuple[str, str]]] = {}
    for tensor, thresholds in candidates.items():
        error = builder.rounding_error(tensor, thresholds)
        nodes = list(dict.fromkeys(name for name, _ in readers[tensor]))
        labels[tensor] = []
        for name in nodes:
            output = by_name[name].output[0]
            if output not in energies:
                energies[output] = builder.squares(output, 1)
            moved = builder.through(graph, by_name[name], error)
            labels[tensor].append((builder.squares(moved, len(thresholds)), energies[output]))
    return _summed(made, labels, inputs, make_runner)


def _summed(
    model: onnx.ModelProto, labels: dict[str, list[tuple[str, str]]], inputs: Array, make_runner: MakeRunner
) -> dict[str, Array]:
    names = tuple(dict.fromkeys(label for pairs in labels.values() for pair in pairs for label in pair))
    runner = make_runner(model, names)
    sums = {name: np.zeros(1) for name in names}
    for images in batches(runner, inputs):
        values = runner.run(images)
        for name in names:
            sums[name] = sums[name] + values[name].astype(np.float64)
    tiny = np.finfo(np.float64).tiny
    return {
        tensor: np.sum([sums[moved] / max(float(sums[energy][0]), tiny) for moved, energy in pairs], axis=0)
        for tensor, pairs in labels.items()
    }


class _Builder:
    """Adds to a graph the nodes that measure errors.

    Args:
        model: The graph, which is changed.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self._count = 0
        self._constants: dict[bytes, str] = {}

    def rounding_error(self, tensor: str, thresholds: Array) -> str:
        """Add q(x) - x for each of the K thresholds; return the name of the result [B * K, ...], x being [B, ...]."""
        scale = self._constant((thresholds / STEPS).astype(np.float32))
        shape = self._op("Shape", [tensor])
        rest = self._op("Slice", [shape, self._constant(np.array([1])), self._constant(np.array([99]))])
        whole = self._op("Concat", [self._constant(np.array([-1])), rest], axis=0)
        # every value in a row of its own, so that the candidates broadcast against it at any rank
        flat = self._op("Unsqueeze", [self._op("Flatten", [tensor], axis=1), self._constant(np.array([1]))])
        scale = self._op("Unsqueeze", [scale, self._constant(np.array([1]))])  # [K, 1]
        steps = self._op("Round", [self._op("Div", [flat, scale])])
        limits = [self._constant(np.array(end, np.float32)) for end in (-STEPS, STEPS)]
        values = self._op("Mul", [self._op("Clip", [steps, *limits]), scale])  # [B, K, F]
        return self._op("Reshape", [self._op("Sub", [values, flat]), whole])

    def through(self, graph: Graph, node: onnx.NodeProto, error: str) -> str:
        """Add what a reader makes of an error: its product with the weights, or the error itself without weights."""
        if node.op_type not in WEIGHTED or not graph.is_weighted(node):
            return error
        label = self._label()
        made = type(node)()
        made.CopyFrom(node)
        made.name = label
        del made.input[:]
        made.input.extend([error, node.input[1]])
        del made.output[:]
        made.output.append(label)
        self.model.graph.node.append(made)
        return label

    def squares(self, tensor: str, count: int) -> str:
        """Add the sum of squares for each of `count` candidates; return the name of the result [count]."""
        flat = self._op("Flatten", [tensor], axis=1)
        squares = self._op("Mul", [flat, flat])
        ones = self._constant(np.array([1]))
        sums = self._op("ReduceSum", [squares, ones], keepdims=0)  # [B * count]
        rows = self._op("Reshape", [sums, self._constant(np.array([-1, count]))])
        return self._op("ReduceSum", [rows, self._constant(np.array([0]))], keepdims=0)

    def _op(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        from onnx import helper

        label = self._label()
        self.model.graph.node.append(helper.make_node(kind, inputs, [label], label, **attributes))
        return label

    def _constant(self, value: Array) -> str:
        from onnx import numpy_helper

        value = np.asarray(value)
        key = str(value.dtype).encode() + str(value.shape).encode() + value.tobytes()
        if key not in self._constants:
            label = self._label()
            self.model.graph.initializer.append(numpy_helper.from_array(value, label))
            self._constants[key] = label
        return self._constants[key]

    def _label(self) -> str:
        self._count += 1
        return f"{PREFIX}{self._count}"
