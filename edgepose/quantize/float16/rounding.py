"""A float32 graph that rounds every tensor as the half graph does.

ONNX Runtime has few float16 kernels for CPUs: it computes most of a half graph in float32 and stores few tensors in
float16, so what overflows on a GPU is right there. Here a pair of Casts behind each half node rounds what the node
computes, and constants are rounded ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

import numpy as np

from edgepose.graph.lookup import copied, replace_nodes
from edgepose.graph.newnames import NewNames
from edgepose.graph.prepare import array_of
from edgepose.quantize.float16.operators import float_positions
from edgepose.quantize.float16.view import FLOAT, HALF, View
from edgepose.quantize.float16.writer import half_of

if TYPE_CHECKING:
    import onnx


def rounded(view: View, kept: Collection[str]) -> onnx.ModelProto:
    """Return the emulation of the half graph.

    Args:
        view: The prepared graph, which is left as it is.
        kept: Names of the nodes that stay in float32.

    Returns:
        A float32 graph in which every tensor has its name in `view` and the value that the half graph stores.
    """
    model = copied(view.model)
    constants: dict[str, onnx.TensorProto] = {}
    replace_nodes(model, _nodes(view, model, frozenset(kept), constants))
    model.graph.initializer.extend(constants.values())
    return model


def _nodes(
    view: View, model: onnx.ModelProto, kept: frozenset[str], constants: dict[str, onnx.TensorProto]
) -> Iterator[onnx.NodeProto]:
    from onnx import numpy_helper

    names = NewNames(model)
    full = set(view.graph.inputs)  # tensors in float32
    halves: dict[str, str] = {}  # of these and the constants, the name of the rounded one
    for node in list(model.graph.node):
        always = range(len(node.input)) if node.name in kept else float_positions(node, view.opset)
        for index, name in enumerate(node.input):
            if name not in view.floats or index in always or not (name in full or name in view.graph.constants):
                continue
            if name not in halves:
                label = halves[name] = names.new(f"{name}__rounded")
                if name in view.graph.constants:
                    value = half_of(array_of(view.graph, name)).astype(np.float32)
                    constants[label] = numpy_helper.from_array(value, label)
                else:
                    yield from _round(name, label, names)
            node.input[index] = halves[name]
        made = [(index, name) for index, name in enumerate(node.output) if name in view.floats]
        if node.name in kept:
            full.update(name for _, name in made)
            yield node
            continue
        exact = {name: names.new(f"{name}__exact") for _, name in made}
        for index, name in made:
            node.output[index] = exact[name]
        yield node
        for name, source in exact.items():
            yield from _round(source, name, names)


def _round(source: str, target: str, names: NewNames) -> Iterator[onnx.NodeProto]:
    from onnx import helper

    half = names.new(f"{target}__half")
    yield helper.make_node("Cast", [source], [half], names.new(f"{half}__cast"), to=HALF)
    yield helper.make_node("Cast", [half], [target], names.new(f"{target}__cast"), to=FLOAT)
