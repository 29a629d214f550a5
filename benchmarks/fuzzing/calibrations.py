"""Damaged scales.json files: a build with them gives an INT8 network like the float one, says so, or refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from fuzzing.damage import damaged_json, pick
from fuzzing.kind import Kind, Notes, require
from fuzzing.networks import write_networks
from fuzzing.seeds import NETWORKS

FILE, PLAN = "scales.json", "plan.json"
LOUD_DB = 3.0  # signal-to-noise ratio below which an INT8 network has little to do with its float one


def prepare(sound: Path) -> None:
    from edgepose.api.build import build
    from edgepose.api.request import BuildOptions

    write_networks(sound)
    for name in NETWORKS:
        options = BuildOptions(
            precisions=("int8",), backends=("onnxruntime",), spec=sound / f"{name}.toml",
            calib=f"images:{sound / 'pictures'}", quantize={"stem_float": False, "head_float": False},
        )  # fmt: skip
        build(sound / f"{name}.onnx", out=sound / name, options=options)


def mutate(sound: Path, case: Path, random: np.random.Generator) -> str:
    name = pick(random, list(NETWORKS))
    data, done = damaged_json(json.loads((sound / name / FILE).read_text()), random)
    (case / FILE).write_bytes(data)
    (case / PLAN).write_text(json.dumps({"name": name, "overwrite": bool(random.integers(2))}))
    return f"{name}: {done}"


def attempt(sound: Path, case: Path) -> None:
    from edgepose.api.build import build
    from edgepose.api.inspect import inspect
    from edgepose.api.request import BuildOptions
    from edgepose.backends.engine import open_engine
    from edgepose.backends.session import OpenOptions

    name = json.loads((case / PLAN).read_text())["name"]
    inspect(case / FILE)
    note = Notes()
    options = BuildOptions(precisions=("fp32", "int8"), backends=("onnxruntime",), scales=case / FILE,
                           quantize={"stem_float": False, "head_float": False})  # fmt: skip
    result = build(sound / name / "fp32.onnx", out=case / "out", options=options, note=note)
    outputs = []
    for engine in result.engines:
        session, manifest = open_engine(engine, OpenOptions(threads=1))
        pixels = np.random.default_rng(0).uniform(0, 1, (4, *manifest.spec.input.shape)).astype(np.float32)
        with session:
            found = session.run({manifest.spec.input.name: pixels})
        outputs.append([np.asarray(found[key], np.float64) for key in manifest.spec.outputs])
    said = [line for line in (*note.lines, *manifest.notes) if not line.startswith("built ") and "NNI" not in line]
    for expected, got in zip(*outputs, strict=True):
        require(bool(np.isfinite(got).all()), "INT8 gives NaN or infinity")
        noise = float(np.square(got - expected).sum())
        decibels = 10 * np.log10(float(np.square(expected).sum()) / noise) if noise else np.inf
        told = any("dB" in line or "noise" in line for line in said)
        require(
            decibels > LOUD_DB or told, f"INT8 has a signal-to-noise ratio of {decibels:.1f} dB, and nothing says so"
        )


def words(sound: Path, case: Path) -> list[str]:
    name = json.loads((case / PLAN).read_text())["name"]
    given = ["--scales", str(case / FILE), "--out", str(case / "out2"), "--overwrite"]
    return ["build", str(sound / name / "fp32.onnx"), *given, "--backend", "onnxruntime", "--precision", "int8"]


KIND = Kind(name="scales.json", share=8, prepare=prepare, mutate=mutate, attempt=attempt, words=words)
