"""Walk the bodies of If, Loop and Scan: what they read from outside, which tensors they hold, and new names in them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yield the graphs among the attributes of a node."""
    for item in node.attribute:
        if item.HasField("g"):
            yield item.g
        yield from item.graphs


def outer_names(node: onnx.NodeProto) -> set[str]:
    """Return the names that the bodies of a node read from the graph around it."""
    names: set[str] = set()
    for body in bodies(node):
        names |= _free_names(body)
    return names


def _free_names(graph: onnx.GraphProto) -> set[str]:
    read = {value.name for value in graph.output}
    made = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    made |= {tensor.values.name for tensor in graph.sparse_initializer}
    for node in graph.node:
        read.update(node.input)
        read |= outer_names(node)
        made.update(node.output)
    return read - made - {""}


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield every node of a graph and of the bodies in it."""
    for node in graph.node:
        yield node
        for body in bodies(node):
            yield from all_nodes(body)


def all_graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and every body in it."""
    yield graph
    for node in graph.node:
        for body in bodies(node):
            yield from all_graphs(body)


def tensors_of(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every constant of a model: initializers, attributes and those of bodies and local functions."""
    for graph in all_graphs(model.graph):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    nodes = list(all_nodes(model.graph))
    for function in model.functions:
        nodes += [inner for node in function.node for inner in (node, *_inside(node))]
    for node in nodes:
        for item in node.attribute:
            if item.HasField("t"):
                yield item.t
            yield from item.tensors


def _inside(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    for body in bodies(node):
        yield from all_nodes(body)


def rename_reads(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    """Let a node and its bodies read tensors by new names, in place."""
    for index, name in enumerate(node.input):
        if name in names:
            node.input[index] = names[name]
    for body in bodies(node):
        free = _free_names(body)
        inner = {name: new for name, new in names.items() if name in free}
        if inner:
            for value in body.output:
                value.name = inner.get(value.name, value.name)
            for child in body.node:
                rename_reads(child, inner)


def keep_needed(model: onnx.ModelProto, names: Collection[str]) -> set[str]:
    """Remove the nodes and constants that tensors do not depend on, in place.

    Args:
        model: The model to change.
        names: The tensors to keep.

    Returns:
        The names of all tensors that they depend on, and their own.
    """
    from edgepose.graph.lookup import drop_unused_constants, replace_nodes

    needed, kept = set(names), []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            needed |= outer_names(node)
            kept.append(node)
    replace_nodes(model, reversed(kept))
    drop_unused_constants(model)
    return needed
