"""The comparison of INT8 backends accepts both arithmetics, and refuses a graph with a fault."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from int8_arithmetic import ARITHMETICS, BACKENDS, MOST, Rounding, computing_in, copied, evaluate, exact_here, run
from onnx import numpy_helper

from edgepose.graph.prepare import prepare
from edgepose.quantize import quantize


@pytest.fixture(scope="module")
def graph(nets: ModuleType) -> onnx.ModelProto:
    photographs = nets.Photographs(32).images
    model = nets.pose_net()
    return quantize(model, nets.scales_for(prepare(model), photographs), nets.make_spec())


@pytest.fixture(scope="module")
def feed(nets: ModuleType) -> dict[str, np.ndarray]:
    return {"input": nets.Photographs(32).images}


@pytest.fixture(scope="module")
def rounding(graph: onnx.ModelProto, feed: dict[str, np.ndarray]) -> Rounding:
    return Rounding(graph, feed)


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_both_arithmetics_are_accepted(
    graph: onnx.ModelProto,
    feed: dict[str, np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    backend: str,
    arithmetic: str,
) -> None:
    computing_in(arithmetic, monkeypatch)
    model = exact_here(graph, arithmetic)
    assert max(Rounding(model, feed).ratios(run(backend, model, feed, tmp_path / "engine"))) < MOST


def faulty(graph: onnx.ModelProto, name: str, change: float | None) -> onnx.ModelProto:
    """One constant multiplied, or its first axis in another order."""
    made = copied(graph)
    (tensor,) = (tensor for tensor in made.graph.initializer if tensor.name == name)
    value = numpy_helper.to_array(tensor)
    value = value[::-1].copy() if change is None else (value * np.float32(change)).astype(value.dtype)
    tensor.CopyFrom(numpy_helper.from_array(value, name))
    return made


@pytest.mark.parametrize("layer", ["expand.w__0", "depthwise.w__0", "project.w__0", "norm__folded_weight__1"])
@pytest.mark.parametrize("fault", ["scale 10 % larger", "scale a quarter smaller", "weights of other channels"])
def test_a_fault_in_one_layer_is_refused(
    graph: onnx.ModelProto, feed: dict[str, np.ndarray], rounding: Rounding, layer: str, fault: str
) -> None:
    change = {"scale 10 % larger": 1.1, "scale a quarter smaller": 0.75}.get(fault)
    found = evaluate(faulty(graph, f"{layer}__{'scale' if change else 'int8'}", change), feed)
    assert max(rounding.ratios(found)) > MOST


def test_a_wrong_scale_of_an_activation_is_refused(
    graph: onnx.ModelProto, feed: dict[str, np.ndarray], rounding: Rounding
) -> None:
    """A scale that is half as large as calibrated cuts off the upper half of the values."""
    assert max(rounding.ratios(evaluate(faulty(graph, "stem6__scale", 0.5), feed))) > MOST


def test_weights_that_are_cut_off_are_refused(
    graph: onnx.ModelProto, feed: dict[str, np.ndarray], rounding: Rounding
) -> None:
    """As values that do not fit into 16 bits are: here each weight keeps two thirds of its range."""
    made = copied(graph)
    for tensor in made.graph.initializer:
        if tensor.name.endswith("__int8"):
            cut = numpy_helper.to_array(tensor).clip(-85, 85)
            tensor.CopyFrom(numpy_helper.from_array(cut, tensor.name))
    assert max(rounding.ratios(evaluate(made, feed))) > MOST
