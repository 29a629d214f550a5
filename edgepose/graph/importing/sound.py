"""Refuse what only a damaged file holds: constants that do not fill their dimensions, and names that are no text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgepose.errors import ModelError, one_line
from edgepose.graph.subgraphs import all_graphs, tensors_of

if TYPE_CHECKING:
    import onnx


def refuse_damaged_constants(model: onnx.ModelProto) -> None:
    """Raise ModelError for the first constant that cannot be read."""
    from onnx import numpy_helper

    for tensor in tensors_of(model):
        try:
            numpy_helper.to_array(tensor)
        except (KeyError, NotImplementedError, OverflowError, TypeError, ValueError) as error:
            raise ModelError(
                f"the constant {tensor.name!r} {list(tensor.dims)} is damaged ({one_line(error, 120)}); export the "
                "network again"
            ) from error


def refuse_unreadable_names(model: onnx.ModelProto) -> None:
    """Raise ModelError if a name is not valid UTF-8."""
    try:
        names = [text for item in model.metadata_props for text in (item.key, item.value)]
        names += [model.producer_name, *(entry.domain for entry in model.opset_import)]
        for graph in all_graphs(model.graph):
            names += [item.name for item in (*graph.initializer, *graph.input, *graph.output, *graph.value_info)]
            for node in graph.node:
                names += [node.name, node.op_type, node.domain, *node.input, *node.output]
                names += [item.name for item in node.attribute]
        readable = all(isinstance(name, str) for name in names)
    except UnicodeDecodeError:
        readable = False
    if not readable:
        raise ModelError("the names in the graph are damaged (not UTF-8); copy or export the network again")
