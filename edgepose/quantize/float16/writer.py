"""Write the half graph: float16 constants, and Casts where a reader needs the other precision.

Each float tensor is computed in the precision of its node. Where a reader needs the other precision, one Cast makes it.
The graph's inputs and outputs stay float32.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.graph.lookup import Graph, copied, drop_unused_constants, graph_of, replace_nodes
from edgepose.graph.newnames import NewNames
from edgepose.graph.prepare import array_of
from edgepose.graph.subgraphs import bodies
from edgepose.quantize.float16.operators import float_positions
from edgepose.quantize.float16.view import FLOAT, HALF, HALF_MAX, View

if TYPE_CHECKING:
    import onnx


def cast_half(view: View, kept: Collection[str]) -> onnx.ModelProto:
    """Rewrite every float32 tensor as float16, except the graph's inputs and outputs and what `kept` nodes touch.

    Args:
        view: The prepared graph, which is left as it is.
        kept: Names of the nodes that stay in float32. Nodes with subgraphs must be among them.
    """
    model = copied(view.model)
    writer = _Writer(
        graph=graph_of(model), floats=view.floats, kept=frozenset(kept), opset=view.opset, names=NewNames(model)
    )
    replace_nodes(model, writer.nodes())
    model.graph.initializer.extend(writer.constants)
    drop_unused_constants(model)
    del model.graph.value_info[:]  # holds the old types
    return model


def half_of(values: Array) -> Array:
    """Round float32 values to float16. Limits of a Clip beyond its range, and no others come here, become 65504."""
    clipped = np.where(np.isfinite(values), np.clip(values, -HALF_MAX, HALF_MAX), values)
    return np.asarray(clipped.astype(np.float16))


@dataclass(kw_only=True)
class _Writer:
    """Walk the graph once and yield its nodes with the Casts between them.

    Attributes:
        graph: The graph.
        floats: Names of the float32 tensors.
        kept: Names of the nodes that stay in float32.
        opset: Version of the standard operators.
        names: Names for the tensors and nodes to add.
        home: Float tensor -> the precision in which it is computed.
        made: (tensor, precision) -> the name of the tensor in that precision.
        constants: The float16 initializers to add.
    """

    graph: Graph
    floats: frozenset[str]
    kept: frozenset[str]
    opset: int
    names: NewNames
    home: dict[str, int] = field(default_factory=dict)
    made: dict[tuple[str, int], str] = field(default_factory=dict)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def nodes(self) -> Iterator[onnx.NodeProto]:
        for name in self.graph.inputs:
            self._made_in(name, FLOAT, name)
        for node in self.graph.nodes:
            yield from self._node(node)
        for name in self.graph.outputs:
            if name in self.floats:
                yield from self._output(name)

    def _node(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        precision = FLOAT if node.name in self.kept else HALF
        always = float_positions(node, self.opset) if precision == HALF else ()
        for index, name in enumerate(node.input):
            wanted = FLOAT if index in always else precision
            if name in self.floats:
                yield from self._cast(name, wanted)
                node.input[index] = self.made[name, wanted]
        for body in bodies(node):
            yield from self._outer_tensors(body, frozenset())
        if precision == HALF:
            _retype(node)
        for index, name in enumerate(node.output):
            if name in self.floats:
                # a graph output keeps its name for the float32 result
                label = self.names.new(f"{name}__half") if precision == HALF and name in self.graph.outputs else name
                self._made_in(name, precision, label)
                node.output[index] = label
        yield node

    def _outer_tensors(self, body: onnx.GraphProto, inner: frozenset[str]) -> Iterator[onnx.NodeProto]:
        """Let a body read the float32 form of the tensors around it, in place; yield the Casts that make it."""
        inner |= {value.name for value in body.input} | {tensor.name for tensor in body.initializer}
        inner |= {name for node in body.node for name in node.output}
        for node in body.node:
            for index, name in enumerate(node.input):
                if name in self.floats and name not in inner:
                    yield from self._cast(name, FLOAT)
                    node.input[index] = self.made[name, FLOAT]
            for nested in bodies(node):
                yield from self._outer_tensors(nested, inner)
        for value in body.output:
            if value.name in self.floats and value.name not in inner:
                yield from self._cast(value.name, FLOAT)
                value.name = self.made[value.name, FLOAT]

    def _made_in(self, name: str, precision: int, label: str) -> None:
        self.home[name] = precision
        self.made[name, precision] = label

    def _cast(self, name: str, precision: int) -> Iterator[onnx.NodeProto]:
        """Make `name` available in `precision`: a converted constant, or one Cast node."""
        from onnx import helper, numpy_helper

        if (name, precision) in self.made:
            return
        if name in self.graph.constants and precision == FLOAT:
            self.made[name, precision] = name
            return
        label = self.names.new(f"{name}__{'half' if precision == HALF else 'float'}")
        self.made[name, precision] = label
        if name in self.graph.constants:
            value = half_of(array_of(self.graph, name))
            self.constants.append(numpy_helper.from_array(value, label))
            return
        source = self.made[name, self.home[name]]
        yield helper.make_node("Cast", [source], [label], self.names.new(f"{label}__cast"), to=precision)

    def _output(self, name: str) -> Iterator[onnx.NodeProto]:
        from onnx import helper

        if self.home.get(name) == HALF:
            yield helper.make_node("Cast", [self.made[name, HALF]], [name], self.names.new(f"{name}__cast"), to=FLOAT)


def _retype(node: onnx.NodeProto) -> None:
    """Change a node whose attribute asks for float32 (Cast, ConstantOfShape) to float16."""
    from onnx import helper, numpy_helper

    if node.op_type == "ConstantOfShape" and not node.attribute:  # zeros in float32 by default
        node.attribute.append(helper.make_attribute("value", numpy_helper.from_array(np.zeros(1, np.float16))))

    for item in node.attribute:
        if item.name in ("to", "dtype", "output_dtype") and item.i == FLOAT:
            item.i = HALF
        elif item.name == "value" and item.t.data_type == FLOAT:
            value = half_of(numpy_helper.to_array(item.t))
            item.t.CopyFrom(numpy_helper.from_array(value, item.t.name))
