"""Explain a file: a checkpoint, an ONNX file, a scales.json, a guard.json, an engine folder, or results."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepose._files import read_json, sha256_file
from edgepose.api.float_layers import BY_SEARCH, grouped
from edgepose.artifacts.certificate import Certificate, certificate_from
from edgepose.artifacts.manifest import Manifest, read_manifest
from edgepose.artifacts.spec import (
    IMPORT_KEY,
    KEPT_FLOAT_KEY,
    NOTES_KEY,
    PARENT_KEY,
    PRECISION_KEY,
    SPEC_KEY,
    ModelSpec,
    embedded_spec,
    get_metadata,
)
from edgepose.artifacts.toml import spec_to_toml
from edgepose.errors import EdgeposeError, SpecError, one_line
from edgepose.graph.folder import network_file
from edgepose.recognize import Recognized, candidate_of, recognize, unknown
from edgepose.recognize.kept import Recognition, recognition_from, recognition_of

if TYPE_CHECKING:
    import onnx

    from edgepose.artifacts.scales import Scales
    from edgepose.measure.plausible import Finding


TOML = "spec.toml"  # the key of a contract that was recognized, as lines of TOML


def inspect(path: str | Path) -> dict[str, Any]:
    """Explain what a file or folder is, what it was made from, and what it holds.

    Args:
        path: A checkpoint, an ONNX file, a scales.json, a guard.json, an engine folder, results of edgepose,
            a folder with a network as it was published, or a zoo name.

    Returns:
        A JSON object whose "kind" says what the file is; the other keys depend on the kind.

    Raises:
        EdgeposeError: There is no such file, or edgepose does not know its kind.

    Examples:
        >>> inspect("engines/openvino-int8")["precision"]
        'int8'
    """
    from edgepose.zoo import ZOO, zoo_model

    return _explain(zoo_model(str(path)) if str(path) in ZOO and not Path(path).exists() else Path(path))


def contract_toml(path: str | Path) -> str:
    """Return the contract of a network as a spec.toml that can be edited.

    Args:
        path: An ONNX file or an engine folder, a folder with a network as it was published, or a zoo name. A network
            without a contract is recognized; comments say what was guessed.

    Raises:
        SpecError: The network carries no contract and is not recognized.
        EdgeposeError: There is no such file, or it is no network.
    """
    from edgepose.graph.importing import checked
    from edgepose.zoo import ZOO, zoo_model

    given = Path(path)
    source = zoo_model(str(path)) if str(path) in ZOO and not given.exists() else network_file(given)
    if source.is_dir():
        return spec_to_toml(read_manifest(source).spec)
    if source.suffix != ".onnx" or not source.is_file():
        raise EdgeposeError(f"{path} is no ONNX file, no engine folder and no zoo name, so it has no contract")
    model = checked(source)
    if get_metadata(model, SPEC_KEY):
        return spec_to_toml(embedded_spec(model, str(source)))
    candidate = candidate_of(model, source)
    found = recognize(candidate)
    if found is None:
        raise SpecError(unknown(candidate, str(source)))
    return _recognized_toml(_measured(found, source), rewritten=found.model is not model)


def _measured(found: Recognized, source: Path) -> Recognized:
    """Return a heatmap network with the grid that `build` would measure, since a spec that is edited states it."""
    from edgepose.api.grids import with_measured_grid
    from edgepose.codecs.heatmap import HeatmapCodec
    from edgepose.export.foreign import import_network

    if not isinstance(found.spec.codec, HeatmapCodec) or found.spec.codec.rule is not None:
        return found
    try:
        made = with_measured_grid(import_network(source, None)).recognized
    except EdgeposeError:
        return found  # build says why it cannot be imported
    return found if made is None else replace(found, spec=made.spec, guesses=made.guesses)


def _recognized_toml(found: Recognized, *, rewritten: bool) -> str:
    remarks = {guess.field: f"guessed: {guess.reason}" for guess in found.guesses}
    keys = {"skeleton", "outputs", *(f"{part}.{key}" for part, value in found.spec.to_json().items()
                                     if isinstance(value, dict) for key in value)}  # fmt: skip
    elsewhere = [f"{guess.field} = {guess.value} is guessed: {guess.reason}" for guess in found.guesses
                 if guess.field not in keys]  # fmt: skip
    head = [recognition_from(found, rewritten=rewritten).lines()[0], *elsewhere]
    text = spec_to_toml(found.spec, family=found.family if rewritten else None, remarks=remarks)
    return "".join(f"# {line}\n" for line in head) + text


def _explain(path: Path) -> dict[str, Any]:
    path = network_file(path)
    if path.is_dir():
        return _engine(path)
    if not path.is_file():
        raise EdgeposeError(f"no file or folder at {path}")
    if path.name == "manifest.json":
        return _engine(path.parent)
    kinds = {".onnx": _onnx, ".pt": _checkpoint, ".pth": _checkpoint, ".json": _json}
    if path.suffix not in kinds:
        raise EdgeposeError(
            f"{path}: cannot explain {path.suffix!r} files; it knows {', '.join(kinds)} and engine folders"
        )
    return kinds[path.suffix](path)


def _parameters(spec: ModelSpec) -> list[str]:
    """Name and value of each parameter of the codec; of a tree of springs only the name."""
    values = spec.codec.parameters().items()
    return [name if name == "pictorial" else f"{name} {value}" for name, value in values]


def _outside(spec: ModelSpec) -> str:
    """What is outside the image."""
    return "the nearest pixel" if spec.crop.border == "replicate" else f"level {spec.crop.border_value}"


def _contract(spec: ModelSpec) -> dict[str, Any]:
    shape = ", ".join(map(str, spec.input.shape))
    return {
        "name": spec.name,
        "input": f"{spec.input.name} [N, {shape}] {spec.input.color} {spec.input.dtype}",
        "skeleton": f"{spec.skeleton.name}, {len(spec.skeleton)} joints",
        "codec": ", ".join([spec.codec.name, *_parameters(spec)]),
        "crop padding": spec.crop.padding,
        "crop": f"{spec.crop.place}, {spec.crop.resize} size, {_outside(spec)} around it",
        "kept in float": [*spec.quantize.keep_float, *spec.quantize.keep_float32],
        "calibration method": spec.quantize.method,
    }


def _metadata(model: onnx.ModelProto, key: str, default: Any, path: Path) -> Any:
    """Return the JSON of a metadata property, or `default` where the model lacks it or it holds something else."""
    try:
        value = json.loads(get_metadata(model, key) or "null")
    except (ValueError, RecursionError) as error:
        raise EdgeposeError(f"{path}: its metadata {key} is no valid JSON ({one_line(error)})") from error
    return value if isinstance(value, type(default)) else default


def _engine(path: Path) -> dict[str, Any]:
    manifest = read_manifest(path)
    value = manifest.to_json()
    layers = value.pop("layers")
    value.pop("spec")
    value.pop("sha256")  # digests that `read_manifest` has checked
    runs = dict(Counter(layers.values()))
    share = _int8_of_engine(manifest) if manifest.precision.startswith("int8") else {}
    for key in ("multiply_adds", "int8_in_graph"):
        value.pop(key)
    guard = value.pop("guard")
    tested = explain_certificate(certificate_from(guard, f"{path}/manifest.json")) if guard else {}
    doubts = [finding.line() for finding in _static_doubts(manifest.spec)]
    return {
        "kind": "engine",
        **value,
        **tested,
        "contract": _contract(manifest.spec),
        "doubts about the contract": doubts,
        **share,
        "runs": runs,
        "layers": layers,
    }


def explain_certificate(certificate: Certificate) -> dict[str, Any]:
    """Return the answer of the guard, and a line for each candidate of the search.

    Returns:
        "accuracy of int8" with lines of text, and "path of the search" from most float layers to most int8 layers.
    """
    path = []
    for number, one in enumerate(certificate.candidates):
        about = [f"{one.float_layers} layers in float"]
        about += [] if one.int8_share is None else [f"{one.int8_share:.0%} of the multiply-adds in int8"]
        about += [] if one.time is None else [f"{one.time:.0%} of the float network's time (estimated)"]
        kept = [f"{name} {item.retention:.2%} ({item.bound:.2%} proven)" for name, item in one.metrics.items()]
        about.append(f"keeps {', '.join(kept)}" if kept else "not tested")
        chosen = " (chosen)" if number == certificate.chosen else ""
        path.append(f"candidate {number + 1}{chosen}: {'; '.join(about)}")
    return {"accuracy of int8": list(certificate.lines()), "path of the search": path}


def _int8_of_engine(manifest: Manifest) -> dict[str, Any]:
    """The shares of the multiply-adds that are int8, as percentages."""
    from edgepose.backends.int8_share import share_that_runs

    runs = share_that_runs(manifest.multiply_adds, manifest.layers)
    return {"int8 in the graph": _percent(manifest.int8_in_graph), "int8 when it was built": _percent(runs)}


def _percent(share: float | None) -> str:
    return "not known" if share is None else f"{share:.0%} of the multiply-adds"


def _scales_in_short(scales: Scales) -> list[str]:
    """Say what calibration and the search decided, in numbers."""
    kinds = grouped(scales.keep_float)
    searched = len(kinds.get(BY_SEARCH, []))
    corrected = f"biases corrected: {len(scales.bias)} nodes" if scales.bias else "no bias is corrected"
    ends = [f"first and last layers in int8: {', '.join(scales.int8_ends)}"] if scales.int8_ends else []
    return [
        f"kept in float: {len(scales.keep_float)} nodes, {searched} of them {BY_SEARCH}",
        *ends,
        f"equalized: {len(scales.equalization)} tensors",
        corrected,
        f"ranges: {len(scales.tensors)} tensors, observed on {scales.images} people by {scales.method}",
    ]


def _static_doubts(spec: ModelSpec) -> tuple[Finding, ...]:
    from edgepose.measure.plausible import Evidence, judge

    return judge(Evidence(spec=spec))


def _onnx(path: Path) -> dict[str, Any]:
    from edgepose.graph.cost import int8_share, layer_costs, multiply_adds
    from edgepose.graph.importing import checked
    from edgepose.graph.importing.float32 import inner_types
    from edgepose.graph.lookup import default_opset

    model = checked(path)
    inside = inner_types(model)
    nodes = Counter(node.op_type for node in model.graph.node)
    cost = multiply_adds(model)
    int8 = {"int8": _percent(int8_share(layer_costs(model)))} if _is_int8(model) else {}
    return {
        "kind": "ONNX",
        "sha256": sha256_file(path),
        "opset": default_opset(model),
        "made from sha256": get_metadata(model, PARENT_KEY),
        "precision": get_metadata(model, PRECISION_KEY)
        or (f"{' and '.join(inside)} inside" if inside else "as trained"),
        **_contract_of(model, path),
        "changed on import": _metadata(model, IMPORT_KEY, [], path),
        "kept in float": _metadata(model, KEPT_FLOAT_KEY, {}, path),
        "notes": _metadata(model, NOTES_KEY, [], path),
        "doubts about the contract": _doubts_about(model, path),
        "parameters": sum(math.prod(tensor.dims) for tensor in model.graph.initializer),
        "multiply-adds": "not fixed: the graph takes images of any size" if cost is None else cost,
        **int8,
        "nodes": dict(nodes.most_common()),
    }


def _contract_of(model: onnx.ModelProto, path: Path) -> dict[str, Any]:
    """Return the contract inside an ONNX file, or else the one that is recognized, with its guesses and as TOML."""
    if get_metadata(model, SPEC_KEY):
        kept = recognition_of(model)
        said = {} if kept is None else _recognition(kept)
        return {"contract": _contract(embedded_spec(model, str(path))), **said}
    candidate = candidate_of(model, path)
    try:
        found = recognize(candidate)
    except SpecError as error:
        return {"contract": f"none: {error}"}
    if found is None:
        return {"contract": f"none: {unknown(candidate, str(path))}"}
    rewritten = found.model is not model
    found = _measured(found, path)
    toml = _recognized_toml(found, rewritten=rewritten)
    return {
        "contract": _contract(found.spec),
        **_recognition(recognition_from(found, rewritten=rewritten)),
        TOML: toml.splitlines(),
    }


def _recognition(kept: Recognition) -> dict[str, Any]:
    first, *guesses = kept.lines()
    return {"recognized": first.removeprefix("recognized "), "guessed": guesses}


def _is_int8(model: onnx.ModelProto) -> bool:
    """Whether it is an INT8 graph."""
    found = any(node.op_type == "DequantizeLinear" for node in model.graph.node)
    return found and get_metadata(model, PRECISION_KEY) != "fp8"


def _doubts_about(model: onnx.ModelProto, path: Path) -> list[str]:
    """Judge the contract inside an ONNX file; a float graph is run on rendered figures where ONNX Runtime is there."""
    if not get_metadata(model, SPEC_KEY):
        return []
    from edgepose.api.contract import judged
    from edgepose.backends import onnxruntime

    spec = embedded_spec(model, str(path))
    runs = onnxruntime.problem() is None and get_metadata(model, PRECISION_KEY) in (None, "fp32")
    return [
        finding.line() for finding in (judged(model, spec, measure_grid=False)[0] if runs else _static_doubts(spec))
    ]


def _checkpoint(path: Path) -> dict[str, Any]:
    from edgepose._optional import optional

    optional("torch")
    from edgepose.models.cost import multiply_adds, parameters
    from edgepose.training.checkpoint import load_checkpoint, load_model

    checkpoint = load_checkpoint(path)
    model, spec = load_model(path)
    return {
        "kind": "checkpoint",
        "sha256": sha256_file(path),
        "model": checkpoint.model,
        "contract": _contract(checkpoint.spec),
        "parameters": parameters(model),
        "multiply-adds": multiply_adds(model, spec.input.size),
        "made from": checkpoint.training.get("origin", "not recorded"),
        "resumable": "optimizer" in checkpoint.training,
    }


def _json(path: Path) -> dict[str, Any]:
    value = read_json(path, "JSON")
    if isinstance(value, dict) and "onnx_sha256" in value and "tensors" in value:
        from edgepose.artifacts.scales import read_scales

        scales = read_scales(path)
        value = scales.to_json()
        tensors = value.pop("tensors")
        scale_of = {name: item["scale"] for name, item in tensors.items()}
        return {"kind": "scales", "in short": _scales_in_short(scales), **value, "tensors": scale_of}
    if isinstance(value, dict) and "answer" in value and "candidates" in value:
        from edgepose.artifacts.certificate import read_certificate

        return {"kind": "guard", **explain_certificate(read_certificate(path))}
    if isinstance(value, dict) and isinstance(value.get("engines"), list):
        return {"kind": "results", "engines": [str(entry.get("path")) for entry in value["engines"]]}
    if isinstance(value, list):
        return {"kind": "COCO results", "people": len(value)}
    if isinstance(value, dict) and all(isinstance(value.get(key), list) for key in ("images", "annotations")):
        people = [entry for entry in value["annotations"] if isinstance(entry, dict)]
        tracks = {str(entry["track_id"]) for entry in people if entry.get("track_id") is not None}
        counts = {"frames": len(value["images"]), "people": len(people), "tracks": len(tracks)}
        return {"kind": "COCO JSON", **counts}
    raise EdgeposeError(f"{path} is JSON that edgepose did not write")
