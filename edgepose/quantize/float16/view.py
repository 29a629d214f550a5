"""What the rules of float16 look at: a prepared graph with the types of its tensors and the values observed in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from edgepose.errors import ModelError
from edgepose.graph.lookup import Graph, default_opset, graph_of
from edgepose.graph.types import tensor_types

if TYPE_CHECKING:
    import onnx

FLOAT, HALF = 1, 10  # TensorProto.FLOAT, TensorProto.FLOAT16
NOT_A_TENSOR = -1  # a sequence, a map or an optional value
HALF_MAX = 65504.0  # the largest number of float16
HALF_NORMAL = 2.0**-14  # below it, float16 has fewer bits than 11, and none below 2^-25
STANDARD = ("", "ai.onnx")


@dataclass(frozen=True, kw_only=True)
class View:
    """A prepared graph, for rules.

    Attributes:
        model: The graph.
        graph: Its lookups.
        opset: Version of the standard operators.
        types: Tensor -> TensorProto data type, or NOT_A_TENSOR.
        floats: Names of the float32 tensors.
        ranges: Tensor -> the largest finite absolute value that was seen in it; empty where nothing was observed.
    """

    model: onnx.ModelProto
    graph: Graph
    opset: int
    types: Mapping[str, int]
    floats: frozenset[str]
    ranges: Mapping[str, float] = field(default_factory=dict)

    def float_inputs(self, node: onnx.NodeProto) -> list[str]:
        """Return the float32 tensors that a node reads, without those of subgraphs."""
        return [name for name in node.input if name in self.floats]

    def float_outputs(self, node: onnx.NodeProto) -> list[str]:
        """Return the float32 tensors that a node makes."""
        return [name for name in node.output if name in self.floats]


def view_of(model: onnx.ModelProto, ranges: Mapping[str, float] | None = None) -> View:
    """Look up a prepared graph.

    Raises:
        ModelError: The type of a tensor is unknown.
    """
    types = _types(model)
    return View(
        model=model,
        graph=graph_of(model),
        opset=default_opset(model),
        types=types,
        floats=frozenset(name for name, kind in types.items() if kind == FLOAT),
        ranges=ranges or {},
    )


def is_standard(node: onnx.NodeProto) -> bool:
    """Tell whether a node's operator is one of the ONNX standard."""
    return node.domain in STANDARD


@lru_cache(maxsize=4096)
def schema_of(op_type: str, opset: int) -> Any:  # onnx.defs.OpSchema | None
    """Return the definition of a standard operator, or None for one that this onnx does not know."""
    from onnx import defs

    try:
        return defs.get_schema(op_type, opset, "")
    except defs.SchemaError:
        return None


def formal(parameters: Any, index: int) -> Any:  # of a schema
    """Return the parameter at a position; the last one repeats where it is variadic."""
    return parameters[min(index, len(parameters) - 1)] if len(parameters) else None


def _types(model: onnx.ModelProto) -> dict[str, int]:
    """Return the type of every tensor by shape inference, by the schemas where that fails, else raise ModelError."""
    types = tensor_types(model)
    opset = default_opset(model)
    for node in model.graph.node:
        for index, name in enumerate(node.output):
            if name and name not in types:
                types[name] = _type_by_schema(node, index, opset, types)
    return types


def _type_by_schema(node: onnx.NodeProto, index: int, opset: int, types: Mapping[str, int]) -> int:
    if not is_standard(node):
        return FLOAT  # what custom operators of vision networks compute; a wrong guess fails when the graph is loaded
    schema = schema_of(node.op_type, opset)
    if schema is not None:
        wanted = formal(schema.outputs, index)
        if wanted is not None and not any(kind.startswith("tensor(") for kind in wanted.types):
            return NOT_A_TENSOR
        if wanted is not None and wanted.type_str == "tensor(float)":
            return FLOAT
        for position, name in enumerate(node.input):
            given = formal(schema.inputs, position)
            if wanted is not None and given is not None and given.type_str == wanted.type_str and types.get(name):
                return types[name]
    raise ModelError(
        f"the type of {node.output[index]!r}, made by {node.name!r} ({node.op_type}), is unknown; export the network "
        "again with the types of its tensors (onnx.shape_inference.infer_shapes shows which are missing)"
    )
