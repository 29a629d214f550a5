"""The judge of networks that find people: bordered canvases, and retention on the people found in them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgepose._checks import Array
from edgepose.api.judge_people import bordered_canvases, detected_of, in_first_canvas, people_judge
from edgepose.artifacts.spec import ModelSpec, spec_from_dict
from edgepose.measure.moved_images import borders
from edgepose.measure.pseudo_people import pseudo_people


def contract(skeleton: str = "person", layout: str = "nchw") -> ModelSpec:
    spec = spec_from_dict(
        {"name": "net", "skeleton": skeleton, "input": {"size": [64, 96]}, "codec": {"type": "onestage"},
         "crop": {"padding": 1.0, "border_value": 114}, "outputs": ["people"]}, "net.toml",
    )  # fmt: skip
    return replace(spec, input=replace(spec.input, layout=layout))


@pytest.mark.parametrize(("layout", "dtype"), [("nchw", np.float32), ("nhwc", np.float32), ("nchw", np.float16)])
def test_what_is_seen_in_bordered_canvases_comes_back(layout: str, dtype: type) -> None:
    spec = contract(layout=layout)
    canvas = np.zeros((3, 64, 96), np.float32)
    canvas[:, 28:33, 50:55] = 50.0
    canvases = np.stack([canvas] * 6)
    inputs = (canvases if layout == "nchw" else canvases.transpose(0, 2, 3, 1)).astype(dtype)
    chosen = borders(6, 1)
    moved = bordered_canvases(inputs, spec, chosen)
    assert moved.shape == inputs.shape and moved.dtype == inputs.dtype
    planes = (moved[:, 0] if layout == "nchw" else moved[..., 0]).astype(np.float64)
    y, x = np.mgrid[:64, :96]
    bright = np.where(planes > 5, planes, 0)  # without the border, whose level is below
    centers = np.stack([(bright * x).sum((1, 2)), (bright * y).sum((1, 2))], axis=1) / bright.sum((1, 2))[:, None]
    nobody = detected_of({"people": np.zeros((1, 1, 5), np.float32)}, spec)
    found = replace(
        nobody, image=np.arange(6), xy_image=np.repeat(centers[:, None], 2, axis=1), scores=np.ones((6, 2)),
        box_scores=np.ones(6), area=np.ones(6),
    )  # fmt: skip
    assert np.abs(centers - [52, 30]).max() > 1  # they are moved
    assert np.abs(in_first_canvas(found, spec, chosen) - [52, 30]).max() < 0.2


def rows(scores: Array, boxes: Array) -> Array:
    """[N, M, 5] candidates of a detector."""
    return np.concatenate([boxes, scores[..., None]], axis=2).astype(np.float32)


def test_lost_and_false_people_are_a_loss_and_unsure_ones_are_not() -> None:
    spec = contract()
    random = np.random.default_rng(0)
    at = random.uniform(0, 30, (40, 3, 2)) + np.array([[0, 0], [120, 0], [240, 0]])
    boxes = np.concatenate([at, at + np.array([20.0, 40.0])], axis=2)
    scores = np.tile([0.9, 0.8, 0.3], (40, 1))
    expected = {"people": rows(scores, boxes)}
    first = detected_of(expected, spec)
    labels = pseudo_people(first, [first] * 3, 40, ["box_ap"], spec.codec.for_comparison()[1])
    assert labels is not None and labels.count == 3 * 80  # those of 0.3 are unsure
    judge: Any = people_judge(spec, labels)
    assert judge(expected, expected)["box_ap"] == 1.0

    def kept(scores: Array) -> float:
        return float(judge(expected, {"people": rows(scores, boxes)})["box_ap"])

    assert kept(np.tile([0.9, 0.8, 0.0], (40, 1))) == 1.0
    lost = scores.copy()
    lost[:8, 0] = 0
    assert kept(lost) < 0.92
    false = scores.copy()
    false[:, 2] = 0.95
    assert kept(false) < 0.9
    assert kept(np.zeros_like(scores)) == 0.0
    assert people_judge(spec, None)(expected, expected) == {}
