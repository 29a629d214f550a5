"""Refuse an ONNX file whose parts cannot be read: text that is not UTF-8, unknown types, and weights cut short."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edgepose.errors import ModelError, one_line
from edgepose.graph.subgraphs import all_graphs, all_nodes, tensors_of

if TYPE_CHECKING:
    import onnx


def refuse_unreadable(model: onnx.ModelProto, path: Path) -> None:
    """Read every name, every type and every weight once.

    Args:
        model: The model, with all weights inside.
        path: The file, for errors.

    Raises:
        ModelError: A text is not UTF-8, a type is unknown, or a weight has another number of values than its
            dimensions say.
    """
    if any(isinstance(text, bytes) for text in _texts(model)):
        raise ModelError(f"{path} is a damaged ONNX file: a name in it is not UTF-8; export it again")
    _refuse_unknown_types(model, path)
    _refuse_wrong_sizes(model, path)


def _texts(model: onnx.ModelProto) -> Iterator[str | bytes]:
    """Yield the texts of a model; the parser gives one that is not UTF-8 as bytes."""
    for node in (*all_nodes(model.graph), *(node for function in model.functions for node in function.node)):
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (item.name for item in node.attribute)
    for graph in all_graphs(model.graph):
        for value in (*graph.input, *graph.output, *graph.value_info):
            yield value.name
            yield from (axis.dim_param for axis in value.type.tensor_type.shape.dim)
    yield from (tensor.name for tensor in tensors_of(model))
    yield from (text for entry in model.metadata_props for text in (entry.key, entry.value))
    yield from (entry.domain for entry in model.opset_import)


def _refuse_unknown_types(model: onnx.ModelProto, path: Path) -> None:
    from onnx import TensorProto

    known = set(TensorProto.DataType.values())
    for graph in all_graphs(model.graph):
        for value in (*graph.input, *graph.output, *graph.value_info):
            kind = value.type.tensor_type.elem_type
            if kind not in known:
                raise ModelError(f"{path}: tensor {value.name!r} has the type {kind}, which ONNX does not know")


def _refuse_wrong_sizes(model: onnx.ModelProto, path: Path) -> None:
    from onnx import numpy_helper

    for tensor in tensors_of(model):
        try:
            if any(length < 0 for length in tensor.dims):
                raise ValueError("a dimension is negative")
            numpy_helper.to_array(tensor)
        except (KeyError, TypeError, ValueError, OverflowError) as error:  # an unknown type is a KeyError
            raise ModelError(
                f"{path}: the values of {tensor.name!r} do not fit its type {tensor.data_type} and its dimensions "
                f"{list(tensor.dims)} ({one_line(error)}); export it again"
            ) from error
