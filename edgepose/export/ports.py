"""Read, check and set the image input and the outputs of an ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgepose.artifacts.choices import DTYPES
from edgepose.artifacts.spec import ModelSpec
from edgepose.errors import ModelError
from edgepose.graph.layout import layout_by_readers
from edgepose.graph.lookup import copied, graph_of
from edgepose.graph.subgraphs import keep_needed

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, kw_only=True)
class Port:
    """The image input of a graph.

    Attributes:
        name: The name of the input.
        shape: The length of each axis; None where it is not fixed.
        layout: 'nchw' or 'nhwc'.
        dtype: 'float32', 'float16' or 'uint8'.
    """

    name: str
    shape: tuple[int | None, ...]
    layout: str
    dtype: str

    @property
    def size(self) -> tuple[int | None, int | None]:
        """Height and width in pixels; None where a length is not fixed."""
        height, width = self.shape[2:] if self.layout == "nchw" else self.shape[1:3]
        return height, width

    def text(self) -> str:
        """Return the shape as text."""
        return _text(self.shape)


def image_input(model: onnx.ModelProto, where: str, layout: str | None = None) -> Port:
    """Read the one image input of a graph, [N, 3, H, W] or [N, H, W, 3].

    Args:
        model: The graph.
        where: The source that errors name.
        layout: 'nchw' or 'nhwc' where the spec says it; it counts where the graph leaves the channels open.

    Returns:
        The input, with its layout and type.

    Raises:
        ModelError: If the graph takes something else.
    """
    from onnx import TensorProto

    inputs = graph_of(model).inputs
    values = [value for value in model.graph.input if value.name in inputs]
    if len(values) != 1:
        names = ", ".join(value.name for value in values) or "none"
        raise ModelError(f"{where} must take one image, but its inputs are: {names}; export it with one input")
    name, kind = values[0].name, values[0].type.tensor_type
    shape = tuple(_length(axis) for axis in kind.shape.dim)
    found = TensorProto.DataType.Name(kind.elem_type).lower()
    dtype = {"float": "float32"}.get(found, found)
    if dtype not in DTYPES:
        raise ModelError(f"{where}: input {name!r} is {found}; export it with an input of {' or '.join(DTYPES)}")
    if kind.HasField("shape") and len(shape) == 4 and 3 not in (shape[1], shape[3]):
        shape = _with_channels(shape, layout or layout_by_readers(model, name))
    elif not kind.HasField("shape"):
        shape = _with_channels((None,) * 4, layout or layout_by_readers(model, name))
    if len(shape) != 4 or 3 not in (shape[1], shape[3]):
        raise ModelError(
            f"{where}: input {name!r} is {_text(shape)}; a pose network takes [N, 3, H, W] or [N, H, W, 3]"
        )
    return Port(name=name, shape=shape, layout="nchw" if shape[1] == 3 else "nhwc", dtype=dtype)


def _with_channels(shape: tuple[int | None, ...], layout: str | None) -> tuple[int | None, ...]:
    """Return the shape with 3 channels on the axis of the layout, if the graph leaves that axis open."""
    axis = {"nchw": 1, "nhwc": 3, None: None}[layout]
    if axis is None or shape[axis] is not None:
        return shape
    return tuple(3 if index == axis else length for index, length in enumerate(shape))


def _text(shape: tuple[int | None, ...]) -> str:
    return "[" + ", ".join("any" if axis is None else str(axis) for axis in shape) + "]"


def _length(axis: onnx.TensorShapeProto.Dimension) -> int | None:
    return int(axis.dim_value) if axis.dim_value > 0 else None


def with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """Return a copy of the graph with some of its outputs, without nodes that are no longer needed.

    Args:
        model: The graph.
        names: The outputs to keep.
    """
    model = copied(model)
    values = {value.name: value for value in model.graph.output}
    del model.graph.output[:]
    model.graph.output.extend(values[name] for name in names)
    keep_needed(model, names)
    return model


def set_shapes(
    model: onnx.ModelProto, spec: ModelSpec, batch: int | str, outputs: Sequence[tuple[int, ...]] | None
) -> onnx.ModelProto:
    """Return a copy of the model with new shapes of its input and outputs.

    Args:
        model: The model.
        spec: The contract, which names the input and the outputs and has the shape of the image.
        batch: The length of the batch axis, or its name if it is dynamic.
        outputs: The shapes of the outputs without the batch axis; None leaves them unknown.
    """
    from onnx import helper

    model = copied(model)
    kinds = {value.name: value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)}
    name = spec.input.name
    shapes = [None] * len(spec.outputs) if outputs is None else [[batch, *shape] for shape in outputs]
    image = helper.make_tensor_value_info(name, kinds[name], [batch, *spec.input.shape])
    values = [helper.make_tensor_value_info(n, kinds[n], s) for n, s in zip(spec.outputs, shapes, strict=True)]
    del model.graph.input[:], model.graph.output[:]
    for value in model.graph.value_info:
        value.type.tensor_type.ClearField("shape")  # of another batch size
    model.graph.input.append(image)
    model.graph.output.extend(values)
    return model
