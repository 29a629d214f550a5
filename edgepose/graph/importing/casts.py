"""Remove nodes that only hand a tensor on: Identity, and Cast to the type that the tensor has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgepose.graph.importing.step import ImportPass, listed
from edgepose.graph.lookup import copied, replace_nodes
from edgepose.graph.subgraphs import rename_reads
from edgepose.graph.types import tensor_types

if TYPE_CHECKING:
    import onnx


def remove_casts(model: onnx.ModelProto) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Return a copy without nodes that hand a tensor on, except where they make an output of the graph."""
    outputs = {value.name for value in model.graph.output}
    types = tensor_types(model)
    names: dict[str, str] = {}
    gone: set[int] = set()
    for index, node in enumerate(model.graph.node):
        if node.domain not in ("", "ai.onnx") or not node.output or node.output[0] in outputs:
            continue
        if node.op_type == "Identity" or (node.op_type == "Cast" and _same(node, types)):
            names[node.output[0]] = names.get(node.input[0], node.input[0])
            gone.add(index)
    if not gone:
        return model, ()
    made = copied(model)
    kept = [node for index, node in enumerate(made.graph.node) if index not in gone]
    for node in kept:
        rename_reads(node, names)
    replace_nodes(made, kept)
    return made, tuple(names)


def _same(node: onnx.NodeProto, types: dict[str, int]) -> bool:
    target = next((item.i for item in node.attribute if item.name == "to"), 0)
    return target != 0 and types.get(node.input[0]) == target


CASTS = ImportPass(
    name="casts",
    run=remove_casts,
    describe=lambda names: f"nodes that change nothing were removed: {listed(names)}",
)
