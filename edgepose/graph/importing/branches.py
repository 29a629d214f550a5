"""Replace each If whose condition is constant by the branch that is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgepose.graph.importing.inline import Inliner
from edgepose.graph.importing.step import ImportPass, listed
from edgepose.graph.lookup import copied, drop_unused_constants, replace_nodes

if TYPE_CHECKING:
    import onnx


def take_branches(model: onnx.ModelProto) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Return a copy in which the nodes of the branch stand in place of each If with a constant condition."""
    from onnx import numpy_helper

    conditions = {tensor.name: tensor for tensor in model.graph.initializer}
    made = copied(model)
    inliner = Inliner(made)
    nodes: list[onnx.NodeProto] = []
    taken: list[str] = []
    for node in model.graph.node:
        if node.op_type != "If" or node.domain not in ("", "ai.onnx") or node.input[0] not in conditions:
            nodes.append(node)
            continue
        holds = bool(numpy_helper.to_array(conditions[node.input[0]]).all())
        wanted = "then_branch" if holds else "else_branch"
        branch = next(item.g for item in node.attribute if item.name == wanted)
        label = node.name or node.output[0]
        nodes += inliner.body(branch, {}, node.output, label)
        taken.append(label)
    if not taken:
        return model, ()
    replace_nodes(made, nodes)
    drop_unused_constants(made)
    return made, tuple(taken)


BRANCHES = ImportPass(
    name="branches",
    run=take_branches,
    describe=lambda names: f"an If with a constant condition was replaced by its branch: {listed(names)}",
)
