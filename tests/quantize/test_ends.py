"""Layers of fixed arithmetic in front of an output are not the head."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.graph.lookup import graph_of
from edgepose.graph.prepare import prepare
from edgepose.quantize.ends import is_arithmetic, open_ends
from edgepose.quantize.placement import place


def with_last(nets, weight, group=1):
    net = nets.Net()
    x = net.op("Relu", [net.conv("input", "stem", 3, 16)], "relu")
    x = net.op("Relu", [net.conv(x, "middle", 16, 16)], "relu2")
    x = net.op("Softmax", [net.conv(x, "last", 16, 16)], "softmax", axis=1)
    net.op("Conv", [x, net.constant("fixed.w", np.asarray(weight, np.float32))], "heatmaps", group=group)
    return prepare(net.model())


BLUR = np.tile(np.outer([1, 2, 1], [1, 2, 1]) / 16, (16, 1, 1, 1))


@pytest.mark.parametrize(
    "weight, group",
    [
        (np.arange(16).reshape(1, 16, 1, 1), 1),
        (np.linspace(0, 1, 16).reshape(1, 16, 1, 1), 1),
        (np.full((1, 16, 3, 3), 1 / 9), 1),
        (np.eye(16)[::-1].reshape(16, 16, 1, 1), 1),
        (BLUR, 16),
    ],
    ids=["index", "coordinates", "mean", "selection", "blur"],
)
def test_the_layer_in_front_of_fixed_arithmetic_is_the_head(nets, spec, weight, group):
    model = with_last(nets, weight, group)
    placement = place(model, spec)
    assert placement.quantized == ("/middle",)
    assert placement.kept_float["/last"] == "head: makes output 'heatmaps'"
    assert placement.kept_float["/heatmaps"] == "head: fixed arithmetic in front of output 'heatmaps'"


def test_a_head_that_is_not_kept_has_no_reason(nets, spec):
    model = with_last(nets, np.arange(16).reshape(1, 16, 1, 1))
    assert "/last" in place(model, spec, QuantizeOptions(head_float=False)).quantized


@pytest.mark.parametrize("given", [None, True, False])
def test_a_search_decides_where_no_option_does(nets, spec, given):
    model = prepare(nets.pose_net())
    chosen = ("/stem", "/heatmaps")
    options = QuantizeOptions(stem_float=given, head_float=given)
    assert open_ends(graph_of(model), options) == (chosen if given is None else ())
    placed = place(model, spec, options, int8_ends=chosen)
    assert (set(chosen) <= set(placed.quantized)) == (given is not True)
    assert (set(chosen) <= placed.kept_float.keys()) == (given is True)
    assert (set(chosen) <= set(place(model, spec, options).quantized)) == (given is False)


def test_fixed_arithmetic_is_not_for_the_search(nets, spec):
    model = with_last(nets, np.arange(16).reshape(1, 16, 1, 1))
    assert open_ends(graph_of(model), QuantizeOptions()) == ("/stem", "/last")
    placed = place(model, spec, int8_ends=("/stem", "/last"))
    assert placed.quantized == ("/stem", "/middle", "/last") and "/heatmaps" in placed.kept_float


def test_learned_weights_are_not_arithmetic(nets):
    for model in (nets.pose_net(), with_last(nets, np.random.default_rng(0).normal(size=(5, 16, 1, 1)))):
        graph = graph_of(prepare(model))
        for node in graph.nodes:
            if graph.is_weighted(node) and "heatmaps" not in node.name:
                assert not is_arithmetic(graph, node)
