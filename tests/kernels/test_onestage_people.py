"""`onestage_people` against the numpy codec: the same people in the same order, moved to the image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepose.codecs import onestage
from edgepose.errors import ModelError
from edgepose.kernels import onestage_people
from edgepose.pose.geometry import invert_affine

DTYPES = [np.float32, np.float16]
HERE = np.eye(2, 3)[None]
ALL = [0.9, 0.8, 0.7, 0.3]


def candidates(rng, count, joints=17, dtype=np.float32, images=1):
    """[N, M, 5 + 3K]: clusters of boxes, with scores of which some are equal, and boxes without an area."""
    middle = rng.uniform(0, 640, (images, 12, 2))[:, rng.integers(0, 12, count)]
    half = rng.uniform(0, 90, (images, count, 2)) * (rng.random((images, count, 1)) < 0.95)
    corners = middle + rng.normal(0, 12, middle.shape)
    scores = np.round(rng.random((images, count, 1)) ** 2, 2 if rng.random() < 0.5 else 6)
    found = rng.uniform(-20, 660, (images, count, joints, 3))
    found[..., 2] = rng.random(found.shape[:-1])
    rows = [corners - half, corners + half, scores, found.reshape(images, count, 3 * joints)]
    return np.concatenate(rows, axis=-1).astype(dtype)


def matrices(rng, count):
    """[N, 2, 3] canvas -> image."""
    scale, shift = rng.uniform(0.2, 4, (count, 2)), rng.uniform(-100, 100, (count, 2))
    return invert_affine(
        np.stack([np.array([[s[0], 0, t[0]], [0, s[1], t[1]]]) for s, t in zip(scale, shift, strict=True)])
    )


def assert_is_definition(rows, inverse, score, iou, limit, **options):
    found = onestage_people(rows, inverse, score, iou, limit, **options)
    expected = onestage.decode_to_image(rows, inverse, score, iou, limit)
    assert found.dtype == np.float32 and found.shape == expected.shape
    assert np.array_equal(found[..., 4], expected[..., 4])  # who, in which order
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("iou", [None, 0.0, 0.45, 0.7, 1.0])
@pytest.mark.parametrize("score", [0.0, 0.001, 0.25, 0.9])
def test_random_candidates(computed_by, score, iou, dtype):
    rng = np.random.default_rng(3)
    for count, limit, joints in ((1, 1, 17), (40, 100, 17), (300, 7, 1), (300, 300, 0), (2000, 60, 17)):
        rows = candidates(rng, count, joints, dtype, images=2)
        assert_is_definition(rows, matrices(rng, 2), score, iou, limit)


@settings(max_examples=60)
@given(
    count=st.integers(0, 200),
    joints=st.integers(0, 5),
    images=st.integers(0, 3),
    limit=st.integers(1, 40),
    score=st.floats(0, 1),
    iou=st.none() | st.floats(0, 1),
    dtype=st.sampled_from(DTYPES),
    threads=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_anything(computed_by, count, joints, images, limit, score, iou, dtype, threads, seed):
    rng = np.random.default_rng(seed)
    rows = candidates(rng, count, joints, dtype, images)
    assert_is_definition(
        rows, matrices(rng, images) if images else np.zeros((0, 2, 3)), score, iou, limit, threads=threads
    )


def test_suppression_by_hand(computed_by):
    """A good person, one that covers 0.6 of it, one that covers 0.5, and one elsewhere."""
    boxes = [[0, 0, 10, 10], [0, 0, 10, 6], [0, 0, 10, 5], [50, 50, 60, 60]]
    rows = np.array([[[*box, score, 1, 2, 0.5] for box, score in zip(boxes, ALL, strict=True)]], np.float32)
    for iou, expected in (
        (0.55, [0.9, 0.7, 0.3]),
        (0.5, [0.9, 0.7, 0.3]),
        (0.49, [0.9, 0.3]),
        (None, [0.9, 0.8, 0.7, 0.3]),
    ):
        found = onestage_people(rows, HERE, 0.25, iou, 4)[0, :, 4]
        assert found[found > 0].tolist() == pytest.approx(expected)
    assert onestage_people(rows, HERE, 0.25, None, 2)[0, :, 4].tolist() == pytest.approx([0.9, 0.8])
    assert not onestage_people(rows, HERE, 0.9, None, 2).any()  # a score must exceed the threshold


def test_equal_scores_keep_their_order(computed_by):
    rows = np.zeros((1, 70, 8), np.float32)
    rows[0, :, 4], rows[0, :, 5] = 0.5, np.arange(70)
    assert onestage_people(rows, HERE, 0.25, None, 50)[0, :, 5].tolist() == list(range(50))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_overflowed_network(computed_by, value, dtype):
    """Refused for any score, and for the numbers of people; a candidate that nobody takes may hold anything."""
    rows = candidates(np.random.default_rng(0), 30, 2, dtype)
    rows[0, :, 4] = 0.1
    rows[0, 3, 4] = 0.9
    for place in ((0, 5, 4), (0, 3, 4), (0, 3, 1), (0, 3, 6), (0, 3, 10)):
        broken = rows.copy()
        broken[place] = value
        with pytest.raises(ModelError, match="overflowed: its people hold NaN or infinity"):
            onestage_people(broken, HERE, 0.25, 0.7, 10)
    rows[0, 5, 5] = value
    assert (onestage_people(rows, HERE, 0.25, 0.7, 10)[0, :, 4] > 0).sum() == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"rows": np.zeros((1, 4, 7), np.float32)}, "5 . 3K"),
        ({"rows": np.zeros((4, 8), np.float32)}, "rows: expected shape"),
        ({"inverse": np.zeros((2, 2, 3))}, "inverse: expected"),
        ({"limit": 0}, "limit: expected at least 1"),
        ({"score_threshold": -0.1}, "score_threshold: expected at least 0"),
        ({"iou_threshold": float("nan")}, "iou_threshold: expected at least 0"),
        ({"out": np.zeros((1, 9, 8), np.float32)}, "out: expected shape"),
    ],
)
def test_arguments_that_do_not_fit(computed_by, change, why):
    given_ = {"rows": np.zeros((1, 4, 8), np.float32), "inverse": HERE, "score_threshold": 0.2, "iou_threshold": 0.5}
    with pytest.raises(ValueError, match=why):
        onestage_people(**{**given_, "limit": 3, **change})
