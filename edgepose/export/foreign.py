"""Import a network that was trained elsewhere: an ONNX file and a spec.toml become a graph with its contract inside.

    model, spec = import_onnx(Path("net.onnx"), read_toml(Path("net.toml")))

The ONNX needs opset 9 or later. The spec may leave out what the ONNX file says (name, size, layout and dtype of the
input, and a single output), but must not contradict it. The batch axis becomes dynamic if the network allows it. If the
network fixes batch size 1 (for example with a Reshape to a constant shape), it stays, and engines process one person at
a time.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgepose._checks import Array
from edgepose._files import sha256_file
from edgepose.artifacts.spec import (
    PARENT_KEY,
    ModelSpec,
    embed_spec,
    embedded_spec,
    set_metadata,
    spec_from_dict,
)
from edgepose.backends.onnxruntime import OnnxRuntimeSession, failures
from edgepose.backends.session import OpenOptions
from edgepose.codecs import CODECS, DEFAULT, codec_named
from edgepose.errors import ModelError, SpecError, nearest, one_line
from edgepose.export.ports import Port, image_input, set_shapes, with_outputs
from edgepose.graph.lookup import default_opset, load_onnx
from edgepose.graph.prepare import prepare

if TYPE_CHECKING:
    import onnx

OLDEST = 9
BATCHES = (2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 64)  # that a graph may have baked in
NAME = '"NAME"'


def import_onnx(path: Path, table: dict[str, Any] | None) -> tuple[onnx.ModelProto, ModelSpec]:
    """Read an ONNX file and return its prepared graph and its contract.

    Args:
        path: The ONNX file.
        table: The content of a spec.toml; None if the contract is inside the ONNX.

    Returns:
        The graph, with the contract in its metadata, and the contract.

    Raises:
        ModelError: The file is not a valid ONNX, or not a pose network.
        SpecError: There is no contract, or it contradicts the network.
    """
    model = prepare(_checked(path))
    image = image_input(model, str(path))
    if table is None:
        spec = embedded_spec(model, str(path))
    else:
        spec = spec_from_dict(_completed(table, model, image, str(path)), f"the spec for {path}")
    _check_against(spec, model, image, str(path))
    model = free_batch(with_outputs(model, spec.outputs), spec, str(path))
    embed_spec(model, spec)
    set_metadata(model, PARENT_KEY, sha256_file(path))
    return model, spec


def _checked(path: Path) -> onnx.ModelProto:
    from onnx import checker

    model = load_onnx(path)
    if default_opset(model) < OLDEST:
        raise ModelError(f"{path} has opset {default_opset(model)}; export it again with opset {OLDEST} or later")
    try:
        checker.check_model(model)
    except checker.ValidationError as error:
        raise ModelError(f"{path} is not a valid ONNX file: {one_line(error)}; export it again") from error
    return model


def _completed(table: dict[str, Any], model: onnx.ModelProto, image: Port, where: str) -> dict[str, Any]:
    """Return the table, completed with what the ONNX says."""
    given = table.get("input", {})
    known: dict[str, Any] = {"name": image.name, "dtype": image.dtype}
    if image.layout is not None:
        known["layout"] = image.layout
    if None not in image.size:
        known["size"] = list(image.size)
    made = {**table, "input": known | given} if isinstance(given, dict) else dict(table)
    if isinstance(given, dict) and "size" not in made["input"]:
        raise SpecError(f"{where} accepts images of any size; add input = {{ size = [HEIGHT, WIDTH] }} to the spec")
    names = [output.name for output in model.graph.output]
    if "outputs" not in made and len(names) > 1:
        wanted = _decoded(table)
        raise SpecError(
            f"{where} has outputs {', '.join(names)}; add outputs = [{', '.join(len(wanted) * [NAME])}] of the "
            f"{' and the '.join(wanted)} to the spec"
        )
    return {"outputs": names, **made}


def _decoded(table: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of the outputs that the codec of an unchecked table decodes."""
    codec = table.get("codec")
    kind = codec.get("type") if isinstance(codec, dict) else None
    return codec_named(kind if isinstance(kind, str) and kind in CODECS else DEFAULT).decodes


def _check_against(spec: ModelSpec, model: onnx.ModelProto, image: Port, where: str) -> None:
    """Compare the names and sizes of the contract with the network."""
    if spec.input.name != image.name:
        raise SpecError(
            f"{where}: the spec names input {spec.input.name!r}, the network has {image.name!r}; correct "
            "input.name, or leave it out"
        )
    for key in ("layout", "dtype"):
        said, there = getattr(spec.input, key), getattr(image, key)
        if there is not None and said != there:
            raise SpecError(
                f"{where}: the spec's input.{key} is {said!r}, the network takes {image.text()} {image.dtype} "
                f"({there}); correct input.{key}, or leave it out"
            )
    for given, found in zip(spec.input.size, image.size, strict=True):
        if found not in (None, given):
            turned = image.size == spec.input.size[::-1]
            order = " (a size is [HEIGHT, WIDTH]; these are exchanged)" if turned else ""
            raise SpecError(
                f"{where}: the spec's input.size is {list(spec.input.size)}, the network takes {image.text()}{order}; "
                "correct input.size, or leave it out"
            )
    names = [output.name for output in model.graph.output]
    for name in spec.outputs:
        if name not in names:
            raise SpecError(f"{where}: the spec names output {name!r}{nearest(name, names)}")


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
    images = _noise(spec)
    try:
        one = _run(set_shapes(model, spec, 1, None), spec, images[:1])
    except failures() as error:
        found = _what_runs(model, spec) or f"{one_line(error)}; correct input.size, or export the network again"
        raise ModelError(f"{where} does not run with input shape {[1, *spec.input.shape]}: {found}") from error
    spec.codec.check_network(one, spec, where)
    shapes = [value.shape[1:] for value in one]
    free = set_shapes(model, spec, "batch", shapes)
    return free if _images_stand_alone(free, spec, images, one) else set_shapes(model, spec, 1, shapes)


def _what_runs(model: onnx.ModelProto, spec: ModelSpec) -> str:
    """Say with which batch size or layout a network runs that does not run on one image; empty where none is found."""
    images, free = _noise(spec), set_shapes(model, spec, "batch", None)
    for batch in BATCHES:
        if _runs(free, spec, np.resize(images, (batch, *images.shape[1:]))):
            return (
                f"it runs with {batch} images at once, so a batch of {batch} is baked into the graph: export it with "
                "batch size 1 or a dynamic batch axis"
            )
    other = "nhwc" if spec.input.layout == "nchw" else "nchw"
    turned = replace(spec, input=replace(spec.input, layout=other))
    if _runs(set_shapes(model, turned, 1, None), turned, _noise(turned)[:1]):
        return f'it runs with {[1, *turned.input.shape]}: add layout = "{other}" to the input of the spec'
    return ""


def _runs(model: onnx.ModelProto, spec: ModelSpec, images: Array) -> bool:
    try:
        _run(model, spec, images)
    except failures():
        return False
    return True


def _noise(spec: ModelSpec) -> Array:
    """Return two images of noise in the layout and dtype of the input."""
    noise = np.random.default_rng(0).normal(size=(2, *spec.input.shape))
    return (
        (noise * 50 + 128).clip(0, 255).astype(np.uint8)
        if spec.input.dtype == "uint8"
        else noise.astype(spec.input.dtype)
    )


def _run(model: onnx.ModelProto, spec: ModelSpec, images: Array) -> list[Array]:
    with OnnxRuntimeSession(model.SerializeToString(), OpenOptions()) as session:
        found = session.run({spec.input.name: images})
    return [found[name] for name in spec.outputs]


def _images_stand_alone(model: onnx.ModelProto, spec: ModelSpec, images: Array, one: list[Array]) -> bool:
    """Whether a batch of two images gives the same results as each image alone; `one` are those of the first image."""
    try:
        both = _run(model, spec, images)
        second = _run(model, spec, images[1:])
    except failures():
        return False
    return all(
        found.shape == (2, *first.shape[1:])
        and np.allclose(found, [first[0], last[0]], atol=1e-4 * np.abs(found).max())
        for found, first, last in zip(both, one, second, strict=True)
    )
