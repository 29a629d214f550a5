"""Bring the nodes into the order in which they can be computed; refuse a graph that has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgepose.errors import ModelError
from edgepose.graph.importing.step import listed
from edgepose.graph.lookup import copied, replace_nodes
from edgepose.graph.subgraphs import outer_names

if TYPE_CHECKING:
    import onnx


def order_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its nodes behind what they read.

    Raises:
        ModelError: A node reads what nothing computes, or what it computes itself, or a tensor is computed twice.
    """
    known = {"", *(value.name for value in model.graph.input), *(item.name for item in model.graph.initializer)}
    known.update(item.values.name for item in model.graph.sparse_initializer)
    made = set[str]()
    for node in model.graph.node:
        for name in node.output:
            if name and (name in made or name in known):
                raise ModelError(f"the graph computes tensor {name!r} twice; export the network again")
            made.add(name)
    reads = [{*node.input, *outer_names(node)} for node in model.graph.node]
    for node, names in zip(model.graph.node, reads, strict=True):
        for name in sorted(names - known - made):
            raise ModelError(f"node {_label(node)} reads {name!r}, which nothing computes; export the network again")
    waiting, ordered = list(range(len(reads))), list[int]()
    while waiting:
        later = []
        for index in waiting:
            if reads[index] <= known:
                known.update(model.graph.node[index].output)
                ordered.append(index)
            else:
                later.append(index)
        if len(later) == len(waiting):
            labels = tuple(_label(model.graph.node[index]) for index in later)
            raise ModelError(f"the graph has a cycle (among the nodes {listed(labels)}); export the network again")
        waiting = later
    if ordered == sorted(ordered):
        return model
    nodes = [model.graph.node[index] for index in ordered]
    model = copied(model)
    replace_nodes(model, nodes)
    return model


def _label(node: onnx.NodeProto) -> str:
    return f"{node.name or next(iter(node.output), '')!r} ({node.op_type})"
