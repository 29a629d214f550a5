"""Explain a file: a checkpoint, an ONNX file, a scales.json, an engine folder, or results."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepose._files import read_json, sha256_file
from edgepose.artifacts.manifest import read_manifest
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
from edgepose.errors import EdgeposeError, one_line

if TYPE_CHECKING:
    import onnx


def inspect(path: str | Path) -> dict[str, Any]:
    """Explain what a file or folder is, what it was made from, and what it holds.

    Args:
        path: A checkpoint, an ONNX file, a scales.json, an engine folder, results of edgepose, or a zoo name.

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


def _explain(path: Path) -> dict[str, Any]:
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


def _contract(spec: ModelSpec) -> dict[str, Any]:
    shape = ", ".join(map(str, spec.input.shape))
    return {
        "name": spec.name,
        "input": f"{spec.input.name} [N, {shape}] {spec.input.color} {spec.input.dtype}",
        "skeleton": f"{spec.skeleton.name}, {len(spec.skeleton)} joints",
        "codec": ", ".join([spec.codec.name, *_parameters(spec)]),
        "crop padding": spec.crop.padding,
        "kept in float": list(spec.quantize.keep_float),
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
    return {"kind": "engine", **value, "contract": _contract(manifest.spec), "runs": runs, "layers": layers}


def _onnx(path: Path) -> dict[str, Any]:
    from edgepose.graph.cost import multiply_adds
    from edgepose.graph.importing import checked
    from edgepose.graph.importing.float32 import inner_types
    from edgepose.graph.lookup import default_opset

    model = checked(path)
    inside = inner_types(model)
    nodes = Counter(node.op_type for node in model.graph.node)
    cost = multiply_adds(model)
    return {
        "kind": "ONNX",
        "sha256": sha256_file(path),
        "opset": default_opset(model),
        "made from sha256": get_metadata(model, PARENT_KEY),
        "precision": get_metadata(model, PRECISION_KEY)
        or (f"{' and '.join(inside)} inside" if inside else "as trained"),
        "contract": _contract(embedded_spec(model, str(path)))
        if get_metadata(model, SPEC_KEY)
        else "none: pass --spec to edgepose build",
        "changed on import": _metadata(model, IMPORT_KEY, [], path),
        "kept in float": _metadata(model, KEPT_FLOAT_KEY, {}, path),
        "notes": _metadata(model, NOTES_KEY, [], path),
        "parameters": sum(math.prod(tensor.dims) for tensor in model.graph.initializer),
        "multiply-adds": "not fixed: the graph takes images of any size" if cost is None else cost,
        "nodes": dict(nodes.most_common()),
    }


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

        scales = read_scales(path).to_json()
        tensors = scales.pop("tensors")
        return {"kind": "scales", **scales, "tensors": {name: item["scale"] for name, item in tensors.items()}}
    if isinstance(value, dict) and isinstance(value.get("engines"), list):
        return {"kind": "results", "engines": [str(entry.get("path")) for entry in value["engines"]]}
    if isinstance(value, list):
        return {"kind": "COCO results", "people": len(value)}
    raise EdgeposeError(f"{path} is JSON that edgepose did not write")
