"""The search of float layers as a build runs it: crops of the calibration images, judged by their joints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgepose.api.judge import joint_judge
from edgepose.api.search import node_costs, search_layers, spread_crops
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.graph.prepare import prepare


@pytest.fixture
def network(nets: Any) -> Any:
    net = nets.Net()
    x = net.op("Relu", [net.conv("input", "stem", 3, 8, 3, stride=2)], "r")
    y = net.op("Relu", [net.conv(net.op("Relu", [net.conv(x, "a", 8, 8, 3)], "ra"), "b", 8, 8, 3)], "rb")
    net.conv(y, "heatmaps", 8, 14)
    return net.model()


def test_crops_are_spread_over_the_feed(nets: Any) -> None:
    feed = nets.Photographs(40)
    crops, more = spread_crops(feed, 5, 100)
    assert len(crops) == 5
    assert np.array_equal(crops[0], feed.images[0]) and np.array_equal(crops[-1], feed.images[39])
    assert np.array_equal(more, feed.images)


def test_the_judge_sees_moved_joints(nets: Any, network: Any) -> None:
    spec = nets.make_spec()
    maps = nets.run(network, nets.Photographs(4).images)[0]
    judge = joint_judge(spec)
    assert set(judge({"heatmaps": maps}, {"heatmaps": maps}).values()) == {1.0}
    moved = judge({"heatmaps": maps}, {"heatmaps": np.roll(maps, 5, axis=-1)})
    assert 0 <= moved["pck@0.1"] < 1
    broken = judge({"heatmaps": maps}, {"heatmaps": np.full_like(maps, np.nan)})
    assert broken["pck@0.1"] <= moved["pck@0.1"]


@pytest.mark.parametrize("floor", [0.0, 1.0])
def test_a_search_over_a_feed(nets: Any, network: Any, floor: float) -> None:
    feed, model = nets.Photographs(32), network
    scales = nets.scales_for(prepare(model), feed.images)
    options, lines = QuantizeOptions(bias_correction=False, equalize=False), list[str]()
    floors = {"pck@0.1": floor}
    result = search_layers(model, nets.make_spec(), scales, options, feed, floors=floors, note=lines.append)
    assert result.searched == (floor == 1.0) and result.candidates and lines


def test_layers_are_timed_where_integer_kernels_run(nets: Any, network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgepose.backends import layer_times
    from edgepose.graph.cost import estimated_times, layer_costs

    feed, prepared = nets.Photographs(8), prepare(network)
    options = QuantizeOptions(bias_correction=False, equalize=False)
    scales = nets.scales_for(prepared, feed.images)
    given = (network, nets.make_spec(), scales, options, feed.images[:1], ("tensorrt", "onnxruntime"))
    monkeypatch.setattr(layer_times, "int8_saturates", lambda: True)
    inside = {name: pair for name, pair in estimated_times(prepared).items() if name not in ("/stem", "/heatmaps")}
    assert node_costs(*given) == inside  # an estimate is no reason to quantize the first and last layers
    monkeypatch.setattr(layer_times, "int8_saturates", lambda: False)

    def profile(path: Path, inputs: Any, threads: int) -> list[layer_times.LayerTime]:
        quantized = {cost.names[0] for cost in layer_costs(onnx.load(path)) if cost.int8}
        assert quantized == ({"/stem", "/a", "/b", "/heatmaps"} if path.stem == "int8" else set())
        return [layer_times.LayerTime(names=("/a",), microseconds=len(path.stem))]

    monkeypatch.setitem(layer_times.PROFILERS, "onnxruntime", profile)
    assert node_costs(*given) == {"/a": (5.0, 4.0)}
