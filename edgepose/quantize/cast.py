"""Cast a float32 network to float16. Its inputs and outputs stay float32.

The graph holds the precision, and engines compile what the graph says: initializers are float16, a Cast follows each
input and precedes each output, and Casts surround the nodes that stay in float32. These are the nodes that patterns
name, those that overflow or lose too much precision in float16 (softmax, exp, long sums), and those whose constants do
not fit float16.

Each float tensor is computed in the precision of its node. Where a reader needs the other precision, one Cast makes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edgepose.artifacts.spec import (
    KEPT_FLOAT_KEY,
    PARENT_KEY,
    PRECISION_KEY,
    ModelSpec,
    embed_spec,
    set_metadata,
)
from edgepose.errors import ModelError
from edgepose.graph.lookup import Graph, copied, drop_unused_constants, graph_of, replace_nodes
from edgepose.graph.prepare import array_of, prepare
from edgepose.quantize.names import matches, named_by

if TYPE_CHECKING:
    import onnx

FLOAT, HALF = 1, 10  # TensorProto.FLOAT, TensorProto.FLOAT16
HALF_MAX = 65504.0
# Exponentials, norms and long sums overflow at 65504 or lose small terms.
SENSITIVE = (
    "Softmax", "LogSoftmax", "Softplus", "Exp", "Log", "Pow", "Sqrt", "Reciprocal", "CumSum", "ReduceMean",
    "ReduceSum", "ReduceSumSquare", "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceProd",
    "LayerNormalization", "InstanceNormalization", "GroupNormalization", "MeanVarianceNormalization",
    "RMSNormalization", "LpNormalization", "NonMaxSuppression",
)  # fmt: skip
# Between two sensitive operators, these compute the squares and the epsilon of a norm, so they stay in float32 too.
ELEMENTWISE = ("Add", "Sub", "Mul", "Div")
# op -> input positions that are float32 by definition of the operator
ALWAYS_FLOAT = {"Resize": (2,), "Upsample": (1,)}


@dataclass(frozen=True, kw_only=True)
class CastOptions:
    """Which nodes stay in float32.

    Attributes:
        keep_float: Patterns (fnmatch) of the names of nodes that stay in float32.
        sensitive_float: Whether SENSITIVE operators, and the arithmetic between two of them, stay in float32.
    """

    keep_float: tuple[str, ...] = ()
    sensitive_float: bool = True


DEFAULT = CastOptions()


def to_fp16(
    model: onnx.ModelProto,
    spec: ModelSpec,
    parent_sha256: str,
    options: CastOptions = DEFAULT,
) -> onnx.ModelProto:
    """Cast a float32 graph to float16.

    Args:
        model: The float32 graph, which is left as it is.
        spec: The contract to embed. Its `quantize.keep_float` is about int8 and is not used.
        parent_sha256: Of the file that holds `model`.
        options: Which nodes stay in float32.

    Raises:
        ModelError: The graph is quantized, holds control flow, or has tensors of unknown type.
        UsageError: A pattern names no node.
    """
    prepared = prepare(model)
    kept = kept_in_float32(prepared, options)
    made = cast_half(prepared, set(kept))
    embed_spec(made, spec)
    set_metadata(made, PARENT_KEY, parent_sha256)
    set_metadata(made, PRECISION_KEY, "fp16")
    set_metadata(made, KEPT_FLOAT_KEY, json.dumps(kept))
    return made


def kept_in_float32(
    model: onnx.ModelProto,  # prepared
    options: CastOptions = DEFAULT,
) -> dict[str, str]:
    """Map the name of each node that stays in float32 to the reason.

    Raises:
        UsageError: A pattern names no node.
    """
    graph = graph_of(model)
    for pattern in options.keep_float:
        named_by(pattern, [node.name for node in graph.nodes], "keep_float")
    between = _between(graph) if options.sensitive_float else set()
    reasons: dict[str, str | None] = {node.name: _reason(graph, node, options) for node in graph.nodes}
    for name in between:
        reasons[name] = reasons[name] or "it lies between operators that overflow or lose too much in float16"
    return {name: reason for name, reason in reasons.items() if reason}


def _between(graph: Graph) -> set[str]:
    """Names of the ELEMENTWISE nodes with a SENSITIVE one above and one below, through ELEMENTWISE ones only."""
    below, above = set[str](), set[str]()  # tensors
    behind, ahead = set[str](), set[str]()  # nodes
    for node in graph.nodes:
        if node.op_type in ELEMENTWISE and not below.isdisjoint(node.input):
            behind.add(node.name)
        if node.op_type in SENSITIVE or node.name in behind:
            below.update(node.output)
    for node in reversed(graph.nodes):
        if node.op_type in ELEMENTWISE and not above.isdisjoint(node.output):
            ahead.add(node.name)
        if node.op_type in SENSITIVE or node.name in ahead:
            above.update(node.input)
    return behind & ahead


def _reason(graph: Graph, node: onnx.NodeProto, options: CastOptions) -> str | None:
    for pattern in options.keep_float:
        if matches(pattern, node.name):
            return f"keep_float: {pattern!r}"
    if options.sensitive_float and node.op_type in SENSITIVE:
        return f"{node.op_type} overflows or loses too much in float16"
    for name in node.input:
        if name in graph.constants and not _fits(graph, name):
            return f"constant {name!r} is beyond float16's {HALF_MAX:.0f}"
    return None


def _fits(graph: Graph, name: str) -> bool:
    if graph.constants[name].data_type != FLOAT:
        return True
    values = array_of(graph, name)
    return values.size == 0 or bool(np.abs(values).max() <= HALF_MAX)


def cast_half(
    model: onnx.ModelProto,  # prepared
    kept: set[str],  # names of nodes that stay in float32
) -> onnx.ModelProto:
    """Rewrite every float32 tensor as float16, except the graph's inputs and outputs and what `kept` nodes touch."""
    floats = _float_tensors(model)
    model = copied(model)
    graph = graph_of(model)
    writer = _Writer(graph=graph, floats=floats, kept=kept)
    replace_nodes(model, writer.nodes())
    model.graph.initializer.extend(writer.constants)
    drop_unused_constants(model)
    del model.graph.value_info[:]  # holds the old types
    return model


def _float_tensors(model: onnx.ModelProto) -> set[str]:
    """Name all float32 tensors. ModelError where a type is unknown or a node holds a subgraph."""
    from onnx import AttributeProto, shape_inference

    inferred = shape_inference.infer_shapes(model).graph
    types = {tensor.name: tensor.data_type for tensor in inferred.initializer}
    for value in (*inferred.input, *inferred.output, *inferred.value_info):
        types[value.name] = value.type.tensor_type.elem_type
    for node in model.graph.node:
        if any(item.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for item in node.attribute):
            raise ModelError(f"node {node.name!r} ({node.op_type}) holds a subgraph; float16 takes no control flow")
        for name in node.output:
            if name and not types.get(name):
                raise ModelError(
                    f"the type of {name!r}, made by {node.name!r} ({node.op_type}), is unknown; float16 "
                    "needs standard operators only"
                )
    return {name for name, kind in types.items() if kind == FLOAT}


@dataclass(kw_only=True)
class _Writer:
    """Walk the graph once and yield its nodes with the Casts between them.

    Attributes:
        graph: The graph.
        floats: Names of the float32 tensors.
        kept: Names of the nodes that stay in float32.
        home: Float tensor -> the precision in which it is computed.
        made: (tensor, precision) -> the name of the tensor in that precision.
        constants: The float16 initializers to add.
    """

    graph: Graph
    floats: set[str]
    kept: set[str]
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
        for index, name in enumerate(node.input):
            wanted = FLOAT if index in ALWAYS_FLOAT.get(node.op_type, ()) else precision
            if name in self.floats:
                yield from self._cast(name, wanted)
                node.input[index] = self.made[name, wanted]
        if precision == HALF:
            _retype(node)
        for index, name in enumerate(node.output):
            if name in self.floats:
                # a graph output keeps its name for the float32 result
                label = f"{name}__half" if precision == HALF and name in self.graph.outputs else name
                self._made_in(name, precision, label)
                node.output[index] = label
        yield node

    def _made_in(self, name: str, precision: int, label: str) -> None:
        self.home[name] = precision
        self.made[name, precision] = label

    def _cast(self, name: str, precision: int) -> Iterator[onnx.NodeProto]:
        """Make `name` available in `precision`: a converted constant, or one Cast node."""
        from onnx import helper, numpy_helper

        if (name, precision) in self.made:
            return
        label = f"{name}__{'half' if precision == HALF else 'float'}"
        if name in self.graph.constants:
            self.made[name, precision] = label if precision == HALF else name
            if precision == HALF:
                value = array_of(self.graph, name).astype(np.float16)
                self.constants.append(numpy_helper.from_array(value, label))
            return
        source = self.made[name, self.home[name]]
        self.made[name, precision] = label
        yield helper.make_node("Cast", [source], [label], f"{label}__cast", to=precision)

    def _output(self, name: str) -> Iterator[onnx.NodeProto]:
        from onnx import helper

        if self.home.get(name) == HALF:
            yield helper.make_node("Cast", [self.made[name, HALF]], [name], f"{name}__cast", to=FLOAT)


def _retype(node: onnx.NodeProto) -> None:
    """Change a node whose attribute asks for float32 (Cast, ConstantOfShape) to float16."""
    from onnx import helper, numpy_helper

    if node.op_type == "ConstantOfShape" and not node.attribute:  # zeros in float32 by default
        node.attribute.append(helper.make_attribute("value", numpy_helper.from_array(np.zeros(1, np.float16))))

    for item in node.attribute:
        if item.name in ("to", "dtype", "output_dtype") and item.i == FLOAT:
            item.i = HALF
        elif item.name == "value" and item.t.data_type == FLOAT:
            value = numpy_helper.to_array(item.t).astype(np.float16)
            item.t.CopyFrom(numpy_helper.from_array(value, item.t.name))
