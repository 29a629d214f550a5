"""Damaged engine folders: one that opens computes what it computed before."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np

from fuzzing.damage import damage_file, damaged_json, damaged_value, json_text, pick
from fuzzing.kind import Kind, require
from fuzzing.networks import write_networks
from fuzzing.seeds import picture

PLAN = "plan.json"
ENGINES = ("plain/onnxruntime-fp32", "plain/openvino-fp32", "plain/onnxruntime-int8", "simcc/openvino-fp32")


def prepare(sound: Path) -> None:
    from edgepose.api.build import build
    from edgepose.api.request import BuildOptions

    write_networks(sound)
    for name, precisions in (("plain", ("fp32", "int8")), ("simcc", ("fp32",))):
        options = BuildOptions(
            precisions=precisions, backends=("onnxruntime", "openvino"), spec=sound / f"{name}.toml",
            calib=f"images:{sound / 'pictures'}" if "int8" in precisions else None,
        )  # fmt: skip
        build(sound / f"{name}.onnx", out=sound / name, options=options)
    cv2.imwrite(str(sound / "person.png"), picture(np.random.default_rng(5)))
    for engine in ENGINES:
        np.save(sound / f"{engine.replace('/', '-')}.npy", _joints(sound / engine, sound / "person.png"))


def _joints(engine: Path, image: Path) -> np.ndarray:
    from edgepose.api.load import load

    with load(engine, threads=1) as pose:
        found = pose(image)
    return np.concatenate([np.asarray(found.xy_image).ravel(), np.asarray(found.scores).ravel()])


def mutate(sound: Path, case: Path, random: np.random.Generator) -> str:
    engine = pick(random, ENGINES)
    folder = case / "engine"
    shutil.copytree(sound / engine, folder)
    manifest = folder / "manifest.json"
    way = pick(random, ["manifest", "manifest", "signed", "payload", "gone", "extra", "folder"])
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    damaged = True
    if way == "manifest":
        data, done = damaged_json(json.loads(manifest.read_text()), random)
        manifest.write_bytes(data)
    elif way == "signed":  # as another version of the program could have written it
        done = _sign(manifest, random)
        damaged = False
    elif way == "payload":
        path = pick(random, files)
        done = f"{path.name}: {damage_file(path, random)}"
    elif way == "gone":
        path = pick(random, files)
        path.unlink()
        done = f"{path.name}: gone"
    elif way == "extra":
        (folder / pick(random, ["x.bin", ".DS_Store", "manifest.json.bak", "ü"])).write_bytes(b"\0")
        done = "another file"
    else:
        path = pick(random, files)
        path.unlink()
        path.mkdir() if random.random() < 0.5 else path.symlink_to("nowhere")
        done = f"{path.name} is no file"
    (case / PLAN).write_text(json.dumps({"engine": engine, "damaged": damaged}))
    return f"{engine}: {way}: {done}"


def _sign(manifest: Path, random: np.random.Generator) -> str:
    from edgepose.artifacts.manifest import field_digests

    value, done = damaged_value(json.loads(manifest.read_text()), random)
    text = json_text(value)
    try:
        if isinstance(value, dict):
            text = json_text(value | {"sha256": field_digests({k: v for k, v in value.items() if k != "sha256"})})
    except (ValueError, RecursionError):
        pass
    manifest.write_text(text)
    return done


def attempt(sound: Path, case: Path) -> None:
    from edgepose.api.inspect import inspect

    plan = json.loads((case / PLAN).read_text())
    inspect(case / "engine")
    found = _joints(case / "engine", sound / "person.png")
    expected = np.load(sound / f"{plan['engine'].replace('/', '-')}.npy")
    require(bool(np.isfinite(found).all()), "joints or scores are NaN or infinite")
    if plan["damaged"]:
        same = found.shape == expected.shape and np.allclose(found, expected, rtol=1e-4, atol=1e-3)
        require(bool(same), "a damaged engine gives other joints")


def words(sound: Path, case: Path) -> list[str]:
    out = ["--out-json", str(case / "poses.json"), "--overwrite"]
    return ["run", str(case / "engine"), "--source", str(sound / "person.png"), *out]


KIND = Kind(name="engine folder", share=12, prepare=prepare, mutate=mutate, attempt=attempt, words=words)
