from __future__ import annotations

import numpy as np

from edgepose.backends.onnxruntime import make_plain_runner
from edgepose.quantize.value_ranges import largest_values


def test_the_largest_values_are_those_of_every_tensor(nets):
    model, images = nets.pose_net(), nets.Photographs(4).images
    found = largest_values(model, images, make_plain_runner)
    values = nets.run_all(model, images)
    assert found.keys() == values.keys()
    for name, value in values.items():
        np.testing.assert_allclose(found[name], np.abs(value).max(), rtol=1e-6)


def test_a_fixed_batch_axis_and_infinities_of_a_mask(nets):
    net = nets.Net()
    where = net.constant("where", np.arange(24) % 2 == 0)
    net.op("Where", [where, "input", net.constant("infinite", np.float32(-np.inf))], "heatmaps")
    images = nets.Photographs(5).images
    found = largest_values(net.model(shape=(2, 3, *nets.SIZE)), images, make_plain_runner)
    assert found["heatmaps"] == np.abs(images[..., ::2]).max()
    assert found["input"] == np.abs(images).max()
