"""FP16 of networks that once came out as NaN, as wrong coordinates, or not at all."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

import edgepose
from edgepose.api.graphs import Graphs, write_graphs
from edgepose.api.request import BuildOptions, BuildRequest
from edgepose.api.sample import sample_inputs
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.spec import KEPT_FLOAT_KEY, embed_spec, embedded_spec, get_metadata, read_toml
from edgepose.backends.engine import open_engine
from edgepose.backends.onnxruntime import make_plain_runner
from edgepose.backends.session import OpenOptions
from edgepose.errors import ModelError, UsageError
from edgepose.export.foreign import import_onnx
from edgepose.graph.lookup import load_onnx
from edgepose.quantize.float16.verify import relative_error

CALIB = "synthetic:40"


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    kept: tuple[str, ...]  # nodes that stay in float32
    spec: str = "heat"
    int8: bool = True  # whether INT8 is made of it
    limit: float = 0.01


CASES = (
    Case(name="fp16_epsilon", kept=("/Add_27", "/Div_27")),
    Case(name="fp16_overflow", kept=("/Mul_10", "/Conv_13", "/Relu_14")),
    Case(name="argmax_in_graph", spec="reg", kept=("/Cast_20", "/Div_22", "/Sub_25"), limit=1e-6),
    Case(name="celu", kept=("/Celu_12",)),
    Case(name="op_gn21", kept=("/GroupNormalization_11",)),
    Case(name="ms_gelu", kept=("/Gelu_9",)),
)


def write(cases: Path, out: Path, name: str, spec: str, precisions: tuple[str, ...], notes: list[str]) -> Graphs:
    folder = cases / "onnx"
    request = BuildRequest(
        model=str(folder / f"{name}.onnx"), out=out, spec=folder / f"{spec}.toml", precisions=precisions, calib=CALIB,
        calib_limit=40,
    )  # fmt: skip
    return write_graphs(request, note=notes.append)


def outputs(path: Path) -> np.ndarray:
    model = load_onnx(path)
    names = tuple(value.name for value in model.graph.output)
    return make_plain_runner(model, names).run(sample_inputs(embedded_spec(model, str(path))))[names[0]]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_fp16_and_int8_fp16_are_right(cases: Path, tmp_path: Path, case: Case) -> None:
    notes: list[str] = []
    graphs = write(cases, tmp_path, case.name, case.spec, ("fp32", "fp16", "int8", "int8-fp16"), notes)
    assert graphs.failed == {}
    for precision in ("fp16", "int8-fp16"):
        kept = json.loads(get_metadata(load_onnx(graphs.paths[precision]), KEPT_FLOAT_KEY) or "")
        assert set(case.kept) <= set(kept)
        for name in case.kept[:1]:
            assert any(line.startswith(f"{precision}: ") and name in line for line in notes)
    expected = outputs(graphs.paths["fp32"])
    assert relative_error(expected, outputs(graphs.paths["fp16"])) < case.limit
    int8 = relative_error(expected, outputs(graphs.paths["int8"]))
    assert relative_error(expected, outputs(graphs.paths["int8-fp16"])) < 1.2 * int8 + 0.02


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@pytest.mark.parametrize(
    ("name", "spec"),
    [(case.name, case.spec) for case in CASES if case.name not in ("ms_gelu",)],
)
def test_fp16_engines_agree_with_fp32(cases: Path, tmp_path: Path, name: str, spec: str, backend: str) -> None:
    options = BuildOptions(precisions=("fp32", "fp16"), backends=(backend,), spec=cases / "onnx" / f"{spec}.toml")
    result = edgepose.build(cases / "onnx" / f"{name}.onnx", out=tmp_path, options=options)
    contract = embedded_spec(load_onnx(result.graphs["fp32"]), name)
    images = sample_inputs(contract)
    found = []
    for folder in result.engines:
        with open_engine(folder, OpenOptions(threads=1))[0] as session:
            found.append(session.run({contract.input.name: images})[contract.outputs[0]])
    assert np.isfinite(found[1]).all()
    assert relative_error(*found) < 0.01


def test_custom_operators_stay_between_casts(cases: Path, tmp_path: Path) -> None:
    graphs = write(cases, tmp_path, "ort_optimised", "heat", ("fp32", "fp16"), notes := [])
    assert graphs.failed == {}
    assert any("FusedConv" in line for line in notes) or "FusedConv" not in kinds(graphs.paths["fp32"])
    assert relative_error(outputs(graphs.paths["fp32"]), outputs(graphs.paths["fp16"])) < 0.01


def kinds(path: Path) -> set[str]:
    return {node.op_type for node in load_onnx(path).graph.node}


def test_an_if_is_folded_or_stays_in_float32(cases: Path, tmp_path: Path) -> None:
    graphs = write(cases, tmp_path, "torch_squeeze_if", "heat_size", ("fp32", "fp16", "int8", "int8-fp16"), [])
    assert graphs.failed == {}
    assert relative_error(outputs(graphs.paths["fp32"]), outputs(graphs.paths["fp16"])) < 0.01


def test_a_precision_that_fails_does_not_lose_the_others(
    cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ModelError("this graph has no half")

    monkeypatch.setattr("edgepose.quantize.to_fp16", fail)
    graphs = write(cases, tmp_path, "plain", "heat", ("fp32", "fp16", "int8", "int8-fp16"), [])
    assert set(graphs.paths) == {"fp32", "int8", "int8-fp16"}
    assert str(graphs.failed["fp16"]) == "this graph has no half"
    monkeypatch.setattr("edgepose.quantize.quantize", fail)
    graphs = write(cases, tmp_path / "again", "plain", "heat", ("fp32", "int8", "int8-fp16"), [])
    assert set(graphs.paths) == {"fp32"} and set(graphs.failed) == {"int8", "int8-fp16"}
    assert "made from the int8 graph, which failed" in str(graphs.failed["int8-fp16"])


def test_keep_float_reaches_every_precision(cases: Path, tmp_path: Path) -> None:
    folder = cases / "onnx"
    request = BuildRequest(
        model=str(folder / "bracket_names.onnx"), out=tmp_path, spec=folder / "heat.toml", calib=CALIB, calib_limit=40,
        precisions=("fp32", "fp16", "int8", "int8-fp16"), quantize={"keep_float": ("backbone.layers[6].conv",)},
    )  # fmt: skip
    paths = write_graphs(request).paths
    for precision in ("fp16", "int8", "int8-fp16"):
        kept = json.loads(get_metadata(load_onnx(paths[precision]), KEPT_FLOAT_KEY) or "")
        assert "keep_float" in kept["backbone.layers[6].conv"]
    for precision in ("fp16", "int8-fp16"):
        node = next(node for node in load_onnx(paths[precision]).graph.node if node.name == "backbone.layers[6].conv")
        types = {tensor.name: tensor.data_type for tensor in load_onnx(paths[precision]).graph.initializer}
        assert types[node.input[1]] == TensorProto.FLOAT


def test_a_wrong_pattern_stops_before_anything_is_observed(cases: Path, tmp_path: Path) -> None:
    request = BuildRequest(
        model=str(cases / "onnx" / "plain.onnx"), out=tmp_path, spec=cases / "onnx" / "heat.toml", calib=CALIB,
        precisions=("fp32", "fp16", "int8"), quantize={"keep_float": ("/Convv_3",)},
    )  # fmt: skip
    with pytest.raises(UsageError, match="'/Convv_3' names no node"):
        write_graphs(request)
    assert not (tmp_path / "scales.json").exists() and not (tmp_path / "fp16.onnx").exists()


def test_the_contract_names_what_stays_in_float32(cases: Path, tmp_path: Path) -> None:
    model, spec = import_onnx(cases / "onnx" / "plain.onnx", read_toml(cases / "onnx" / "heat.toml", "spec"))
    first, second = [node.name for node in model.graph.node if node.op_type == "Conv"][:2]
    embed_spec(model, replace(spec, quantize=QuantizeOptions(keep_float=(first,), keep_float32=(second,))))
    onnx.save(model, str(tmp_path / "net.onnx"))
    paths = write_graphs(BuildRequest(model=str(tmp_path / "net.onnx"), out=tmp_path, precisions=("fp16",))).paths
    kept = json.loads(get_metadata(load_onnx(paths["fp16"]), KEPT_FLOAT_KEY) or "")
    assert kept == {second: f"keep_float: {second!r}"}  # `keep_float` is about int8


def test_lite_is_half_throughout(tmp_path: Path) -> None:
    paths = write_graphs(BuildRequest(model="lite", out=tmp_path, precisions=("fp16",))).paths
    assert get_metadata(load_onnx(paths["fp16"]), KEPT_FLOAT_KEY) == "{}"
