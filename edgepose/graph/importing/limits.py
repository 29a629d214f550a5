"""Refuse images that no device can hold, and free a batch axis that is fixed to more images than can run at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgepose.errors import ModelError
from edgepose.graph.lookup import copied, graph_of

if TYPE_CHECKING:
    import onnx

LONGEST = 4096  # pixels; a longer side is no size of an input
MOST_IMAGES = 256  # that a graph may demand at once
MOST_BYTES = 1 << 30  # of the images that a graph demands at once, as float32


def limited(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    """Return a graph whose image inputs can be held in memory.

    A batch that is too large becomes a free axis, so that the graph runs with one image where its nodes allow that.

    Args:
        model: The graph.
        where: The name of the file, for the error message.

    Raises:
        ModelError: An image that the graph fixes is larger than `LONGEST` pixels.
    """
    names, made = set(graph_of(model).inputs), model
    for index, value in enumerate(model.graph.input):
        axes = [int(axis.dim_value) for axis in value.type.tensor_type.shape.dim]
        if value.name not in names or len(axes) != 4:
            continue
        if max(axes[1:]) > LONGEST:
            raise ModelError(
                f"{where}: input {value.name!r} is fixed to {axes}, and no side of an image may be longer than "
                f"{LONGEST}; export the network for a smaller image"
            )
        pixels = axes[1] * axes[2] * axes[3]
        if axes[0] > MOST_IMAGES or axes[0] * pixels * 4 > MOST_BYTES:
            made = copied(model) if made is model else made
            _free_batch(made, index)
    return made


def _free_batch(model: onnx.ModelProto, index: int) -> None:
    """Free the batch axis of an input and forget the shapes that follow from it, in place."""
    axis = model.graph.input[index].type.tensor_type.shape.dim[0]
    axis.ClearField("dim_value")
    axis.dim_param = "batch"
    for value in model.graph.output:
        dims = value.type.tensor_type.shape.dim
        if dims:
            dims[0].ClearField("dim_value")
            dims[0].dim_param = "batch"
    del model.graph.value_info[:]
