"""The codec of one-stage networks beyond tests/codecs/test_conformance.py."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.artifacts.spec import ModelSpec, spec_from_dict
from edgepose.codecs import onestage
from edgepose.codecs.onestage import OnestageCodec
from edgepose.errors import ModelError, SpecError

HERE = np.eye(2, 3)[None]


def contract(joints: int = 2, **codec: object) -> ModelSpec:
    names = ["left_a", "right_a", "b", "c"][:joints]
    flips = [["left_a", "right_a"]] if joints > 1 else []
    value = {
        "name": "net", "skeleton": {"name": "own", "joints": names, "flips": flips}, "input": {"size": [64, 96]},
        "codec": {"type": "onestage", **codec}, "outputs": ["people"],
    }  # fmt: skip
    return spec_from_dict(value, "net.toml")


def row(score: float, at: float = 10.0, joints: int = 2) -> list[float]:
    return [at, at, at + 20, at + 30, score, *[at + 5, at + 6, 0.5] * joints]


@pytest.mark.parametrize("rows", [[], [row(0.1)]], ids=["no candidate", "a low score"])
def test_nobody(rows: list[list[float]]) -> None:
    spec = contract()
    found = spec.codec.decode([np.array(rows, np.float32).reshape(1, len(rows), 11)], None, HERE, spec)
    assert [value.shape for value in found] == [(0, 2, 2), (0, 2), (0, 4), (0,)]


def test_a_contract_sees_whole_images() -> None:
    assert contract().crop.padding == 1.0
    assert contract().codec.parameters() == {"score_threshold": 0.25, "max_people": 100}


def test_every_joint_of_a_person_has_a_place() -> None:
    """A score of 0 says elsewhere that a joint was not found; these networks place all of them."""
    spec, rows = contract(), np.array([[row(0.9)]], np.float32)
    rows[0, 0, 7] = 0
    found = spec.codec.decode([rows], None, HERE, spec)
    assert 0 < found.scores[0, 0] < 1e-30 and found.scores[0, 1] == 0.5


def test_a_flip_test_needs_a_suppression() -> None:
    spec = contract()
    with pytest.raises(SpecError, match=r"no codec\.iou_threshold"):
        spec.codec.check_flip(spec.skeleton)
    contract(iou_threshold=0.5).codec.check_flip(spec.skeleton)
    rows = np.array([[row(0.9)]], np.float32)
    mirrored = onestage.merge_flip(rows, rows, spec.skeleton.flip_order(), 96)
    assert mirrored.shape == (1, 2, 11)
    assert mirrored[0, 1, :5].tolist() == pytest.approx([95 - 30, 10, 95 - 10, 40, 0.9])
    assert onestage.merge_flip(rows[:, :0], rows[:, :0], spec.skeleton.flip_order(), 96).shape == (1, 0, 11)


def test_evaluation_and_comparison_take_people_of_a_lower_score() -> None:
    codec = OnestageCodec(score_threshold=0.4, max_people=10)
    assert (codec.for_evaluation().score_threshold, codec.for_evaluation().max_people) == (0.001, 300)
    assert OnestageCodec(score_threshold=0.0).for_evaluation().score_threshold == 0.0
    lower, counted_from = codec.for_comparison()
    assert (lower.score_threshold, counted_from) == (0.2, 0.4)


def test_an_overflow_is_refused() -> None:
    spec, rows = contract(), np.array([[row(0.9), row(0.1)]], np.float32)
    rows[0, 1, 4] = np.nan
    with pytest.raises(ModelError, match="overflowed: its people hold NaN or infinity"):
        spec.codec.decode([rows], None, HERE, spec)
    with pytest.raises(ModelError, match="overflowed"):
        onestage.decode_to_image(rows, HERE, 0.25, None, 10)
