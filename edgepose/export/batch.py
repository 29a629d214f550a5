"""Give an imported graph a free batch axis if it computes the same for each image, else batch size 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec
from edgepose.backends.onnxruntime import OnnxRuntimeSession, failures
from edgepose.backends.session import OpenOptions
from edgepose.errors import ModelError, one_line
from edgepose.export.ports import set_shapes

if TYPE_CHECKING:
    import onnx

IMAGES = 3


def free_batch(model: onnx.ModelProto, spec: ModelSpec, where: str) -> onnx.ModelProto:
    """Return the model with a dynamic batch axis if it computes the same for each image, else with batch size 1.

    Args:
        model: The graph, with only the outputs of the contract.
        spec: The contract.
        where: The name of the file, for error messages.

    Returns:
        A copy of the model.

    Raises:
        ModelError: The model cannot be run, or is not of the kind that the codec expects.
        SpecError: The outputs do not fit the contract.
    """
    images = noise(spec)[:2]
    try:
        one = run_graph(set_shapes(model, spec, 1, None), spec, images[:1])
    except failures() as error:
        raise ModelError(
            f"{where} does not run with input shape {[1, *spec.input.shape]}: {one_line(error)}; correct "
            "input.size, or export the network again"
        ) from error
    spec.codec.check_network(one, spec, where)
    shapes = [value.shape[1:] for value in one]
    free = set_shapes(model, spec, "batch", shapes)
    return free if _images_stand_alone(free, spec, images, one) else set_shapes(model, spec, 1, shapes)


def noise(spec: ModelSpec) -> Array:
    """Return images of noise in the layout and dtype of the input."""
    values = np.random.default_rng(0).normal(size=(IMAGES, *spec.input.shape))
    return (
        (values * 50 + 128).clip(0, 255).astype(np.uint8)
        if spec.input.dtype == "uint8"
        else values.astype(spec.input.dtype)
    )


def run_graph(model: onnx.ModelProto, spec: ModelSpec, images: Array) -> list[Array]:
    """Return the outputs of the contract for images [N, ...]; raises one of `failures()`."""
    with OnnxRuntimeSession(model.SerializeToString(), OpenOptions()) as session:
        found = session.run({spec.input.name: images})
    return [found[name] for name in spec.outputs]


def _images_stand_alone(model: onnx.ModelProto, spec: ModelSpec, images: Array, one: list[Array]) -> bool:
    """Whether a batch of two images gives the same results as each image alone; `one` are those of the first image."""
    try:
        both = run_graph(model, spec, images)
        second = run_graph(model, spec, images[1:])
    except failures():
        return False
    return all(
        found.shape == (2, *first.shape[1:])
        and np.allclose(found, [first[0], last[0]], atol=1e-4 * np.abs(found).max())
        for found, first, last in zip(both, one, second, strict=True)
    )
