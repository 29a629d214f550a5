"""Damaged contracts, in the metadata of an ONNX file and in a spec.toml."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from fuzzing.damage import damaged_json, damaged_toml, pick
from fuzzing.kind import Kind, Notes, require
from fuzzing.seeds import NETWORKS, SIZE

FILE, SPEC = "net.onnx", "net.toml"
FULL: dict[str, Any] = {
    "input": {
        "name": "input", "size": list(SIZE), "color": "bgr", "mean": [0.0, 0.0, 0.0], "std": [255.0, 255.0, 255.0],
        "layout": "nchw", "dtype": "float32", "scale": 1.0,
    },
    "crop": {"padding": 1.25, "border": "constant", "border_value": 114},
    "quantize": {"method": "percentile", "percentile": 99.9, "keep_float": ["/stem*"], "stem_float": True},
    "skeleton": {
        "name": "own", "joints": [f"joint{i}" for i in range(14)], "flips": [["joint0", "joint1"]],
        "limbs": [["joint0", "joint2"]], "sigmas": [0.05] * 14,
    },
}  # fmt: skip


def prepare(sound: Path) -> None:
    from edgepose.artifacts.spec import SPEC_KEY, set_metadata, spec_from_dict

    for name, (build, contract) in NETWORKS.items():
        model = build()
        (sound / f"{name}.onnx").write_bytes(model.SerializeToString())
        outputs = [port.name for port in model.graph.output]
        full = {**contract, **FULL, "outputs": outputs}
        set_metadata(model, SPEC_KEY, json.dumps(spec_from_dict(full, name).to_json()))
        (sound / f"{name}.with.onnx").write_bytes(model.SerializeToString())
        (sound / f"{name}.json").write_text(json.dumps(full))


def mutate(sound: Path, case: Path, random: np.random.Generator) -> str:
    from edgepose.artifacts.spec import SPEC_KEY, get_metadata

    name = pick(random, list(NETWORKS))
    if random.random() < 0.5:
        (case / FILE).write_bytes((sound / f"{name}.onnx").read_bytes())
        data, done = damaged_toml(json.loads((sound / f"{name}.json").read_text()), random)
        (case / SPEC).write_bytes(data)
        return f"{name}, TOML: {done}"
    model = onnx.load(sound / f"{name}.with.onnx")
    data, done = damaged_json(json.loads(get_metadata(model, SPEC_KEY) or ""), random)
    entry = next(entry for entry in model.metadata_props if entry.key == SPEC_KEY)
    entry.value = data.decode(errors="ignore")
    (case / FILE).write_bytes(model.SerializeToString())
    return f"{name}, metadata: {done}"


def attempt(sound: Path, case: Path) -> None:
    from edgepose.api.build import build
    from edgepose.api.inspect import inspect
    from edgepose.api.load import load
    from edgepose.api.request import BuildOptions
    from edgepose.artifacts.spec import spec_from_dict

    spec = case / SPEC if (case / SPEC).exists() else None
    if spec is None:
        inspect(case / FILE)
    options = BuildOptions(precisions=("fp32",), backends=("onnxruntime",), spec=spec)
    note = Notes()
    engine = build(case / FILE, out=case / "out", options=options, note=note).engines[0]
    with load(engine, threads=1) as pose:
        require(spec_from_dict(pose.spec.to_json(), "it") == pose.spec, "the contract does not read back as itself")
        picture = np.random.default_rng(0).integers(0, 255, (64, 48, 3), np.uint8)
        check_poses(pose(picture), (64, 48))
        again = pose(picture, boxes=np.array([[5, 5, 40, 60], [0, 0, 1, 1]], np.float32))
        require(len(again) == 2, f"two boxes give {len(again)} people")


def check_poses(poses: Any, size: tuple[int, int]) -> None:
    """Raise SilentlyWrong unless joints are finite and near the image, and scores are between 0 and 1."""
    xy, score = np.asarray(poses.xy_image), np.asarray(poses.scores)
    require(bool(np.isfinite(xy).all() and np.isfinite(score).all()), "joints or scores are NaN or infinite")
    require(not xy.size or float(np.abs(xy).max()) < 100 * max(size), f"a joint is at {np.abs(xy).max(initial=0):.3g}")


def words(sound: Path, case: Path) -> list[str]:
    spec = ["--spec", str(case / SPEC)] if (case / SPEC).exists() else []
    places = ["--out", str(case / "out2"), "--overwrite", "--backend", "onnxruntime", "--precision", "fp32"]
    return ["build", str(case / FILE), *spec, *places]


KIND = Kind(name="contract", share=14, prepare=prepare, mutate=mutate, attempt=attempt, words=words)
