"""Convert a graph that computes in float16, bfloat16 or double to float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgepose.graph.importing.step import ImportPass
from edgepose.graph.lookup import copied, graph_of
from edgepose.graph.newnames import NewNames
from edgepose.graph.subgraphs import all_graphs, all_nodes, rename_reads, tensors_of
from edgepose.graph.types import tensor_types

if TYPE_CHECKING:
    import onnx

OTHERS = {10: "float16", 16: "bfloat16", 11: "float64"}  # TensorProto.DataType of the types that become float32
FLOAT = 1
TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype", "stash_type")


def inner_types(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the names of the other float types that nodes of a graph compute in."""
    types = tensor_types(model)
    graph = graph_of(model)
    made = {types.get(name, 0) for node in graph.nodes for name in node.output if _computes(node)}
    return tuple(name for kind, name in OTHERS.items() if kind in made)


def _computes(node: onnx.NodeProto) -> bool:
    return node.op_type not in ("Cast", "Identity", "Constant", "DequantizeLinear")


def to_float32(model: onnx.ModelProto) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Return a copy that computes in float32, with the image input as it was.

    An image that is float16 is cast to float32 behind the input.
    """
    found = inner_types(model)
    if not found:
        return model, ()
    made = copied(model)
    for tensor in tensors_of(made):
        _convert(tensor)
    for node in all_nodes(made.graph):
        for item in node.attribute:
            if item.name in TYPE_ATTRIBUTES and item.i in OTHERS:
                item.i = FLOAT
    images = {value.name: value.type.tensor_type.elem_type for value in made.graph.input}
    for graph in all_graphs(made.graph):
        for value in (*graph.input, *graph.output, *graph.value_info):
            _retype(value.type)
    for value in made.graph.input:
        if images[value.name] in OTHERS:
            value.type.tensor_type.elem_type = images[value.name]
            _cast_input(made, value.name)
    return made, found


def _convert(tensor: onnx.TensorProto) -> None:
    from onnx import numpy_helper

    if tensor.data_type in OTHERS:
        with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite and is refused by its name
            values = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _retype(kind: onnx.TypeProto) -> None:
    if kind.HasField("tensor_type") and kind.tensor_type.elem_type in OTHERS:
        kind.tensor_type.elem_type = FLOAT
    elif kind.HasField("sequence_type"):
        _retype(kind.sequence_type.elem_type)
    elif kind.HasField("optional_type"):
        _retype(kind.optional_type.elem_type)


def _cast_input(model: onnx.ModelProto, name: str) -> None:
    from onnx import helper

    names = NewNames(model)
    label = names.new(f"{name}__float")
    for node in model.graph.node:
        rename_reads(node, {name: label})
    model.graph.node.insert(0, helper.make_node("Cast", [name], [label], names.new(f"{label}__cast"), to=FLOAT))


def _describe(names: tuple[str, ...]) -> str:
    return f"this graph is {' and '.join(names)} inside; it was converted to float32"


FLOAT32 = ImportPass(name="float32", run=to_float32, describe=_describe)
