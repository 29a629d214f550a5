"""Write a graph with a very new opset as an older one that means the same, since few runtimes quantize newer ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgepose.graph.importing.step import ImportPass
from edgepose.graph.lookup import copied, default_opset
from edgepose.graph.subgraphs import all_nodes

if TYPE_CHECKING:
    import onnx

TARGETS = (21, 22, 23, 24, 25)  # 21: the first with 16-bit quantizers, known to every runtime of its time and later
IR = 10  # the version of the file format that came with opset 21


def lower_opset(model: onnx.ModelProto) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Return a copy with the lowest of `TARGETS` in which every operator of the graph has the same meaning."""
    opset = default_opset(model)
    nodes = [node for node in all_nodes(model.graph) if node.domain in ("", "ai.onnx")]
    for target in TARGETS:
        if target < opset and all(_same(node, opset, target) for node in nodes):
            made = copied(model)
            for entry in made.opset_import:
                if entry.domain in ("", "ai.onnx"):
                    entry.version = target
            made.ir_version = min(made.ir_version, IR)
            return made, (f"{opset} as {target}",)
    return model, ()


def _same(node: onnx.NodeProto, opset: int, target: int) -> bool:
    """Whether a node means the same in an older opset.

    A newer version of an operator may have further attributes and inputs, which by default change nothing.
    """
    from onnx import defs

    try:
        new = defs.get_schema(node.op_type, opset, "")
        old = defs.get_schema(node.op_type, target, "")
    except defs.SchemaError:
        return False
    if old.since_version == new.since_version:
        return True
    shared = old.attributes.keys() & new.attributes.keys()
    return (
        len(node.input) <= old.max_input
        and len(node.output) <= old.max_output
        and {item.name for item in node.attribute} <= old.attributes.keys()
        and all(_default(old, name) == _default(new, name) for name in shared)
    )


def _default(schema: onnx.defs.OpSchema, name: str) -> bytes:
    return bytes(schema.attributes[name].default_value.SerializeToString())


OPSET = ImportPass(name="opset", run=lower_opset, describe=lambda names: f"opset {names[0]}, which means the same here")
