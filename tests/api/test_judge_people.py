"""The judge of networks that find people: bordered canvases, and retention on the people found in them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgepose._checks import Array
from edgepose.api.judge_people import (
    bordered_canvases,
    detected_of,
    errors_of,
    in_first_canvas,
    people_judge,
    row_errors,
)
from edgepose.artifacts.spec import ModelSpec, spec_from_dict
from edgepose.measure.moved_images import borders
from edgepose.measure.pseudo_people import pseudo_people
from edgepose.quantize.search.trials import crop_errors


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


def candidates() -> Array:
    """[2, 300, 8]: background with boxes far away, and in the first canvas one person with one joint."""
    random = np.random.default_rng(0)
    made = np.zeros((2, 300, 8))
    made[..., :2] = random.uniform(0, 400, (2, 300, 2))
    made[..., 2:4] = made[..., :2] + 50
    made[..., 5:7] = made[..., :2] + 25
    made[0, 7, 4], made[0, 7, 7] = 0.9, 0.8
    return made


def test_the_errors_of_candidates_are_those_of_people() -> None:
    """Counted as it is, a lost person is less than a background that moves by a pixel."""
    expected = candidates()
    lost, background, moved = expected.copy(), expected.copy(), expected.copy()
    lost[0, 7, 4] = 0.1
    background[:, 8:, :4] += 1.0
    moved[0, 7, [0, 2]] += 5.0  # a tenth of the box, in 2 of 6 coordinates
    plain = [crop_errors({"people": expected}, {"people": other})[0] for other in (lost, background)]
    assert plain[0] < plain[1]
    assert row_errors(expected, lost, 0.3)[0] == pytest.approx(0.8**2 / 0.9**2 / 3)
    assert row_errors(expected, background, 0.3) == (0.0, 0.0)
    assert row_errors(expected, moved, 0.3)[0] == pytest.approx(0.1**2 * 2 / 6 / 3)


def test_someone_who_appears_in_an_empty_canvas_is_an_error_and_numbers_that_are_none_are_the_largest() -> None:
    expected = candidates()
    false, broken = expected.copy(), expected.copy()
    false[1, 3, 4] = 0.3
    broken[1, 3, 4] = np.nan
    assert row_errors(expected, false, 0.3) == (0.0, pytest.approx(1 / 3))
    assert row_errors(expected, broken, 0.3)[1] > 1


def test_other_codecs_are_compared_by_their_outputs() -> None:
    heatmaps = spec_from_dict({"name": "net", "skeleton": "lsp14", "outputs": ["heatmaps"]}, "net.toml")
    assert errors_of(heatmaps) is crop_errors
    expected = {"people": candidates()}
    assert errors_of(contract())(expected, expected) == (0.0, 0.0)
