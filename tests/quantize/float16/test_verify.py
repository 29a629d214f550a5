"""What no rule sees is found by comparing the half graph with the float graph."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgepose.artifacts.spec import KEPT_FLOAT_KEY, get_metadata
from edgepose.backends.onnxruntime import make_plain_runner
from edgepose.errors import ModelError
from edgepose.quantize import Sample, to_fp16
from edgepose.quantize.float16 import verify
from edgepose.quantize.float16.verify import relative_error


def cancelling(nets):
    """Small differences of large values: float16 keeps 1000.123 as 1000."""
    net = nets.Net()
    x = net.conv("input", "x", 3, 4)
    far = net.op("Add", [x, net.constant("far.c", np.float32(3000))], "far")
    far = net.op("Reshape", [far, net.constant("shape", np.array([0, 4, 32, 24]))], "moved")
    near = net.op("Sub", [far, net.constant("near.c", np.float32(3000))], "near")
    net.conv(near, "heatmaps", 4, 4)
    return net.model()


def sample(nets):
    return Sample(inputs=nets.Photographs(3).images, make_runner=make_plain_runner)


def test_nodes_at_which_float16_departs_stay_in_float32(nets, spec):
    model = cancelling(nets)
    made = to_fp16(model, spec, "d" * 64, sample=sample(nets))
    kept = json.loads(get_metadata(made, KEPT_FLOAT_KEY) or "")
    assert {"/far", "/moved", "/near"} <= set(kept)
    assert "float16 departs here" in kept["/near"]
    images = nets.Photographs(3).images
    assert relative_error(nets.run(model, images)[0], nets.run(made, images)[0]) < verify.LIMIT
    rough = to_fp16(model, spec, "d" * 64)  # without a sample nobody sees it
    assert get_metadata(rough, KEPT_FLOAT_KEY) == "{}"


def test_values_that_float16_cannot_hold_are_named(nets, spec):
    net = nets.Net()
    small = net.op("Mul", [net.conv("input", "x", 3, 4), net.constant("c", np.float32(1e-4))], "small")
    smaller = net.op("Mul", [small, net.constant("d", np.float32(1e-4))], "smaller")
    net.op("Mul", [smaller, net.constant("e", np.float32(3e4))], "heatmaps")
    made = to_fp16(net.model(), spec, "d" * 64, sample=sample(nets))
    kept = json.loads(get_metadata(made, KEPT_FLOAT_KEY) or "")
    assert {"/smaller", "/heatmaps"} <= set(kept) and "of 'smaller'" in kept["/smaller"]


def test_a_graph_that_departs_all_the_same_is_refused(nets, spec, monkeypatch):
    monkeypatch.setattr(verify, "ROUNDS", 0)
    with pytest.raises(ModelError, match=r"float16 changes output 'heatmaps' by .*build fp32, or .*--keep-float"):
        to_fp16(cancelling(nets), spec, "d" * 64, sample=sample(nets))


@pytest.mark.parametrize(
    ("expected", "found", "error"),
    [
        ([3, 4], [3, 4], 0),
        ([3, 4], [3, 4.5], 0.1),
        ([3, 4], [3, np.inf], np.inf),
        ([3, 4], [3, np.nan], np.inf),
        ([3, -np.inf], [3, -np.inf], 0),  # a mask
        ([3, np.nan], [3, np.nan], 0),
        ([0, 0], [0, 0], 0),
        ([0, 0], [0, 1e-9], np.inf),
        ([], [], 0),
    ],
)
def test_relative_error(expected, found, error):
    assert relative_error(np.array(expected, np.float32), np.array(found, np.float32)) == pytest.approx(error, rel=1e-3)


def test_what_counts_of_a_relative_error():
    expected, found = np.ones(10, np.float32), np.ones(10, np.float32)
    found[3] = 2
    assert relative_error(expected, found) > 0.3 and relative_error(expected, found, share=0.9) == 0
    assert relative_error(np.zeros(2, np.float32), np.full(2, 1e-9, np.float32), signal=1e-6) == pytest.approx(1e-3)


@pytest.mark.parametrize(("scale", "stays"), [(100.0, False), (4000.0, True)])
def test_the_arithmetic_of_outputs_in_pixels_stays_in_float32(nets, spec, scale, stays):
    """From 256 on, float16 has steps of a quarter of a pixel."""
    net = nets.Net()
    cells = net.op("Sigmoid", [net.conv("input", "x", 3, 4)], "cells")
    moved = net.op("Add", [cells, net.constant("one", np.float32(0.0))], "moved")
    net.op("Mul", [moved, net.constant("scale", np.float32(scale))], "heatmaps")
    made = to_fp16(net.model(), spec, "d" * 64, sample=sample(nets))
    kept = json.loads(get_metadata(made, KEPT_FLOAT_KEY) or "")
    assert (set(kept) == {"/cells", "/moved", "/heatmaps"}) == stays and "/x" not in kept
    assert not stays or "where float16 has steps of 2" in kept["/moved"]
