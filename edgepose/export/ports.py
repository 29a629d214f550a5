"""The image input and the outputs of an ONNX graph: read, checked, and set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgepose.artifacts.spec import ModelSpec
from edgepose.errors import ModelError
from edgepose.graph.lookup import copied, drop_unused_constants, graph_of, replace_nodes

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Port:
    """An input or output; None where an axis has no fixed length."""

    name: str
    shape: tuple[int | None, ...]

    def text(self) -> str:
        return "[" + ", ".join("any" if axis is None else str(axis) for axis in self.shape) + "]"


def image_input(model: onnx.ModelProto, where: str) -> Port:
    """The one float32 image input [N, 3, H, W]; ModelError when the graph takes something else."""
    from onnx import TensorProto

    inputs = graph_of(model).inputs
    values = [value for value in model.graph.input if value.name in inputs]
    if len(values) != 1:
        names = ", ".join(value.name for value in values) or "none"
        raise ModelError(f"{where} must take one image, its inputs are: {names}")
    kind = values[0].type.tensor_type
    port = Port(values[0].name, tuple(_length(axis) for axis in kind.shape.dim))
    if kind.elem_type != TensorProto.FLOAT:
        found = TensorProto.DataType.Name(kind.elem_type).lower()
        raise ModelError(f"{where}: input {port.name!r} is {found}; export it with a float32 input")
    _check_layout(port, where)
    return port


def _check_layout(port: Port, where: str) -> None:
    shape = port.shape
    if len(shape) == 4 and shape[3] == 3 and shape[1] != 3:
        raise ModelError(
            f"{where}: input {port.name!r} is {port.text()}, channels last (NHWC); edgepose runs NCHW: "
            f"export it channels first (tf2onnx: --inputs-as-nchw {port.name})"
        )
    if len(shape) != 4 or shape[1] != 3:
        raise ModelError(f"{where}: input {port.name!r} is {port.text()}; a pose network takes [N, 3, H, W]")


def _length(axis: onnx.TensorShapeProto.Dimension) -> int | None:
    return int(axis.dim_value) if axis.dim_value > 0 else None


def with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """The graph that returns only `names`, without the nodes that nothing then needs."""
    model = copied(model)
    values = {value.name: value for value in model.graph.output}
    del model.graph.output[:]
    model.graph.output.extend(values[name] for name in names)
    needed, kept = set(names), []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    replace_nodes(model, reversed(kept))
    drop_unused_constants(model)
    return model


def set_shapes(
    model: onnx.ModelProto, spec: ModelSpec, batch: int | str, outputs: Sequence[tuple[int, ...]] | None
) -> onnx.ModelProto:
    """The model with input [batch, 3, H, W] and outputs [batch, *shape]; None leaves the outputs' open."""
    from onnx import TensorProto, helper

    model = copied(model)
    kind = TensorProto.FLOAT
    shapes = [None] * len(spec.outputs) if outputs is None else [[batch, *shape] for shape in outputs]
    image = helper.make_tensor_value_info(spec.input.name, kind, [batch, 3, *spec.input.size])
    values = [helper.make_tensor_value_info(n, kind, s) for n, s in zip(spec.outputs, shapes, strict=True)]
    del model.graph.input[:], model.graph.output[:], model.graph.value_info[:]
    model.graph.input.append(image)
    model.graph.output.extend(values)
    return model
