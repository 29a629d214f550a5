"""Concat and other operators that move values pass int8 on without a second rounding."""

from __future__ import annotations

import pytest

from edgepose.graph.lookup import graph_of
from edgepose.graph.prepare import prepare
from edgepose.quantize.placement import place
from edgepose.quantize.shared_scales import shared_scales


def joined(nets):
    """Concat of a pooled tensor and another, both of which a convolution reads too."""
    net = nets.Net()
    x = net.op("Relu", [net.conv("input", "stem", 3, 4)], "x")
    a = net.op("Relu", [net.conv(x, "conv_a", 4, 4)], "a")
    b = net.op("Relu", [net.conv(x, "conv_b", 4, 4)], "b")
    pooled = net.op("MaxPool", [a], "pooled", kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])
    after = net.conv(net.op("Concat", [pooled, b], "joined", axis=1), "after", 8, 4)
    for name, tensor in (("a", a), ("b", b), ("p", pooled)):
        after = net.op("Mul", [after, net.conv(tensor, f"reads_{name}", 4, 4)], f"product_{name}")
    net.conv(after, "heatmaps", 4, 2)
    return prepare(net.model())


@pytest.mark.parametrize("spread, wanted", [(0.9, 1.0), (1.5, 1.5), (3.0, 1.0)])
def test_inputs_share_the_scale_of_the_output_where_it_costs_at_most_a_bit(nets, spec, spread, wanted):
    model = joined(nets)
    placement = place(model, spec)
    scales = dict.fromkeys(placement.reads, 1.0) | {"joined": spread}
    found = shared_scales(graph_of(model), placement, scales)
    assert {name: found[name] for name in ("pooled", "a", "b")} == dict.fromkeys(("pooled", "a", "b"), wanted)
    assert (found["x"], found["joined"]) == (1.0, spread)


def test_an_input_that_only_concat_reads_has_no_quantizer_of_its_own(nets, spec):
    net = nets.Net()
    x = net.op("Relu", [net.conv("input", "stem", 3, 4)], "x")
    parts = [net.op("Relu", [net.conv(x, f"conv_{name}", 4, 4)], name) for name in "ab"]
    net.conv(net.conv(net.op("Concat", parts, "joined", axis=1), "after", 8, 4), "heatmaps", 4, 2)
    assert set(place(prepare(net.model()), spec).reads) == {"x", "joined"}
