"""Compare a graph that got other inputs or outputs with its file: the outputs of the file must still be computed.

An adapter changes the form of the image and adds nodes behind the outputs. The outputs of the file, where the adapter
reads them, are still tensors of the adapted graph, so both are run on the same images and these tensors are compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec
from edgepose.errors import ModelError
from edgepose.export.original import DTYPES
from edgepose.graph.evaluate import part_of, plain_session, run_limited, runtime_failures
from edgepose.graph.importing.limits import MOST_IMAGES
from edgepose.graph.lookup import graph_inputs, graph_of

if TYPE_CHECKING:
    import onnx

LIMIT = 1e-3  # of the largest value of an output
HALF_LIMIT = 2e-2  # where the file takes or gives float16
IMAGES = 3  # of which one may depart: a rounding can decide between two candidates of a TopK


def refuse_lost_outputs(file: onnx.ModelProto, adapted: onnx.ModelProto, spec: ModelSpec, path: Path) -> str | None:
    """Compare the outputs of a file with the same tensors of its adapted graph.

    Args:
        file: The graph as the file has it.
        adapted: The graph with the image and the outputs of the contract.
        spec: The contract.
        path: The file, for error messages.

    Returns:
        A sentence about what could not be compared, or None.

    Raises:
        ModelError: The adapted graph does not compute what the file computes.
    """
    kept = [value.name for value in file.graph.output if value.name in graph_of(adapted).producer]
    if not kept:
        return None  # the recognizer cut the graph in front of its outputs, and compared what it returns
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, 3, *spec.input.size)).astype(np.float32)
    failures: tuple[type[BaseException], ...] = (ModelError, *runtime_failures())
    try:
        found = _run_adapted(adapted, kept, spec, pixels)
        worst = np.inf
        for given in _forms(file, spec, pixels):
            worst = min(worst, _departure(_run_file(file, adapted, kept, spec, given), found))
            if worst <= _limit(file):
                return None
    except failures as error:
        return f"the outputs of the file are not compared: {error}"
    raise ModelError(
        f"{path}: the adapted graph does not compute the outputs {', '.join(kept)} of the file (they depart by "
        f"{worst:.1e} of the largest value); pass --spec with a contract for the graph as it is"
    )


def _image_of(file: onnx.ModelProto, spec: ModelSpec) -> onnx.ValueInfoProto:
    found: onnx.ValueInfoProto = next(value for value in graph_inputs(file) if value.name == spec.input.name)
    return found


def _forms(file: onnx.ModelProto, spec: ModelSpec, pixels: Array) -> Iterator[Array]:
    """Yield what the file may take for images: levels of the contract or pixels, in either order of the channels.

    Preprocessing that moved into the contract is still inside the file, and so is an exchange of red and blue.
    """
    for values in (normalized(spec, pixels), pixels):
        yield from (values, values[:, ::-1])


def normalized(spec: ModelSpec, pixels: Array) -> Array:
    """Return pixels [N, 3, H, W], in the color order of a contract, as the values that its network takes."""
    mean, std = (np.array(values, np.float32).reshape(3, 1, 1) for values in (spec.input.mean, spec.input.std))
    return np.asarray((pixels * np.float32(spec.input.scale) - mean) / std, np.float32)


def _run_adapted(adapted: onnx.ModelProto, names: list[str], spec: ModelSpec, pixels: Array) -> list[list[Array]]:
    values = normalized(spec, pixels)
    given = values if spec.input.layout == "nchw" else values.transpose(0, 2, 3, 1)
    session = plain_session(part_of(adapted, names).SerializeToString())
    batch = _batch_of(adapted, spec)
    return [
        _first(_run(session, names, {spec.input.name: np.repeat(image[None], batch, axis=0)}), batch)
        for image in given.astype(spec.input.dtype)
    ]


def _run_file(
    file: onnx.ModelProto, adapted: onnx.ModelProto, names: list[str], spec: ModelSpec, images: Array
) -> list[list[Array]]:
    image, session = _image_of(file, spec), plain_session(file.SerializeToString())
    axes = [int(axis.dim_value) for axis in image.type.tensor_type.shape.dim]
    last = len(axes) == 4 and axes[3] == 3 and axes[1] != 3
    batch = _batch_of(file, spec)
    kinds = {item.name: DTYPES.get(item.type) for item in session.get_inputs()}
    kind = kinds.get(image.name) or _integers(session, image.name)
    if np.issubdtype(kind, np.integer):
        images = np.rint(images).clip(0, 255)  # pixels, in whatever form they are given
    given = (images.transpose(0, 2, 3, 1) if last else images).astype(kind)
    others = _frozen(file, adapted, image.name)
    found = []
    for one in given:
        values = _run(session, names, {image.name: np.repeat(one[None], batch, axis=0), **others})
        found.append(_first(values, batch))
    return found


def _batch_of(model: onnx.ModelProto, spec: ModelSpec) -> int:
    """Return how many images a graph demands at once."""
    axes = _image_of(model, spec).type.tensor_type.shape.dim
    length = int(axes[0].dim_value) if axes else 1
    return length if 1 <= length <= MOST_IMAGES else 1


def _first(values: list[Any], batch: int) -> list[Array]:
    """Return the outputs of the first image of a batch."""
    return [np.asarray(value)[:1] if batch > 1 else np.asarray(value) for value in values]


def _integers(session: Any, name: str) -> Any:
    kind = next(item.type for item in session.get_inputs() if item.name == name)
    return np.dtype(kind.removeprefix("tensor(").removesuffix(")"))


def _frozen(file: onnx.ModelProto, adapted: onnx.ModelProto, image: str) -> dict[str, Array]:
    """Return the further inputs of a file, which are constants of the adapted graph."""
    from onnx import numpy_helper

    constants = graph_of(adapted).constants
    others = [value.name for value in graph_inputs(file) if value.name != image and value.name in constants]
    return {name: numpy_helper.to_array(constants[name]) for name in others}


def _run(session: Any, names: list[str], feed: dict[str, Array]) -> list[Any]:
    return run_limited(session, names, {name: np.ascontiguousarray(value) for name, value in feed.items()})


def _departure(expected: list[list[Array]], found: list[list[Array]]) -> float:
    """Return the largest relative error of the outputs of an image, of the second-worst image."""
    errors = [
        max(_error(a, b) for a, b in zip(one, other, strict=True)) for one, other in zip(expected, found, strict=True)
    ]
    return sorted(errors)[-2]


def _error(expected: Array, found: Array) -> float:
    if expected.shape != found.shape:
        return float("inf")
    if not expected.size:
        return 0.0
    left, right = expected.astype(np.float64), found.astype(np.float64)
    largest = max(float(np.abs(left).max()), 1e-12)
    error = float(np.abs(left - right).max()) / largest
    return error if np.isfinite(error) else float("inf")


def _limit(file: onnx.ModelProto) -> float:
    from onnx import TensorProto

    values = (*graph_inputs(file), *file.graph.output, *file.graph.initializer)
    kinds = {item.data_type if hasattr(item, "data_type") else item.type.tensor_type.elem_type for item in values}
    return HALF_LIMIT if kinds & {TensorProto.FLOAT16, TensorProto.BFLOAT16} else LIMIT
