"""Every registered pass keeps the interface of a pass, and a new one is a class and a line of the registry."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
import toy_pass
from onnx import numpy_helper

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import read_scales, write_scales
from edgepose.backends import load
from edgepose.backends.declaration import BuildOptions
from edgepose.backends.onnxruntime import make_runner
from edgepose.backends.session import OpenOptions
from edgepose.graph.lookup import load_onnx
from edgepose.graph.prepare import prepare
from edgepose.quantize import calibrate, quantize
from edgepose.quantize.passes import PASSES, statistics_needed
from edgepose.quantize.statistics import STATISTICS, Observed
from edgepose.quantize.work import Work
from edgepose.zoo import zoo_model, zoo_scales


@pytest.fixture
def start(nets, spec) -> Work:
    model = prepare(nets.pose_net())
    scales = nets.scales_for(model, nets.Photographs(8).images)
    return Work(model=model, spec=spec, options=QuantizeOptions(), scales=scales)


def before(start: Work, item) -> Work:
    """The work as a pass finds it."""
    for earlier in PASSES[: PASSES.index(item)]:
        start = earlier.run(start)
    return start


@pytest.mark.parametrize("item", PASSES, ids=lambda item: item.name)
def test_a_pass_keeps_the_interface(item, start, nets):
    work = before(start, item)
    given = work.model.SerializeToString()
    first, second = item.run(work), item.run(work)
    assert work.model.SerializeToString() == given, "a pass works on a copy"
    assert first.model.SerializeToString() == second.model.SerializeToString()
    assert first.placement == second.placement and first.activation_scales == second.activation_scales
    assert set(item.needs) <= set(STATISTICS)
    onnx.checker.check_model(first.model)
    images = nets.Photographs(4).images
    was, now = (nets.run(model, images)[0] for model in (start.model, first.model))
    assert np.square(now - was).mean() < 0.05 * np.square(was).mean()


def test_names_are_unique():
    assert len({item.name for item in PASSES}) == len(PASSES)


@pytest.mark.parametrize("name", STATISTICS)
def test_a_statistic_does_not_grow_with_the_images(name):
    def size(images: int) -> int:
        seen = Observed((name,))
        for i in range(images):
            seen.add(np.random.default_rng(i).normal(size=(1, 3, 8, 6)).astype(np.float32))
        return sum(np.asarray(value).nbytes for value in vars(seen[name]).values())

    assert size(2) == size(50)


def test_statistics_are_what_numpy_says():
    images = np.random.default_rng(0).normal(size=(20, 3, 8, 6)).astype(np.float32)
    seen = Observed(tuple(STATISTICS))
    for image in images:
        seen.add(image[None])
    np.testing.assert_allclose(seen["channel_mean"].mean, images.mean(axis=(0, 2, 3), dtype=np.float64), rtol=1e-6)
    assert seen["image_max"].mean == pytest.approx(np.abs(images).max(axis=(1, 2, 3)).mean())
    assert (seen["range"].low, seen["range"].high) == (images.min(), images.max())
    np.testing.assert_allclose(seen["channel_max"].to_json(), np.abs(images).max(axis=(0, 2, 3)), rtol=1e-3)
    assert set(seen.to_json()) == {"range", "image_max", "channel_mean", "channel_max"}


def test_a_new_pass_is_one_class_and_one_line(nets, spec, tmp_path, monkeypatch):
    """Its statistics are collected by the one observation run, travel in scales.json, and reach it."""
    toy = toy_pass.MultiplyByOne()
    monkeypatch.setattr("edgepose.quantize.passes.PASSES", [*PASSES, toy])
    assert statistics_needed(QuantizeOptions()) == ("channel_max", "channel_mean", "image_max")
    onnx.save(nets.pose_net(), tmp_path / "net.onnx")
    write_scales(
        tmp_path / "scales.json", calibrate(tmp_path / "net.onnx", nets.Photographs(), spec, make_runner=make_runner)
    )
    scales = read_scales(tmp_path / "scales.json")
    assert len(scales.tensors["add"].statistics["channel_mean"]) == 16
    made = quantize(nets.pose_net(), scales, spec)
    assert made.graph.node[-1].name == "toy_mul"
    onnx.save(made, tmp_path / "int8.onnx")
    backend = load("openvino")
    if backend.problem() is not None:
        pytest.skip("openvino is not installed")
    (tmp_path / "engine").mkdir()
    backend.build(tmp_path / "int8.onnx", tmp_path / "engine", BuildOptions(precision="int8"))
    images = nets.Photographs(1).images
    with backend.open(tmp_path / "engine", OpenOptions()) as session:
        found = session.run({"input": images})["heatmaps"]
    was = nets.run(nets.pose_net(), images)[0]
    assert np.square(found - was).mean() < 0.05 * np.square(was).mean()


def test_the_int8_graph_of_lite_is_unchanged():
    """All constants of the graph, in order: scales, zero points, int8 weights, biases."""
    model = load_onnx(zoo_model("lite"))
    from edgepose.artifacts.spec import embedded_spec

    made = quantize(model, read_scales(Path(zoo_scales("lite"))), embedded_spec(model, "lite"))
    digest = hashlib.sha256()
    for tensor in made.graph.initializer:
        value = numpy_helper.to_array(tensor)
        digest.update(str(value.dtype).encode() + str(value.shape).encode() + value.tobytes())
    assert digest.hexdigest() == "ddc0524fe7d6f407c6b5b53bfc1dec6e44b9c50576ff79562ff7f92777d33cdd"
