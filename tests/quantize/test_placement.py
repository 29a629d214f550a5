from __future__ import annotations

import numpy as np
import pytest

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.errors import ModelError, UsageError
from edgepose.graph.prepare import prepare
from edgepose.quantize.placement import observed_tensors, place


def test_stem_and_head_stay_in_float_and_say_so(nets, spec):
    placement = place(prepare(nets.pose_net()), spec)
    assert placement.quantized == ("/expand", "/depthwise", "/project", "/deconv")
    assert placement.kept_float == {
        "/stem": "stem: reads input 'input'",
        "/heatmaps": "head: makes output 'heatmaps'",
    }


def test_all_layers_where_asked(nets, spec):
    placement = place(prepare(nets.pose_net()), spec, QuantizeOptions(stem_float=False, head_float=False))
    assert not placement.kept_float and len(placement.quantized) == 6


def test_residual_branch_has_qdq_and_the_convolution_that_ends_in_it_has_not(nets, spec):
    reads = place(prepare(nets.pose_net()), spec).reads
    assert reads["stem6"] == (("/expand", 0), ("/add", 0))  # one pair for both readers
    assert "project" not in reads
    assert reads["add"] == (("/deconv", 0),)


def test_both_sides_of_an_add_that_no_convolution_ends_in(nets, spec):
    net = nets.Net()
    x = net.conv("input", "stem", 3, 4)
    a = net.op("Relu", [net.conv(x, "a", 4, 4)], "ra")
    b = net.op("Relu", [net.conv(x, "b", 4, 4)], "rb")
    y = net.op("Relu", [net.op("Add", [a, b], "sum")], "rs")
    net.conv(net.conv(y, "after", 4, 4), "heatmaps", 4, 2)
    reads = place(prepare(net.model()), spec).reads
    assert reads["ra"] == (("/sum", 0),) and reads["rb"] == (("/sum", 1),)


def test_an_add_into_float_layers_is_left_alone(nets, spec):
    net = nets.Net()
    x = net.conv("input", "stem", 3, 4)
    a = net.op("Relu", [net.conv(x, "a", 4, 4)], "ra")
    b = net.op("Relu", [net.conv(x, "b", 4, 4)], "rb")
    net.conv(net.op("Add", [a, b], "sum"), "heatmaps", 4, 2)
    assert set(place(prepare(net.model()), spec).reads) == {"stem"}


def test_pooling_reads_the_int8_tensor_where_there_is_one(nets, spec):
    net = nets.Net()
    x = net.op("Relu", [net.conv("input", "stem", 3, 4)], "r")
    pooled = net.op("MaxPool", [x], "pool", kernel_shape=[1, 1])
    y = net.op("Concat", [net.conv(x, "a", 4, 4), pooled], "join", axis=1)
    net.conv(y, "heatmaps", 8, 2)
    reads = place(prepare(net.model()), spec).reads
    assert reads == {"r": (("/pool", 0), ("/a", 0))}


def test_patterns_of_spec_and_options_keep_nodes_in_float(nets):
    spec = nets.make_spec(quantize={"keep_float": ["/exp*"]})
    placement = place(prepare(nets.pose_net()), spec, QuantizeOptions(keep_float=("/add",)))
    assert placement.quantized == ("/depthwise", "/project", "/deconv")
    assert placement.kept_float["/expand"] == "spec.quantize.keep_float: '/exp*'"
    assert placement.kept_float["/add"] == "options.keep_float: '/add'"
    assert "stem6" not in placement.reads  # neither of its readers is int8 any more


def test_a_pattern_that_names_nothing_is_an_error(nets, spec):
    with pytest.raises(UsageError, match="'/stm' names no node"):
        place(prepare(nets.pose_net()), spec, QuantizeOptions(keep_float=("/stm",)))


def test_deconvolutions_stay_in_float_where_asked(nets, spec):
    placement = place(prepare(nets.pose_net()), spec, QuantizeOptions(deconv="float"))
    assert placement.kept_float["/deconv"] == 'deconv = "float"' and "/deconv" not in placement.quantized


def test_weights_that_are_computed_stay_in_float(nets, spec):
    net = nets.Net()
    x = net.conv("input", "stem", 3, 4)
    weight = net.op("Mul", [net.weights("w", 4, 4, 1, 1), net.constant("two", np.float32(2))], "made")
    y = net.conv(net.op("Conv", [x, weight], "odd"), "middle", 4, 4)
    net.conv(y, "heatmaps", 4, 2)
    placement = place(prepare(net.model()), spec)
    assert placement.kept_float["/odd"] == "its weights are computed by Mul" and placement.quantized == ("/middle",)


def test_nothing_to_quantize_is_an_error(nets, spec):
    net = nets.Net()
    net.conv(net.conv("input", "stem", 3, 4), "heatmaps", 4, 2)
    with pytest.raises(ModelError, match="nothing in this network can be quantized"):
        place(prepare(net.model()), spec)


def test_observed_tensors_serve_every_option(nets, spec):
    model = prepare(nets.pose_net())
    observed = set(observed_tensors(model))
    for options in (
        QuantizeOptions(),
        QuantizeOptions(deconv="float"),
        QuantizeOptions(stem_float=False, head_float=False),
        QuantizeOptions(keep_float=("/project",)),
    ):
        assert set(place(model, spec, options).reads) <= observed


def test_options_are_checked():
    with pytest.raises(UsageError, match="did you mean 'float'"):
        QuantizeOptions(deconv="flot")


def test_what_the_scales_keep_in_float_stays_there(nets, spec):
    placement = place(prepare(nets.pose_net()), spec, chosen={"/expand": "search: it causes 71 % of the error"})
    assert placement.quantized == ("/depthwise", "/project", "/deconv")
    assert placement.kept_float["/expand"] == "search: it causes 71 % of the error"
