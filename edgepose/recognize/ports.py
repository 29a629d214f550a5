"""What the inputs and outputs of a network say: the size of its image, and the shapes of its outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.errors import ModelError, SpecError
from edgepose.graph.evaluate import plain_session, run_limited, runtime_failures
from edgepose.graph.importing import with_image_shape
from edgepose.graph.importing.limits import LONGEST
from edgepose.graph.lookup import copied
from edgepose.graph.trial import refuse_crashing
from edgepose.recognize.candidate import Candidate, Port

if TYPE_CHECKING:
    import onnx

    from edgepose.pose.geometry import Size

FLOATS = ("float32", "float16")


@dataclass(frozen=True, kw_only=True)
class Image:
    """The image input of a network, [N, 3, H, W].

    Attributes:
        name: The name of the input.
        dtype: "float32" or "float16".
        height: Pixels; None where the graph takes any height.
        width: Pixels; None where the graph takes any width.
    """

    name: str
    dtype: str
    height: int | None
    width: int | None

    @property
    def size(self) -> Size | None:
        """(height, width), or None where the graph leaves one of them open."""
        return None if self.height is None or self.width is None else (self.height, self.width)

    def sized(self, size: Size) -> Size:
        """Return `size` with the lengths that the graph fixes in its place."""
        return self.height or size[0], self.width or size[1]


def float_image(candidate: Candidate) -> Image | None:
    """Return the image input of a network with exactly one input, [N, 3, H, W] of floats; None for any other."""
    if len(candidate.inputs) != 1:
        return None
    port = candidate.inputs[0]
    if port.dtype not in FLOATS or len(port.shape) != 4:
        return None
    channels, last = port.shape[1], port.shape[3]
    if channels != 3 and (fixed(channels) or last == 3):  # other channels, or channels last
        return None
    height, width = (length if isinstance(length, int) else None for length in port.shape[2:])
    return Image(name=port.name, dtype=port.dtype, height=height, width=width)


def no_image(candidate: Candidate) -> str:
    """Say why `float_image` finds no image, as a clause about the network.

    Args:
        candidate: The network.
    """
    if len(candidate.inputs) != 1:
        return f"it has {len(candidate.inputs)} inputs, and only the image may be one: export it with the others fixed"
    port = candidate.inputs[0]
    if len(port.shape) != 4:
        return f"its input {port.name} has {len(port.shape)} axes, and an image has 4"
    if port.dtype not in FLOATS and 3 in (port.shape[1], port.shape[3]):
        return f"its input {port.name} is {port.dtype}, and an image is of floats or integers"
    return f"its input {port.name} does not have the 3 channels of an image"


def fixed(axis: int | str | None) -> bool:
    """Whether an axis has a length."""
    return isinstance(axis, int)


def output_shapes(candidate: Candidate, image: Image, size: Size) -> Mapping[str, tuple[int, ...]]:
    """Return the shape of each output for one image.

    Where the graph does not state them, the network is run on one image of noise.

    Args:
        candidate: The network.
        image: Its input.
        size: (height, width) of the image.

    Returns:
        Name -> shape, with a batch axis of length 1; nothing where the network does not run.
    """
    stated = {port.name: _for_one(port) for port in candidate.outputs}
    if image.size is not None and all(shape is not None for shape in stated.values()):
        return {name: shape for name, shape in stated.items() if shape is not None}
    return {name: tuple(value.shape) for name, value in outputs_of_noise(candidate, image, size).items()}


def with_stated(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> onnx.ModelProto:
    """Return a copy of a graph that states the shapes of outputs, as adapters need them; the batch axis stays open.

    Args:
        model: The graph.
        shapes: Output -> its shape for one image.
    """
    made = copied(model)
    for value in made.graph.output:
        if value.name in shapes:
            axes = value.type.tensor_type.shape
            axes.ClearField("dim")
            axes.dim.add().dim_param = "batch"
            for length in shapes[value.name][1:]:
                axes.dim.add().dim_value = length
    return made


def _for_one(port: Port) -> tuple[int, ...] | None:
    if not port.shape or not all(fixed(axis) for axis in port.shape[1:]):
        return None
    return (1, *(axis for axis in port.shape[1:] if isinstance(axis, int)))


def outputs_of_noise(candidate: Candidate, image: Image, size: Size) -> Mapping[str, Array]:
    """Run a network in ONNX Runtime on one image of noise.

    Args:
        candidate: The network.
        image: Its input.
        size: (height, width) of the image.

    Returns:
        Name -> value; nothing where the network does not run.

    Raises:
        SpecError: No input can have the size, which a file beside the network or its metadata states.
    """
    if not all(1 <= side <= LONGEST for side in size):
        raise SpecError(
            f"{candidate.path}: its input cannot be {size[0]} pixels high and {size[1]} wide, as the files beside it "
            f"or its metadata say; expected 1 to {LONGEST}: correct them, or pass --spec"
        )
    shape = (1, 3, *size)
    model = with_image_shape(candidate.model, shape[1:])
    noise = _noise(candidate, shape).astype(image.dtype)
    names = [port.name for port in candidate.outputs]
    failures: tuple[type[BaseException], ...] = (ModelError, *runtime_failures())
    try:
        refuse_crashing(model, shape, image.dtype, str(candidate.path))
        session = plain_session(model.SerializeToString())
        values = run_limited(session, names, {image.name: _batched(candidate.inputs[0], noise)})
    except failures:
        return {}
    return {name: np.asarray(value) for name, value in zip(names, values, strict=True)}


def _noise(candidate: Candidate, shape: tuple[int, ...]) -> Array:
    """Return values around 0, or whole pixels where the file takes integers."""
    random = np.random.default_rng(0)
    if candidate.image_from is None or candidate.image_from.dtype.startswith("float"):
        return np.asarray(random.normal(size=shape))
    return np.asarray(random.integers(0, 256, size=shape))


def _batched(port: Port, images: Array) -> Array:
    """Repeat an image where a graph demands a larger batch."""
    batch = port.shape[0]
    return np.repeat(images, batch, axis=0) if isinstance(batch, int) else images


def floats(candidate: Candidate) -> Sequence[Port]:
    """Return the outputs of floats."""
    return [port for port in candidate.outputs if port.dtype in FLOATS]
