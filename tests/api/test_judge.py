"""The judge of a search: moved crops, and retention on pseudo-labels of the crops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgepose.api.judge import crop_labels, in_first_crop, joint_judge, moved_crops
from edgepose.backends.onnxruntime import make_exact_runner
from edgepose.graph.prepare import prepare
from edgepose.quantize.search.trials import run_on
from edgepose.quantize.value_ranges import Sample


def spot(size: tuple[int, int], at: tuple[int, int]) -> np.ndarray:
    """A crop [3, H, W] with one bright square of 5 pixels around a place (x, y)."""
    crop = np.zeros((3, *size), np.float32)
    crop[:, at[1] - 2 : at[1] + 3, at[0] - 2 : at[0] + 3] = 1
    return crop


def center_of(crop: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: crop.shape[0], : crop.shape[1]]
    return np.array([(x * crop).sum(), (y * crop).sum()]) / crop.sum()


@pytest.mark.parametrize(("layout", "dtype"), [("nchw", np.float32), ("nhwc", np.float32), ("nchw", np.float16)])
def test_joints_of_moved_crops_come_back(nets: Any, layout: str, dtype: type) -> None:
    spec = nets.make_spec()
    spec = replace(spec, input=replace(spec.input, layout=layout))
    height, width = spec.input.size
    at = (width // 2 + 3, height // 2 - 4)
    crops = np.stack([spot((height, width), at)] * 6)
    inputs = (crops if layout == "nchw" else crops.transpose(0, 2, 3, 1)).astype(dtype)
    moved, matrices = moved_crops(inputs, spec, 2)
    assert moved.shape == inputs.shape and moved.dtype == inputs.dtype
    planes = moved[:, 0] if layout == "nchw" else moved[..., 0]
    found = np.stack([center_of(plane.astype(np.float64)) for plane in planes])[:, None]
    assert np.abs(found[:, 0] - at).max() > 1  # they are moved
    assert np.abs(in_first_crop(found, matrices)[:, 0] - at).max() < 0.2


def test_the_judge_measures_on_pseudo_labels(nets: Any) -> None:
    net = nets.Net()
    net.conv(net.op("Relu", [net.conv("input", "stem", 3, 8, 3, stride=2)], "r"), "heatmaps", 8, 14)
    model, spec = net.model(), nets.make_spec(skeleton="lsp14")
    images = np.random.default_rng(1).normal(size=(32, 3, *spec.input.size)).astype(np.float32)
    sample = Sample(inputs=images, make_runner=make_exact_runner)
    prepared, outputs = prepare(model), tuple(spec.outputs)
    expected = run_on(prepared, outputs, sample)
    labels = crop_labels(spec, images, expected, make_exact_runner(prepared, outputs), ["pck@0.2"])
    assert labels is not None
    judge, plain = joint_judge(spec, labels), joint_judge(spec)
    kept = judge(expected, expected)
    assert kept["pck@0.2"] == 1.0 and kept.keys() == plain(expected, expected).keys()
    shuffled = {name: value[::-1].copy() for name, value in expected.items()}
    assert judge(expected, shuffled)["pck@0.2"] < 0.9
