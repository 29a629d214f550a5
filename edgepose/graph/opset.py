"""Lower the operator set of a graph that names a newer one than its operators need.

Runtimes implement the newest versions of QuantizeLinear, DequantizeLinear and Cast later than those of other operators,
and a graph that names a new operator set gets the new versions of all of them. A graph whose own operators have not
changed since an older set means the same in the older set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgepose.graph.lookup import copied, default_opset

if TYPE_CHECKING:
    import onnx

ENOUGH = 21  # every runtime that edgepose supports implements this set
# Since set 21, new versions of these operators have only added number types, none of which occurs here.
TYPES_ONLY = (
    "Cast", "CastLike", "Constant", "ConstantOfShape", "Flatten", "Identity", "Pad", "Reshape", "Shape", "Size",
    "Squeeze", "Transpose", "Unsqueeze", "QuantizeLinear", "DequantizeLinear",
)  # fmt: skip


def lower_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model in the lowest operator set from 21 on in which its operators mean the same.

    Args:
        model: The model, which is left as it is.
    """
    current = default_opset(model)
    needed = _needed(model, current)
    if needed >= current:
        return model
    model = copied(model)
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = needed
    return model


def _needed(model: onnx.ModelProto, current: int) -> int:
    """Return the set in which the newest operator of the graph appeared or changed, at least `ENOUGH`."""
    from onnx import AttributeProto

    if current <= ENOUGH or model.functions:
        return current
    if any(
        item.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for n in model.graph.node for item in n.attribute
    ):
        return current
    return max((ENOUGH, *(_since(node, current) for node in model.graph.node)))


def _since(node: onnx.NodeProto, current: int) -> int:
    """Return the set since which an operator has meant what it means in the current one."""
    from onnx import defs

    if node.domain not in ("", "ai.onnx") or node.op_type in TYPES_ONLY:
        return ENOUGH
    if not defs.has(node.op_type):
        return current
    return int(defs.get_schema(node.op_type, current, "").since_version)
