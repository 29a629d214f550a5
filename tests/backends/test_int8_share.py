"""How much of an INT8 engine is int8: the share in the graph, and what each backend says that its layers run as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.backends import load
from edgepose.backends.declaration import BuildOptions
from edgepose.backends.engine import build_engine, open_engine
from edgepose.backends.int8_share import share_of, share_that_runs, too_little
from edgepose.backends.session import OpenOptions
from edgepose.graph.cost import int8_share, layer_costs, multiply_adds
from edgepose.graph.lookup import load_onnx
from edgepose.quantize import quantize, to_int8_fp16


@pytest.fixture
def int8(nets: Any, tmp_path: Path) -> Path:
    model, images = nets.pose_net(), nets.Photographs(2).images
    onnx.save(quantize(model, nets.scales_for(model, images), nets.make_spec()), tmp_path / "int8.onnx")
    return tmp_path / "int8.onnx"


def test_the_share_of_a_graph_is_that_of_its_multiply_adds(nets: Any, int8: Path) -> None:
    costs = {cost.names[0]: cost for cost in layer_costs(load_onnx(int8))}
    assert sum(cost.multiply_adds for cost in costs.values()) == multiply_adds(nets.pose_net())
    assert {name for name, cost in costs.items() if not cost.int8} == {"/stem", "/heatmaps"}
    pixels = 16 * 12
    floats = pixels * 16 * 27 + 4 * pixels * 16 * 5
    total = sum(cost.multiply_adds for cost in costs.values())
    assert int8_share(tuple(costs.values())) == pytest.approx(1 - floats / total)
    assert int8_share(layer_costs(nets.pose_net())) == 0


def test_casts_do_not_hide_int8(nets: Any, int8: Path) -> None:
    model = load_onnx(int8)
    mixed = to_int8_fp16(model, nets.make_spec(), "a" * 64)
    assert int8_share(layer_costs(mixed)) == pytest.approx(int8_share(layer_costs(model)))


@pytest.mark.parametrize("saturates", [True, False])
@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_the_share_that_runs_is_what_the_session_says(
    nets: Any, int8: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, saturates: bool
) -> None:
    """With integer kernels OpenVINO runs what the graph says; ONNX Runtime computes most convolutions in float."""
    module = load(backend)
    if module.problem() is not None:
        pytest.skip(f"{backend} is not installed")
    monkeypatch.setattr(module, "int8_saturates", lambda: saturates)
    manifest = build_engine(
        int8, tmp_path / "engine", nets.make_spec(), BuildOptions(precision="int8"), backend, "edgepose build"
    )
    assert manifest.int8_in_graph == pytest.approx(share_of(int8, {}).graph)
    runs = share_that_runs(manifest.multiply_adds, manifest.layers)
    assert sum(manifest.multiply_adds.values()) == multiply_adds(nets.pose_net())  # every layer is found
    assert runs is not None and (runs > 0.6) == (backend == "openvino" and not saturates)
    assert [line for line in manifest.notes if "INT8 in name only" in line] == (
        [] if runs > 0.5 else [too_little(manifest.int8_in_graph, runs)]
    )
    session, again = open_engine(tmp_path / "engine", OpenOptions())
    with session:
        assert share_that_runs(again.multiply_adds, session.layers()) == pytest.approx(runs)


def test_a_float_engine_has_no_share(nets: Any, tmp_path: Path) -> None:
    onnx.save(nets.pose_net(), tmp_path / "net.onnx")
    options = BuildOptions(precision="fp32")
    made = build_engine(
        tmp_path / "net.onnx", tmp_path / "e", nets.make_spec(), options, "onnxruntime", "edgepose build"
    )
    assert made.int8_in_graph is None and made.multiply_adds == {} and made.notes == []


def test_a_graph_with_little_int8_is_named(nets: Any, int8: Path, tmp_path: Path) -> None:
    model, images = nets.pose_net(), nets.Photographs(2).images
    options = QuantizeOptions(keep_float=("/deconv", "/expand", "/project"))
    made = quantize(model, nets.scales_for(model, images), nets.make_spec(), options)
    onnx.save(made, tmp_path / "little.onnx")
    share = share_of(tmp_path / "little.onnx", {}).graph
    assert share is not None and share < 0.2
    assert (
        too_little(share, None)
        == f"only {share:.0%} of the multiply-adds are int8 in the graph; the other layers stay in float"
    )


@pytest.mark.parametrize(
    ("graph", "runs", "words"),
    [
        (0.9, 0.9, None),
        (0.9, None, None),
        (None, None, None),
        (0.9, 0.1, "10% of the multiply-adds run in int8 here (90% of the multiply-adds are int8 in the graph)"),
        (None, 0.1, "10% of the multiply-adds run in int8 here"),
        (0.3, 0.3, "30% of the multiply-adds run in int8 here"),
    ],
)
def test_less_than_half_is_a_warning(graph: float | None, runs: float | None, words: str | None) -> None:
    found = too_little(graph, runs)
    assert found is None if words is None else words in str(found)


def test_layers_of_other_machines_are_not_guessed() -> None:
    counts = {"/a": 60, "/b": 40}
    assert share_that_runs(counts, {"/a": "int8", "/b": "fp32"}) == 0.6
    assert share_that_runs(counts, {"/a": "int8"}) == 1.0
    assert share_that_runs(counts, {"/b": "int8"}) is None  # most are unknown
    assert share_that_runs({}, {"/b": "int8"}) is None
