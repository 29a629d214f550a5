"""Bias corrections: each layer after those before it, left out where they do not help, and only for their placement."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import Scales, TensorRange
from edgepose.artifacts.spec import NOTES_KEY, get_metadata
from edgepose.backends.onnxruntime import make_plain_runner
from edgepose.errors import CalibrationError
from edgepose.graph.lookup import graph_of
from edgepose.graph.prepare import prepare
from edgepose.quantize import Sample, quantize
from edgepose.quantize.bias import with_bias
from edgepose.quantize.bias_correction import corrected, shrunk
from edgepose.quantize.segments import Walk, cut

OPTIONS = QuantizeOptions()


@pytest.fixture
def photographs(nets: Any) -> Any:
    return np.random.default_rng(4).normal(size=(16, 3, *nets.SIZE)).astype(np.float32)


def clipped(scales: Scales, share: float) -> Scales:
    """Scales so small that quantizers clip and shift every mean."""
    tensors = {
        name: TensorRange(min=item.min, max=item.max, scale=item.scale * share) for name, item in scales.tensors.items()
    }
    return replace(scales, tensors=tensors)


def error(nets: Any, model: onnx.ModelProto, other: onnx.ModelProto, images: Any) -> float:
    one, two = nets.run(model, images)[0], nets.run(other, images)[0]
    return float(np.square(one - two).sum() / np.square(one).sum())


def test_corrections_bring_the_outputs_nearer_to_those_of_the_float_network(nets, spec, photographs):
    model = nets.pose_net()
    scales = clipped(nets.scales_for(model, photographs), 0.3)
    sample = Sample(inputs=photographs, make_runner=make_plain_runner)
    found = corrected(prepare(model), scales, spec, OPTIONS, sample)
    assert set(found.bias) <= {"/expand", "/depthwise", "/project", "/deconv"} and found.bias
    fresh = np.random.default_rng(5).normal(size=(8, 3, *nets.SIZE)).astype(np.float32)
    before, after = (error(nets, model, quantize(model, its, spec), fresh) for its in (scales, found))
    assert after < 0.8 * before
    assert corrected(prepare(model), found, spec, OPTIONS, sample) == found  # what scales hold already is no input


def test_each_mean_is_that_of_the_float_network_with_the_layers_before_it_corrected(nets, spec, photographs):
    model = nets.pose_net()
    scales = clipped(nets.scales_for(model, photographs), 0.3)
    many = np.random.default_rng(6).normal(size=(64, 3, *nets.SIZE)).astype(np.float32)
    found = corrected(prepare(model), scales, spec, OPTIONS, Sample(inputs=many, make_runner=make_plain_runner))
    made = quantize(model, found, spec)
    fits = many[np.arange(64) % 4 != 0]
    for name in found.bias:
        node = next(node for node in graph_of(made).nodes if node.name == name)
        tensor = node.output[0]
        means = []
        for graph in (prepare(model), made):
            runner = make_plain_runner(graph, (tensor,))
            means.append(np.mean([runner.run(image[None])[tensor][0] for image in fits], axis=(0, 2, 3)))
        assert np.abs(means[1] - means[0]).max() < 0.05 * np.abs(np.asarray(found.bias[name])).max() + 1e-3


def test_there_are_none_where_they_do_not_help_or_are_not_asked_for(nets, spec, photographs):
    model = nets.pose_net()
    scales = clipped(nets.scales_for(model, photographs), 0.3)
    sample = Sample(inputs=photographs, make_runner=make_plain_runner)
    assert not corrected(prepare(model), scales, spec, QuantizeOptions(bias_correction=False), sample).bias
    few = Sample(inputs=photographs[:7], make_runner=make_plain_runner)
    assert not corrected(prepare(model), scales, spec, OPTIONS, few).bias


def test_corrections_for_another_placement_are_left_out_with_a_note(nets, spec, photographs):
    model = nets.pose_net()
    scales = clipped(nets.scales_for(model, photographs), 0.3)
    found = corrected(prepare(model), scales, spec, OPTIONS, Sample(inputs=photographs, make_runner=make_plain_runner))
    other = QuantizeOptions(keep_float=("/expand",))
    made = quantize(model, found, spec, other)
    assert any("another placement" in line for line in json.loads(get_metadata(made, NOTES_KEY) or "[]"))
    plain = quantize(model, scales, spec, other)
    assert np.array_equal(nets.run(made, photographs)[0], nets.run(plain, photographs)[0])


def test_a_layer_without_bias_gets_one(nets):
    net = nets.Net()
    x = net.op("MatMul", [net.op("Flatten", ["input"], "flat"), net.weights("w", 3 * 32 * 24, 4)], "mat")
    model = prepare(net.model(output=x))
    image = np.ones((1, 3, *nets.SIZE), np.float32)
    added = with_bias(model, {"/mat": [1.0, 2.0, 3.0, 4.0]})
    assert np.allclose(nets.run(added, image)[0] - nets.run(model, image)[0], [[1, 2, 3, 4]], atol=1e-5)
    assert graph_of(added).outputs == graph_of(model).outputs  # tensors keep their names


def test_a_correction_of_another_length_is_refused(nets):
    with pytest.raises(CalibrationError, match="correct 2 channels of '/expand'"):
        with_bias(prepare(nets.pose_net()), {"/expand": [1.0, 2.0]})


def test_means_of_noise_shrink_to_zero_and_clear_ones_stay():
    random = np.random.default_rng(0)
    differences = random.normal(0, 1, (48, 200))
    assert np.abs(shrunk(differences)).mean() < 0.5 * np.abs(differences.mean(axis=0)).mean()
    assert np.allclose(shrunk(differences + 10), (differences + 10).mean(axis=0), rtol=1e-2)
    assert not shrunk(np.zeros((8, 3))).any()


def test_segments_compute_what_the_graph_computes(nets, photographs):
    model = prepare(nets.pose_net())
    graph = graph_of(model)
    names = [node.name for node in graph.nodes if node.op_type == "Conv"]
    parts = [{"input": image[None]} for image in photographs[:3]]
    walk = Walk(segments=cut(model, names), parts=parts, make_runner=make_plain_runner)
    assert [name for name, _ in walk] == names
    found = np.concatenate([values["heatmaps"] for values in walk.live])
    assert np.array_equal(found, nets.run(model, photographs[:3])[0])
    assert all(set(values) == {"heatmaps"} for values in walk.live)  # what nothing reads any more is dropped
