"""Regressed coordinates: where the edges and the center are, round trips, overflow, the flip merge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepose.codecs import regression
from edgepose.errors import ModelError, SpecError
from edgepose.pose.geometry import apply_affine, crop_affine, invert_affine
from edgepose.pose.skeletons import SKELETONS

SIZE = (64, 48)
sizes = st.tuples(st.integers(1, 400), st.integers(1, 400))
ranges = st.sampled_from(sorted(regression.RANGES))


@pytest.mark.parametrize(
    ("range", "corners"), [("centered", [[-0.5, -0.5], [0, 0], [0.5, 0.5]]), ("unit", [[0, 0], [0.5, 0.5], [1, 1]])]
)
def test_edges_and_center_of_the_crop(range, corners):
    """The first edge is half a pixel before the first pixel's center, the last one half a pixel behind."""
    found, scores = regression.decode(np.array([corners], np.float32), SIZE, range)
    assert found.tolist() == [[[-0.5, -0.5], [23.5, 31.5], [47.5, 63.5]]]
    assert scores.tolist() == [[1, 1, 1]]
    assert regression.encode(found, SIZE, range).tolist() == [corners]


@given(sizes, ranges, st.integers(0, 3), st.integers(0, 2**31))
def test_there_and_back(size, range, n, seed):
    xy = np.random.default_rng(seed).uniform(-300, 600, (n, 5, 2))
    coords = regression.encode(xy, size, range)
    assert coords.dtype == np.float32
    found, scores = regression.decode(coords, size, range)
    assert found.dtype == scores.dtype == np.float32
    assert np.abs(found - xy).max(initial=0) < 1e-3
    assert np.array_equal(scores, np.ones((n, 5)))


@given(sizes, st.integers(0, 2**31))
def test_the_ranges_differ_by_a_half(size, seed):
    coords = np.random.default_rng(seed).uniform(-1, 2, (2, 5, 2)).astype(np.float32)
    unit, centered = regression.decode(coords, size, "unit")[0], regression.decode(coords - 0.5, size, "centered")[0]
    assert np.allclose(unit, centered, atol=1e-3)


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_the_third_channel_is_the_score(kind):
    coords = np.array([[[0.25, 0.5, 0.75], [0, 1, -0.5]]], kind)
    found, scores = regression.decode(coords, SIZE, "unit")
    assert found.tolist() == [[[11.5, 31.5], [-0.5, 63.5]]]
    assert scores.dtype == np.float32
    assert scores.tolist() == [[0.75, -0.5]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channel", [0, 1, 2])
def test_a_network_that_overflowed_is_an_error_of_the_model(value, channel):
    coords = np.zeros((1, 2, 3), np.float32)
    coords[0, 1, channel] = value
    with pytest.raises(ModelError, match="overflowed: its coordinates hold NaN"):
        regression.decode(coords, SIZE)


def test_what_it_does_not_know_is_refused():
    with pytest.raises(SpecError, match=r"codec\.range = 'centred'; did you mean 'centered'"):
        regression.decode(np.zeros((1, 2, 2)), SIZE, "centred")
    with pytest.raises(SpecError, match="did you mean 'unit'"):
        regression.merge_flip(np.zeros((1, 2, 2)), np.zeros((1, 2, 2)), (1, 0), "units")
    for shape in ((1, 2, 4), (2, 2), (3,), ()):
        with pytest.raises(ValueError, match="coords: expected shape"):
            regression.decode(np.zeros(shape), SIZE)
    with pytest.raises(ValueError, match="inverse: expected shape"):
        regression.decode_to_image(np.zeros((1, 2, 2)), np.zeros((2, 2, 3)), SIZE)


@pytest.mark.parametrize("range", regression.RANGES)
def test_decode_to_image_undoes_the_crop(range):
    rng = np.random.default_rng(2)
    boxes = np.array([[30.0, 40, 130, 300], [0, 0, 900, 500]])
    matrices = np.stack([crop_affine(box, SIZE, rotation_deg=turn) for box, turn in zip(boxes, (0, 25), strict=True)])
    xy_image = rng.uniform(0, 400, (2, 14, 2))
    coords = regression.encode(apply_affine(matrices, xy_image), SIZE, range)
    found, scores = regression.decode_to_image(coords, invert_affine(matrices), SIZE, range)
    assert found.dtype == np.float32
    assert np.abs(found - xy_image).max() < 1e-2
    assert scores.shape == (2, 14)


@pytest.mark.parametrize("range", regression.RANGES)
@pytest.mark.parametrize("channels", [2, 3])
def test_merge_flip_mirrors_and_swaps(range, channels):
    """A perfect network answers the mirrored crop with the mirrored joints: the mean changes nothing."""
    order = SKELETONS["lsp14"].flip_order()
    rng = np.random.default_rng(3)
    xy, scores = rng.uniform(0, 47, (2, 14, 2)), rng.random((2, 14, channels - 2)).astype(np.float32)
    mirrored = xy[:, list(order)] * [-1, 1] + [SIZE[1] - 1, 0]
    plain = np.concatenate([regression.encode(xy, SIZE, range), scores], axis=-1)
    flipped = np.concatenate([regression.encode(mirrored, SIZE, range), scores[:, list(order)]], axis=-1)
    merged = regression.merge_flip(plain, flipped, order, range)
    assert merged.dtype == np.float32
    assert np.abs(merged - plain).max() < 1e-6
    assert np.abs(regression.merge_flip(plain, plain, order, range) - plain).max() > 0.01
    with pytest.raises(ValueError, match="flipped: expected shape"):
        regression.merge_flip(plain, flipped[:1], order, range)
