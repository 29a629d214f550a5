"""Damaged ONNX files: what edgepose makes of a file computes what plain ONNX Runtime computes, or it says why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from edgepose.artifacts.spec import read_toml
from fuzzing import graphs
from fuzzing.damage import damage_file, pick, toml_text
from fuzzing.kind import Kind, Notes, SilentlyWrong, require
from fuzzing.seeds import NETWORKS, write_pictures

FILE, SPEC, PLAN = "net.onnx", "net.toml", "plan.json"
ENGINE = "engines/onnxruntime-fp32"
RELATIVE = {"fp32": 1e-3, "fp16": 0.05}  # of the largest absolute value of an output
TELLING = ("not compared", "depart", "signal-to-noise ratio", "differ")  # words of a note on a loss
LOUD = 1.0
VERBS = ("import", "import", "import", "fp32", "fp32", "openvino", "fp16", "int8", "inspect")


def write_networks(sound: Path) -> None:
    """Write the sound networks with their contracts, and pictures to calibrate on."""
    for name, (build, contract) in NETWORKS.items():
        (sound / f"{name}.onnx").write_bytes(build().SerializeToString())
        (sound / f"{name}.toml").write_text(toml_text(contract))
    write_pictures(sound / "pictures")


def write_engine(sound: Path) -> None:
    """Write the sound networks, pictures, and an engine of the plain one, `ENGINE`."""
    from edgepose.api.build import build
    from edgepose.api.request import BuildOptions

    write_networks(sound)
    options = BuildOptions(precisions=("fp32",), backends=("onnxruntime",), spec=sound / "plain.toml")
    build(sound / "plain.onnx", out=sound / "engines", options=options)


def mutate(sound: Path, case: Path, random: np.random.Generator) -> str:
    name = pick(random, list(NETWORKS))
    path = case / FILE
    (case / SPEC).write_bytes((sound / f"{name}.toml").read_bytes())
    (case / "short.bin").write_bytes(bytes(8))
    plan = {"verb": pick(random, VERBS), "seed": int(random.integers(2**31)), "relative": 0.0}
    (case / PLAN).write_text(json.dumps(plan))
    path.write_bytes((sound / f"{name}.onnx").read_bytes())
    if random.random() < 0.2:
        return f"{name}: {damage_file(path, random)}"
    model = onnx.load(path)
    done = graphs.mutate(model, random)
    path.write_bytes(model.SerializeToString())
    if "through_half" in done or "half_weight" in done:  # a reader may leave the rounding out
        plan["relative"] = 0.05
        (case / PLAN).write_text(json.dumps(plan))
    return f"{name}: {done}"


def attempt(sound: Path, case: Path) -> None:
    plan = json.loads((case / PLAN).read_text())
    verb, random = plan["verb"], np.random.default_rng(plan["seed"])
    relative = max(plan["relative"], RELATIVE["fp16" if verb == "fp16" else "fp32"])
    if verb == "inspect":
        _inspect(case / FILE)
    elif verb == "import":
        _import(case, random, relative)
    else:
        _build(sound, case, verb, random, relative)


def _inspect(path: Path) -> None:
    from edgepose.api.inspect import inspect

    value = inspect(path)
    require(value["kind"] == "ONNX" and bool(value["nodes"]), f"inspect says {value}")


def _import(case: Path, random: np.random.Generator, relative: float) -> None:
    from edgepose.backends.onnxruntime import OnnxRuntimeSession
    from edgepose.backends.session import OpenOptions
    from edgepose.export.foreign import import_onnx

    note = Notes()
    model, spec = import_onnx(case / FILE, read_toml(case / SPEC), note)
    crops = _crops(spec, random)
    with OnnxRuntimeSession(model.SerializeToString(), OpenOptions(threads=1)) as session:
        found = session.run({spec.input.name: crops})
    compare(case / FILE, spec, crops, found, relative, note.lines)


def _build(sound: Path, case: Path, verb: str, random: np.random.Generator, relative: float) -> None:
    from edgepose.api.build import build
    from edgepose.api.request import BuildOptions
    from edgepose.backends.engine import open_engine
    from edgepose.backends.session import OpenOptions

    note = Notes()
    precision = "fp32" if verb == "openvino" else verb
    options = BuildOptions(
        precisions=(precision,),
        backends=("openvino" if verb == "openvino" else "onnxruntime",),
        spec=case / SPEC,
        calib=f"images:{sound / 'pictures'}" if verb == "int8" else None,
    )
    result = build(case / FILE, out=case / "out", options=options, note=note)
    session, manifest = open_engine(result.engines[0], OpenOptions(threads=1))
    crops = _crops(manifest.spec, random)
    with session:
        found = session.run({manifest.spec.input.name: crops})
    said = [*note.lines, *manifest.notes]
    if verb == "int8":
        require(all(np.isfinite(value).all() for value in found.values()), "INT8 gives NaN or infinity")
        said = [line for line in said if "dB" in line or "not compared" in line]
        relative = LOUD  # of the largest value: beyond it, a heatmap or a coordinate means nothing
    compare(case / FILE, manifest.spec, crops, found, relative, said)


def _crops(spec: Any, random: np.random.Generator) -> Any:
    pixels = random.integers(0, 256, (1, *spec.input.shape), np.uint8)
    if spec.input.dtype == "uint8":
        return pixels
    return (pixels / 255).astype(spec.input.dtype)  # as the contracts of the sound networks say


def compare(path: Path, spec: Any, crops: Any, found: dict[str, Any], relative: float, notes: list[str]) -> None:
    """Raise SilentlyWrong where outputs are not those of the file in plain ONNX Runtime, unless a note says so.

    Args:
        path: The damaged file.
        spec: The contract that edgepose read.
        crops: The input of the network, with batch size 1.
        found: The outputs that edgepose computed, by name.
        relative: Largest difference, relative to the largest absolute value of an output.
        notes: What edgepose said.
    """
    notes = [line for line in notes if any(word in line for word in TELLING)]
    try:
        expected = _plain(path, spec, crops)
    except _failures():
        try:
            expected = _plain(_without_notes(path), spec, crops)
        except _failures() as error:
            if notes:
                return
            raise SilentlyWrong(
                f"plain ONNX Runtime refuses the file ({' '.join(str(error).split())[:200]})"
            ) from error
    for name, value in zip(spec.outputs, expected, strict=True):
        got = np.asarray(found[name], np.float64)
        value = value[: len(got)].astype(np.float64)
        require(got.shape == value.shape, f"{name} has shape {got.shape}, plain ONNX Runtime gives {value.shape}")
        require(bool(np.isfinite(got).all()), f"{name} is NaN or infinite")
        largest = float(np.abs(value).max(initial=0))
        off = float(np.abs(got - value).max(initial=0))
        require(off <= relative * largest + 1e-30 or bool(notes), f"{name} differs by {off / (largest or 1):.2g}")


def _without_notes(path: Path) -> Path:
    """Write the file without statements that may contradict its content: shapes, names of nodes, weights as inputs."""
    model = onnx.load(path, load_external_data=False)
    del model.graph.value_info[:]
    for i, node in enumerate(model.graph.node):
        node.name = f"node{i}"
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [port for port in model.graph.input if port.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    for port in model.graph.output:
        port.type.tensor_type.ClearField("shape")
    made = path.with_name("without-notes.onnx")
    made.write_bytes(model.SerializeToString())
    return made


def _plain(path: Path, spec: Any, crops: Any) -> Any:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    settings.intra_op_num_threads = 1
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), settings, ["CPUExecutionProvider"])
    port = next(port for port in session.get_inputs() if port.name == spec.input.name)
    batch = port.shape[0] if port.shape and isinstance(port.shape[0], int) else 1
    return session.run(list(spec.outputs), {port.name: np.repeat(crops, batch, axis=0)})


def _failures() -> tuple[type[BaseException], ...]:
    from edgepose.backends.onnxruntime import failures

    return (*failures(), StopIteration, RuntimeError, ValueError)


def words(sound: Path, case: Path) -> list[str]:
    verb = json.loads((case / PLAN).read_text())["verb"]
    if verb == "inspect":
        return ["inspect", str(case / FILE)]
    made = ["build", str(case / FILE), "--spec", str(case / SPEC), "--out", str(case / "out2"), "--overwrite"]
    backend = "openvino" if verb == "openvino" else "onnxruntime"
    if verb == "int8":
        made += ["--calib", f"images:{sound / 'pictures'}"]
    return [*made, "--backend", backend, "--precision", verb if verb in ("fp16", "int8") else "fp32"]


KIND = Kind(name="ONNX file", share=30, prepare=write_networks, mutate=mutate, attempt=attempt, words=words)
