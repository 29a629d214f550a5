"""The data type of each tensor of a graph."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from edgepose.graph.lookup import copied

if TYPE_CHECKING:
    import onnx


def tensor_types(model: onnx.ModelProto) -> dict[str, int]:
    """Return the data types of the tensors of a graph by name, as values of TensorProto.DataType.

    Shape inference comes first. The graph's own value_info, which a file may state wrongly, says the type only of
    tensors that shape inference cannot type, such as those behind an operator of another domain.

    Args:
        model: The graph. Tensors inside the bodies of If, Loop and Scan are not listed.
    """
    inferred = _inferred(model)
    stated = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    if any(kind and not inferred.get(name) for name, kind in stated.items()):
        # what stands behind a tensor whose type only the file states can be inferred from that statement
        inferred = _inferred(model, {name for name, kind in stated.items() if kind and not inferred.get(name)})
    return {name: kind for name, kind in inferred.items() if kind}


def _inferred(model: onnx.ModelProto, stated: Collection[str] = ()) -> dict[str, int]:
    from onnx import shape_inference

    model = copied(model)
    kept = [value for value in model.graph.value_info if value.name in stated]
    del model.graph.value_info[:]
    for value in kept:
        value.type.tensor_type.ClearField("shape")
    model.graph.value_info.extend(kept)
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    try:
        graph = shape_inference.infer_shapes(model).graph
    except shape_inference.InferenceError:  # of a node that is wrong; what is stated is all that is known
        graph = model.graph
    types = {tensor.name: int(tensor.data_type) for tensor in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        types.setdefault(value.name, int(value.type.tensor_type.elem_type))
    return types


def drop_inferred_types(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose value_info holds only types that shape inference cannot find, and no shapes.

    A file may state types and shapes wrongly, and a new size of the image makes shapes wrong.
    """
    inferred = _inferred(model)
    model = copied(model)
    kept = [value for value in model.graph.value_info if not inferred.get(value.name)]
    for value in kept:
        value.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)
    return model
