from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from edgepose.quantize.relu6 import clip_to_relu


def clipped(nets, scale: float, limit: float = 6.0, second_reader: bool = False):
    """Clip(0, limit) -> Q/DQ, and perhaps a float reader of the Clip."""
    net = nets.Net()
    x = net.clip("input", "six", limit)
    names = [net.constant("s", np.float32(scale)), net.constant("z", np.int8(0))]
    y = net.op("DequantizeLinear", [net.op("QuantizeLinear", [x, *names], "q"), *names], "dq")
    net.op("Add", [y, x if second_reader else y], "heatmaps")
    return net.model()


def kinds(model):
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("scale", [6 / 127, 4.5 / 127, np.float32(6) / np.float32(127)])
def test_saturation_does_the_clipping_exactly(nets, scale):
    model = clipped(nets, scale)
    made = clip_to_relu(model)
    assert kinds(made) == ["Relu", "QuantizeLinear", "DequantizeLinear", "Add"] and kinds(model)[0] == "Clip"
    images = 8 * nets.Photographs(8).images
    np.testing.assert_array_equal(nets.run(made, images)[0], nets.run(model, images)[0])
    assert clip_to_relu(made).SerializeToString() == made.SerializeToString()


def test_a_range_wider_than_the_clip_keeps_it(nets):
    assert kinds(clip_to_relu(clipped(nets, 6.1 / 127)))[0] == "Clip"


def test_a_float_reader_keeps_it(nets):
    assert kinds(clip_to_relu(clipped(nets, 6 / 127, second_reader=True)))[0] == "Clip"


def test_a_graph_output_keeps_it(nets):
    model = clipped(nets, 6 / 127)
    model.graph.output.append(helper.make_tensor_value_info("six", TensorProto.FLOAT, None))
    assert kinds(clip_to_relu(model))[0] == "Clip"


def test_a_clip_that_does_not_start_at_zero_keeps_it(nets):
    model = clipped(nets, 6 / 127)
    next(t for t in model.graph.initializer if t.name == "six.low").raw_data = np.float32(-1).tobytes()
    assert kinds(clip_to_relu(model))[0] == "Clip"
