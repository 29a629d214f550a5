"""A network trained elsewhere: an ONNX and a spec.toml become a graph of ours, contract inside.

    model, spec = import_onnx(Path("net.onnx"), read_toml(Path("net.toml")))

Opset 9 and up. What the ONNX itself says (input name and size, the output) need not stand in the spec; what
both say must agree. The batch axis is freed where the network allows it; where it is baked in (a Reshape to
a constant shape) the input keeps batch 1 and engines run one person at a time.

Test alone: `pytest tests/export/test_foreign.py`.
"""

from __future__ import annotations

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
NAME = '"NAME"'


def import_onnx(path: Path, table: dict[str, Any] | None) -> tuple[onnx.ModelProto, ModelSpec]:
    """The graph in our form and its contract; `table` is a spec.toml, None for a contract inside the ONNX.

    Raises ModelError for a file that is no ONNX or no pose network, SpecError for a missing contract or one
    that contradicts the network.
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
        raise ModelError(f"{path} is no valid ONNX: {one_line(error)}; export it again") from error
    return model


def _completed(table: dict[str, Any], model: onnx.ModelProto, image: Port, where: str) -> dict[str, Any]:
    """The table with what the ONNX says filled in."""
    given = table.get("input", {})
    known: dict[str, Any] = {"name": image.name, "layout": image.layout, "dtype": image.dtype}
    if None not in image.size:
        known["size"] = list(image.size)
    made = {**table, "input": known | given} if isinstance(given, dict) else dict(table)
    if isinstance(given, dict) and "size" not in made["input"]:
        raise SpecError(f"{where} takes images of any size; add input = {{ size = [HEIGHT, WIDTH] }} to the spec")
    names = [output.name for output in model.graph.output]
    if "outputs" not in made and len(names) > 1:
        wanted = _decoded(table)
        raise SpecError(
            f"{where} has outputs {', '.join(names)}; add outputs = [{', '.join(len(wanted) * [NAME])}] of the "
            f"{' and the '.join(wanted)} to the spec"
        )
    return {"outputs": names, **made}


def _decoded(table: dict[str, Any]) -> tuple[str, ...]:
    """What the codec of an unchecked table decodes."""
    codec = table.get("codec")
    kind = codec.get("type") if isinstance(codec, dict) else None
    return codec_named(kind if isinstance(kind, str) and kind in CODECS else DEFAULT).decodes


def _check_against(spec: ModelSpec, model: onnx.ModelProto, image: Port, where: str) -> None:
    """What can be told before running: names and sizes."""
    if spec.input.name != image.name:
        raise SpecError(f"{where}: the spec names input {spec.input.name!r}, the network has {image.name!r}")
    for key in ("layout", "dtype"):
        said, there = getattr(spec.input, key), getattr(image, key)
        if said != there:
            raise SpecError(
                f"{where}: the spec's input.{key} is {said!r}, the network takes {image.text()} {image.dtype} "
                f"({there}); correct input.{key}, or leave it out"
            )
    for given, found in zip(spec.input.size, image.size, strict=True):
        if found not in (None, given):
            raise SpecError(
                f"{where}: the spec's input.size is {list(spec.input.size)}, the network takes {image.text()}"
            )
    names = [output.name for output in model.graph.output]
    for name in spec.outputs:
        if name not in names:
            raise SpecError(f"{where}: the spec names output {name!r}{nearest(name, names)}")


def free_batch(model: onnx.ModelProto, spec: ModelSpec, where: str) -> onnx.ModelProto:
    """The model with a free batch axis, or with batch 1 where it computes something else for two images.

    Raises ModelError when it runs with neither, and as `Codec.check_network` when it gives something else.
    """
    images = _noise(spec)
    try:
        one = _run(set_shapes(model, spec, 1, None), spec, images[:1])
    except failures() as error:
        raise ModelError(f"{where} does not run on {[1, *spec.input.shape]}: {one_line(error)}") from error
    spec.codec.check_network(one, spec, where)
    shapes = [value.shape[1:] for value in one]
    free = set_shapes(model, spec, "batch", shapes)
    return free if _images_stand_alone(free, spec, images, one) else set_shapes(model, spec, 1, shapes)


def _noise(spec: ModelSpec) -> Array:
    """Two images of noise, in the input's layout and type."""
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
    """Whether two images as a batch give, for each, what it gives alone (`one`: the first image's)."""
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
