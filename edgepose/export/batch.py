"""Give an imported graph a free batch axis if it computes the same for each image, else batch size 1."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec
from edgepose.errors import ModelError, one_line
from edgepose.export.ports import set_shapes
from edgepose.graph.evaluate import plain_session, run_limited, runtime_failures

if TYPE_CHECKING:
    import onnx

IMAGES = 3
BATCHES = (2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 64)  # that a graph may have baked in


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
    except ModelError as error:
        raise ModelError(f"{where}: {error}") from error
    except runtime_failures() as error:
        found = _what_runs(model, spec) or _why(one_line(error))
        raise ModelError(f"{where} does not run with input shape {[1, *spec.input.shape]}: {found}") from error
    spec.codec.check_network(one, spec, where)
    shapes = [value.shape[1:] for value in one]
    free = set_shapes(model, spec, "batch", shapes)
    return free if _images_stand_alone(free, spec, images, one) else set_shapes(model, spec, 1, shapes)


def _what_runs(model: onnx.ModelProto, spec: ModelSpec) -> str:
    """Say with which batch size or layout a network runs that does not run on one image; empty where none is found."""
    images, free = noise(spec), set_shapes(model, spec, "batch", None)
    for batch in BATCHES:
        if _runs(free, spec, np.resize(images, (batch, *images.shape[1:]))):
            return (
                f"it runs with {batch} images at once, so a batch of {batch} is baked into the graph: export it with "
                "batch size 1 or a dynamic batch axis"
            )
    other = "nhwc" if spec.input.layout == "nchw" else "nchw"
    turned = replace(spec, input=replace(spec.input, layout=other))
    if _runs(set_shapes(model, turned, 1, None), turned, noise(turned)[:1]):
        return f'it runs with {[1, *turned.input.shape]}: add layout = "{other}" to the input of the spec'
    return ""


def _runs(model: onnx.ModelProto, spec: ModelSpec, images: Array) -> bool:
    try:
        run_graph(model, spec, images, together=True)
    except ModelError:
        return False
    except runtime_failures():
        return False
    return True


def noise(spec: ModelSpec) -> Array:
    """Return images of noise in the layout and dtype of the input."""
    values = np.random.default_rng(0).normal(size=(IMAGES, *spec.input.shape))
    return (
        (values * 50 + 128).clip(0, 255).astype(np.uint8)
        if spec.input.dtype == "uint8"
        else values.astype(spec.input.dtype)
    )


def run_graph(model: onnx.ModelProto, spec: ModelSpec, images: Array, together: bool = False) -> list[Array]:
    """Return the outputs of the contract for images [N, ...]; raises one of `runtime_failures()`.

    Args:
        model: The graph.
        spec: The contract.
        images: The images.
        together: Whether all images are one batch; otherwise each goes through alone.
    """
    session = plain_session(model.SerializeToString())
    parts = [images] if together else [image[None] for image in images]
    found = [run_limited(session, spec.outputs, {spec.input.name: part}) for part in parts]
    return [np.concatenate([np.asarray(value) for value in values]) for values in zip(*found, strict=True)]


def _images_stand_alone(model: onnx.ModelProto, spec: ModelSpec, images: Array, one: list[Array]) -> bool:
    """Whether a batch of two images gives the same results as each image alone; `one` are those of the first image."""
    try:
        both = run_graph(model, spec, images, together=True)
        second = run_graph(model, spec, images[1:])
    except runtime_failures():
        return False
    return all(
        found.shape == (2, *first.shape[1:])
        and np.isfinite(found).all()
        and np.allclose(found, [first[0], last[0]], atol=1e-4 * np.abs(found).max(initial=0))
        for found, first, last in zip(both, one, second, strict=True)
    )


def _why(reason: str) -> str:
    if "is not a registered function/op" in reason:
        return f"{reason}; ONNX Runtime has no such operator: export the network with standard operators"
    return f"{reason}; correct input.size, or export the network again"
