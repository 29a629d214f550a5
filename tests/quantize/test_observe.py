from __future__ import annotations

import functools
import tracemalloc

import numpy as np
import onnx
import pytest

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.backends.onnxruntime import make_runner
from edgepose.errors import CalibrationError, ModelError
from edgepose.graph.prepare import prepare
from edgepose.quantize.observe import blank
from edgepose.quantize.observe import calibrate as calibrate_with
from edgepose.quantize.observe import observe as observe_with
from edgepose.quantize.placement import observed_tensors
from edgepose.quantize.statistics import BINS, Observed

calibrate = functools.partial(calibrate_with, make_runner=make_runner)
observe = functools.partial(observe_with, make_runner=make_runner)


@pytest.fixture
def path(nets, tmp_path):
    onnx.save(nets.pose_net(), tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def test_the_growing_histogram_is_the_one_made_at_once():
    random = np.random.default_rng(0)
    pieces = [random.normal(0, spread, 5000).astype(np.float32) for spread in (0.01, 0.5, 0.3, 40.0, 7.0)]
    pieces.insert(0, np.zeros(100, np.float32))
    seen = Observed(("range", "histogram"))
    for piece in pieces:
        seen.add(piece)
    every = np.concatenate(pieces)
    direct, _ = np.histogram(np.abs(every), BINS, (0, seen["histogram"].limit))
    np.testing.assert_array_equal(seen["histogram"].counts, direct)
    assert seen["histogram"].limit == 2 ** np.ceil(np.log2(np.abs(every).max()))
    assert (seen["range"].low, seen["range"].high, seen["range"].total) == (every.min(), every.max(), every.size)


def test_a_power_of_two_and_large_tensors_are_counted():
    seen = Observed(("range", "histogram"))
    seen.add(np.full((3 << 20) + 5, 2.0, np.float32))
    assert seen["histogram"].counts.sum() == (3 << 20) + 5 and seen["histogram"].limit == 4.0


def test_ranges_are_those_of_all_images_at_once(nets, spec, path):
    feed = nets.Photographs(40)
    scales = calibrate(path, feed, spec, QuantizeOptions(method="minmax"))
    every = nets.run_all(prepare(nets.pose_net()), feed.images)
    assert scales.images == 40 and scales.method == "minmax" and scales.parameters == {}
    for name, found in scales.tensors.items():
        np.testing.assert_allclose([found.min, found.max], [every[name].min(), every[name].max()], rtol=1e-5)
        assert found.scale == pytest.approx(np.abs(every[name]).max() / 127, rel=1e-5)


def test_histograms_count_every_value_once_with_a_fixed_batch_axis(nets, spec):
    model = prepare(nets.pose_net(shape=(4, 3, *nets.SIZE)))
    feed = nets.Photographs(33, batch=7)  # neither fits 4
    statistics = observe(model, feed, spec, observed_tensors(model))
    free = prepare(nets.pose_net())
    twin = observe(free, feed, spec, observed_tensors(free))
    for name, seen in statistics.items():
        counts, other = seen["histogram"].counts, twin[name]["histogram"].counts
        assert seen["range"].total == twin[name]["range"].total == counts.sum()
        assert np.abs(counts - other).sum() <= 1e-3 * counts.sum()  # values on a bin's edge


def test_method_and_parameters_are_kept(nets, spec, path):
    scales = calibrate(path, nets.Photographs(), spec, QuantizeOptions(method="percentile", percentile=99.0))
    assert scales.method == "percentile" and scales.parameters == {"percentile": 99.0}


def test_the_contract_names_the_method_unless_options_do(nets, path):
    spec = nets.make_spec(quantize={"method": "mse"})
    assert calibrate(path, nets.Photographs(), spec).method == "mse"
    assert calibrate(path, nets.Photographs(), spec, QuantizeOptions()).method == "auto"


def test_memory_does_not_grow_with_the_images(nets, spec):
    model = prepare(nets.pose_net())
    peaks = []
    for count in (32, 160):
        feed = nets.Photographs(count)
        tracemalloc.start()
        observe(model, feed, spec, observed_tensors(model))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def test_too_few_images(nets, spec, path):
    with pytest.raises(CalibrationError, match=r"31 images are too few.*at least 32"):
        calibrate(path, nets.Photographs(31), spec)


def test_a_feed_that_yields_fewer_than_it_says(nets, spec, path):
    feed = nets.Photographs(40)
    feed.images = feed.images[:20]
    with pytest.raises(CalibrationError, match="20 images are too few"):
        calibrate(path, feed, spec)


def test_a_network_of_another_size_is_refused(nets, spec, tmp_path):
    onnx.save(nets.pose_net(shape=(1, 3, 64, 48)), tmp_path / "large.onnx")
    with pytest.raises(ModelError, match=r"takes images of \[3, 64, 48\], the spec says \[3, 32, 24\]"):
        calibrate(tmp_path / "large.onnx", nets.Photographs(), spec)


@pytest.mark.parametrize("border", [False, True])
def test_a_blank_image_is_named(nets, spec, path, border):
    feed = nets.Photographs(32)
    feed.images[17] = -1.0
    if border:
        feed.images[17, :, :5] = 1.0
    with pytest.raises(CalibrationError, match=r"image 17 \(photo17.jpg\) is blank"):
        calibrate(path, feed, spec)


def test_a_dim_photograph_is_not_blank(nets, spec):
    std = np.array(spec.input.std, np.float32)[:, None, None]
    levels = np.random.default_rng(0).integers(0, 8, (3, *nets.SIZE)).astype(np.float32)
    assert not blank(levels / std, spec)
    assert blank(np.random.default_rng(0).integers(0, 2, (3, *nets.SIZE)).astype(np.float32) / std, spec)


def test_activations_that_are_not_finite_name_tensor_and_image(nets, spec, path):
    feed = nets.Photographs(32)
    feed.images[3, 0, 0, 0] = np.nan
    with pytest.raises(CalibrationError, match=r"tensor '.*' holds values that are not finite on photo3.jpg"):
        calibrate(path, feed, spec)


def test_a_batch_of_the_wrong_size_is_the_callers_error(nets, spec, path):
    feed = nets.Photographs(32)
    feed.images = feed.images[:, :, :-2]
    with pytest.raises(ValueError, match="batch: expected shape"):
        calibrate(path, feed, spec)


def test_a_network_of_two_inputs_is_refused(nets, spec, tmp_path):
    model = nets.pose_net()
    model.graph.input.add().CopyFrom(model.graph.input[0])
    model.graph.input[1].name = "second"
    onnx.save(model, tmp_path / "two.onnx")
    with pytest.raises(ModelError, match="2 inputs"):
        calibrate(tmp_path / "two.onnx", nets.Photographs(), spec)


def test_a_failure_of_onnx_runtime_is_said_on_one_line(nets, spec, tmp_path):
    """A Reshape to 7 columns is only wrong once there are numbers; a Strange operator before."""
    net = nets.Net()
    x = net.conv(net.conv("input", "stem", 3, 4), "mid", 4, 4)
    x = net.op("Reshape", [x, net.constant("shape", np.array([-1, 7, 11], np.int64))], "odd")
    net.op("MatMul", [x, net.weights("w", 11, 2)], "heatmaps")
    model = net.model()
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(ModelError, match="cannot run the network to observe it") as caught:
        calibrate(tmp_path / "net.onnx", nets.Photographs(), spec)
    assert "\n" not in str(caught.value)
    model.graph.node[2].op_type = "Strange"
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(ModelError, match="not a valid ONNX file: No Op registered for Strange") as caught:
        calibrate(tmp_path / "net.onnx", nets.Photographs(), spec)
    assert "\n" not in str(caught.value)
