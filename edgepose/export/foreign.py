"""Import a network that was trained elsewhere: an ONNX file and a spec.toml become a graph with its contract inside.

    model, spec = import_onnx(Path("net.onnx"), read_toml(Path("net.toml")))

The ONNX needs opset 7 or later. The spec may leave out what the ONNX file says (name, size, layout and dtype of the
input, and a single output), but must not contradict it. Without a spec, and without a contract in the file, the network
is recognized (`edgepose.recognize`): its graph may then get other inputs and outputs by nodes that are added to it. A
spec may name the family of such a network, `family = "..."`, and say only what is to differ. An input of 32-bit or
64-bit integers becomes float32.

The batch axis becomes dynamic if the network allows it. If the network fixes batch size 1 (for example with a Reshape
to a constant shape), it stays, and engines process one person at a time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepose._files import sha256_file
from edgepose._progress import Note, silent
from edgepose.artifacts.choices import LAYOUTS
from edgepose.artifacts.spec import (
    IMPORT_KEY,
    PARENT_KEY,
    SPEC_KEY,
    ModelSpec,
    embed_spec,
    embedded_spec,
    get_metadata,
    set_metadata,
    spec_from_dict,
)
from edgepose.codecs import CODECS, DEFAULT, codec_named
from edgepose.codecs.paf import PafCodec
from edgepose.errors import SpecError, UsageError, nearest
from edgepose.export.adapted import refuse_lost_outputs
from edgepose.export.left_out import refuse_left_out
from edgepose.export.ports import Port, image_input, with_outputs
from edgepose.export.verified import verified_import
from edgepose.graph.adapters.inputs import takes_integers, to_float
from edgepose.graph.importing import checked, with_image_shape
from edgepose.graph.layout import with_layout
from edgepose.graph.lookup import graph_inputs
from edgepose.graph.trial import refuse_crashing
from edgepose.recognize import Candidate, Recognized, candidate_of, recognize, unknown
from edgepose.recognize.kept import keep_recognized, without_said

if TYPE_CHECKING:
    import onnx

    from edgepose.pose.geometry import Size

NAME = '"NAME"'
DETECTORS = (
    {"dets", "labels"},
    {"dets", "keypoints"},
    {"scores", "labels", "keypoints"},
    {"scores", "labels", "boxes"},
)
CHANNELS = 3
FAMILY = "family"  # the key of a spec.toml that names the family whose rewriting of the graph it builds on


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A network that was trained elsewhere, imported.

    Attributes:
        model: The prepared graph, with the contract in its metadata.
        spec: The contract.
        recognized: How the network was recognized; None where a spec or the file itself has the contract.
        adapted: The graph before the import, with the inputs and outputs of the contract, where those of the file were
            changed; None where the file itself can be compared with the import.
    """

    model: onnx.ModelProto
    spec: ModelSpec
    recognized: Recognized | None = None
    adapted: onnx.ModelProto | None = None


def import_onnx(path: Path, table: dict[str, Any] | None, note: Note = silent) -> tuple[onnx.ModelProto, ModelSpec]:
    """Read an ONNX file and return its prepared graph and its contract.

    The graph is rewritten to plain float32 nodes with constant weights (`graph.importing`), and compared with the file
    in plain ONNX Runtime on images of noise. A rewriting after which the results differ is left out.

    Args:
        path: The ONNX file.
        table: The content of a spec.toml; None if the contract is inside the ONNX, or the network is to be recognized.
        note: Receives one sentence for each kind of rewriting.

    Returns:
        The graph, with the contract in its metadata, and the contract.

    Raises:
        ModelError: The file is not a valid ONNX, or not a pose network, or its import computes something else.
        SpecError: The network carries no contract and is not recognized, or the contract contradicts the network.
    """
    made = import_network(path, table, note)
    return made.model, made.spec


def _as_written(spec: ModelSpec) -> ModelSpec:
    """Return a contract that edgepose wrote into a file, with the field order that it had before it was stated."""
    if isinstance(spec.codec, PafCodec) and spec.codec.field_order is None:
        return replace(spec, codec=replace(spec.codec, field_order="xy"))
    return spec


def import_network(
    path: Path,
    table: dict[str, Any] | None,
    note: Note = silent,
    *,
    size: Size | None = None,
    classes: tuple[str, ...] = (),
) -> Imported:
    """Import a network as `import_onnx` does, and say how it was recognized.

    Args:
        path: The ONNX file.
        table: The content of a spec.toml; None if the contract is inside the ONNX, or the network is to be recognized.
        note: Receives one sentence for each kind of rewriting.
        size: (height, width) to give an image whose size the graph leaves open; None takes that of the spec, the
            metadata, the files beside the network or the family.
        classes: Names or numbers of the classes of a detector that count as people; empty is "person".

    Raises:
        ModelError: As `import_onnx`.
        UsageError: The graph or the spec fixes another size than `size`; or the network has no such classes.
        SpecError: As `import_onnx`; or the network carries no contract and is not recognized.
    """
    where = str(path)
    file = model = checked(path)
    if size is not None:
        file = model = _with_size(model, table, size, where)
        table = None if table is None else {**table, "input": {**table.get("input", {}), "size": list(size)}}
    whole = False
    found: Recognized | None = None
    if table is not None and FAMILY in table:
        file = model = _sized(model, table)
        found = _of_family(candidate_of(model, path, classes), table[FAMILY], where)
        said = {key: value for key, value in table.items() if key != FAMILY}
        found, table = without_said(found, said), _overlaid(found.spec, said)
    elif table is None and get_metadata(model, SPEC_KEY) is None:
        candidate = candidate_of(model, path, classes)
        found = recognize(candidate)
        if found is None:
            raise SpecError(unknown(candidate, where))
        table = found.spec.to_json()
    if found is None and classes:
        raise UsageError(f"--det-classes is for a detector whose contract is recognized; {where} has a contract")
    if found is not None:
        model = found.model
    elif takes_integers(model):
        whole, model = True, to_float(model)
    image = image_input(model, where, _stated_layout(table))
    if table is None:
        spec = embedded_spec(model, where)
    else:
        completed = _completed(table, model, image, where)
        if whole:
            completed["input"] = _levels(completed["input"], where)
        spec = spec_from_dict(completed, f"the spec for {path}")
    _check_against(spec, model, image, where)
    adapted = model if model is not file else None
    model = with_image_shape(with_outputs(model, spec.outputs), spec.input.shape)
    refuse_crashing(model, (1, *spec.input.shape), spec.input.dtype, where)
    judged = spec if table is not None else _as_written(spec)
    lost = None if adapted is None else refuse_lost_outputs(file, adapted, spec, path)
    made, lines = verified_import(model, judged, path, adapted=adapted is not None)
    lines = lines if lost is None else (*lines, lost)
    for line in lines:
        note(f"{path}: {line}")
    embed_spec(made, spec)
    set_metadata(made, PARENT_KEY, sha256_file(path))
    if lines:
        set_metadata(made, IMPORT_KEY, json.dumps(lines))
    if found is not None:
        keep_recognized(made, found, rewritten=adapted is not None)
    return Imported(model=made, spec=spec, recognized=found, adapted=adapted)


def _of_family(candidate: Candidate, family: object, where: str) -> Recognized:
    """Recognize a network as one of the family that a spec names."""
    if not isinstance(family, str):
        raise SpecError(f"{where}: family = {family!r}; expected the name of a family of networks")
    found = recognize(candidate, family)
    if found is None:
        raise SpecError(f"{where} is not recognized as {family!r}, which the spec names; {unknown(candidate, where)}")
    return found


def _sized(model: onnx.ModelProto, table: dict[str, Any]) -> onnx.ModelProto:
    """Fix the size of images that the graph leaves open to the one that a spec states.

    A rewriting of the graph may depend on the size, so that the network must be recognized with it.
    """
    given = table.get("input")
    size = given.get("size") if isinstance(given, dict) else None
    if not isinstance(size, list) or len(size) != 2 or not all(isinstance(length, int) for length in size):
        return model  # the contract is checked later
    ports = candidate_of(model).inputs
    if len(ports) != 1 or len(ports[0].shape) != 4:
        return model
    if all(isinstance(length, int) for length in ports[0].shape[1:]):
        return model  # nothing is open
    last = ports[0].shape[3] == CHANNELS and ports[0].shape[1] != CHANNELS
    return with_image_shape(model, (*size, CHANNELS) if last else (CHANNELS, *size))


def _with_size(model: onnx.ModelProto, table: dict[str, Any] | None, size: Size, where: str) -> onnx.ModelProto:
    """Fix the size of images that the graph leaves open to the one that the user asked for.

    Raises:
        UsageError: The graph or the spec fixes another size.
    """
    shape = f"{size[0]}x{size[1]}"
    given = (table or {}).get("input", {})
    stated = given.get("size") if isinstance(given, dict) else None
    if not isinstance(given, dict) or (stated is not None and stated != list(size)):
        raise UsageError(f"{where}: --shape is {shape}, and the spec has input.size = {stated}; leave one of them out")
    inputs = [value for value in graph_inputs(model) if len(value.type.tensor_type.shape.dim) == 4]
    if len(inputs) != 1:
        raise UsageError(f"{where} does not take one image, so that --shape {shape} has no meaning; leave it out")
    axes = [int(axis.dim_value) for axis in inputs[0].type.tensor_type.shape.dim]
    last = axes[3] == CHANNELS and axes[1] != CHANNELS
    sides = axes[1:3] if last else axes[2:]
    if any(side not in (0, wanted) for side, wanted in zip(sides, size, strict=True)):
        fixed = " x ".join(str(side) if side else "any" for side in sides)
        raise UsageError(f"{where} takes images of {fixed} pixels, so that --shape {shape} cannot be; leave it out")
    made = with_layout(model)
    return with_image_shape(made, (*size, CHANNELS) if last else (CHANNELS, *size), inputs[0].name)


def _overlaid(spec: ModelSpec, table: dict[str, Any]) -> dict[str, Any]:
    """Return the contract of a recognized network with the keys of a spec in their place.

    A table (input, crop, codec of the same type, quantize) replaces key by key; everything else replaces as a whole.
    """
    made = spec.to_json()
    for key, value in table.items():
        own: Any = made.get(key)
        mixed = isinstance(own, dict) and isinstance(value, dict) and key != "skeleton"
        if key == "codec" and mixed and value.get("type", own["type"]) != own["type"]:
            mixed = False
        made[key] = {**own, **value} if mixed else value
    return made


def _levels(given: Any, where: str) -> Any:
    """Return the input of a spec for a network of integers, which takes pixels as they are."""
    plain = {"mean": [0, 0, 0], "std": [1, 1, 1], "scale": 1}
    if not isinstance(given, dict):
        return given
    for key, value in plain.items():
        if given.get(key, value) != value:
            raise SpecError(f"{where} takes integers, which are pixels as they are; leave out input.{key}")
    return plain | given


def _stated_layout(table: dict[str, Any] | None) -> str | None:
    """Return the layout that an unchecked table states."""
    given = (table or {}).get("input")
    layout = given.get("layout") if isinstance(given, dict) else None
    return layout if layout in LAYOUTS else None


def _completed(table: dict[str, Any], model: onnx.ModelProto, image: Port, where: str) -> dict[str, Any]:
    """Return the table, completed with what the ONNX says."""
    given = table.get("input", {})
    known: dict[str, Any] = {"name": image.name, "layout": image.layout, "dtype": image.dtype}
    if None not in image.size:
        known["size"] = list(image.size)
    made = {**table, "input": known | given} if isinstance(given, dict) else dict(table)
    if isinstance(given, dict) and "size" not in made["input"]:
        raise SpecError(
            f"{where} accepts images of any size; pass --shape HEIGHTxWIDTH to edgepose build, or add "
            "input = { size = [HEIGHT, WIDTH] } to the spec"
        )
    names = [output.name for output in model.graph.output]
    if "outputs" not in made and len(names) > 1:
        if found := next((form for form in DETECTORS if form <= set(names)), None):
            raise SpecError(
                f"{where} has outputs {', '.join(names)}: {' and '.join(sorted(found))} are those of a network that "
                "finds people by itself, which no codec decodes; use a top-down network, which sees one person"
            )
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
        if said != there:
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
    refuse_left_out(spec, model, where)
