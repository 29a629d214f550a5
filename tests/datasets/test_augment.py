"""Augmentation: the picture and its joints move together, whatever is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgepose.artifacts.spec import InputSpec
from edgepose.datasets.augment import AugmentOptions, draw_crop, is_upper, jitter_color
from edgepose.kernels import warp_normalize
from edgepose.pose.geometry import apply_affine, crop_affine
from edgepose.pose.skeletons import SKELETONS

LSP = SKELETONS["lsp14"]
SIZE = (128, 96)
PLAIN = InputSpec(size=SIZE, mean=(0, 0, 0), std=(1, 1, 1), color="bgr")
STILL = {"scale": 0.0, "rotate": 0.0, "shift": 0.0, "mirror": 0.0, "half_body": 0.0}


def blob(xy, size=(200, 240), sigma=3.0):
    """[H, W, 3] uint8: a bright spot at xy on black."""
    y, x = np.mgrid[: size[0], : size[1]]
    spot = 250 * np.exp(-((x - xy[0]) ** 2 + (y - xy[1]) ** 2) / (2 * sigma**2))
    return np.repeat(spot.round().astype(np.uint8)[..., None], 3, axis=2)


def centroid(plane):
    y, x = np.mgrid[: plane.shape[0], : plane.shape[1]]
    return np.array([(plane * x).sum(), (plane * y).sum()]) / plane.sum()


def draw(options, seed, labeled=None):
    """A crop for a figure of 14 joints in the box (60, 40) to (160, 170)."""
    rng = np.random.default_rng(99)
    xy = rng.uniform([60, 40], [160, 170], (14, 2))
    xy[0], xy[1] = (60, 40), (160, 170)
    labeled = np.ones(14, bool) if labeled is None else labeled
    box = np.array([60, 40, 160, 170.0])
    matrix, mirror = draw_crop(box, xy, labeled, LSP, SIZE, 1.25, options, np.random.default_rng(seed))
    return xy, matrix, mirror


@given(seed=st.integers(0, 2**31), x=st.floats(80, 140), y=st.floats(60, 150))
@settings(max_examples=60, deadline=None)
def test_a_spot_lands_where_the_matrix_says(seed, x, y):
    """Scale, rotation, shift and mirror together: the crop shows the spot at the joint's new place."""
    _, matrix, _ = draw(AugmentOptions(half_body=0), seed)
    crop = warp_normalize(blob((x, y)), matrix[None], PLAIN)[0, 0]
    expected = apply_affine(matrix, np.array([x, y]))
    room = 14  # all of the spot is in the crop, so its center of mass is its center
    assume((expected > room).all() and (expected < np.array(SIZE[::-1]) - 1 - room).all())
    assert np.abs(centroid(crop) - expected).max() < 0.06


@given(st.integers(0, 2**31))
@settings(deadline=None)
def test_what_is_drawn_stays_in_its_bounds(seed):
    options = AugmentOptions(half_body=0)
    _, matrix, mirror = draw(options, seed)
    plain = crop_affine(np.array([60, 40, 160, 170.0]), SIZE, padding=1.25)
    linear = matrix[:, :2]
    assert (np.linalg.det(linear) < 0) == mirror
    zoom = np.log2(np.sqrt(abs(np.linalg.det(linear))) / plain[0, 0])
    assert abs(zoom) <= 2 * options.scale + 1e-9
    if mirror:
        linear = linear * [[-1], [1]]
    angle = np.rad2deg(np.arctan2(linear[1, 0], linear[0, 0]))
    assert abs(angle) <= 2 * options.rotation_deg + 1e-6
    middle = np.array([(SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2])
    center = np.linalg.solve(matrix[:, :2], middle - matrix[:, 2])
    assert np.abs(center - [110, 105]).max() <= 2 * options.shift * 130 + 1e-6


def test_same_generator_same_crop_and_nothing_drawn_is_the_plain_crop():
    options = AugmentOptions()
    assert np.array_equal(draw(options, 5)[1], draw(options, 5)[1])
    assert not np.array_equal(draw(options, 5)[1], draw(options, 6)[1])
    _, matrix, mirror = draw(AugmentOptions(**STILL), 5)
    assert not mirror
    assert np.allclose(matrix, crop_affine(np.array([60, 40, 160, 170.0]), SIZE, padding=1.25))


def test_mirror_is_left_to_right_about_the_crops_middle():
    _, plain, _ = draw(AugmentOptions(**STILL), 5)
    xy, matrix, mirror = draw(AugmentOptions(**{**STILL, "mirror": 1.0}), 5)
    assert mirror
    there, back = apply_affine(plain, xy), apply_affine(matrix, xy)
    assert np.allclose(back[:, 0], SIZE[1] - 1 - there[:, 0])
    assert np.allclose(back[:, 1], there[:, 1])
    image = np.random.default_rng(0).integers(0, 256, (200, 240, 3), np.uint8)
    crops = warp_normalize(image, np.stack([plain, matrix]), PLAIN)
    assert np.abs(crops[1] - crops[0][..., ::-1]).max() <= 1


def test_half_body_is_the_box_of_a_half():
    upper = is_upper(LSP)
    assert {LSP.joints[k] for k in np.flatnonzero(~upper)} == {
        f"{side}_{joint}" for side in ("left", "right") for joint in ("hip", "knee", "ankle")
    }
    options = AugmentOptions(**{**STILL, "half_body": 1.0})
    seen = set()
    for seed in range(40):
        xy, matrix, _ = draw(options, seed)
        halves = {}
        for name, half in (("upper", upper), ("lower", ~upper)):
            box = np.concatenate([xy[half].min(axis=0), xy[half].max(axis=0)])
            halves[name] = crop_affine(box, SIZE, padding=1.25 * 1.2)
        seen |= {name for name, expected in halves.items() if np.allclose(matrix, expected)}
    assert seen == {"upper", "lower"}


def test_half_body_needs_joints():
    few = np.arange(14) < 9
    _, matrix, _ = draw(AugmentOptions(**{**STILL, "half_body": 1.0}), 0, labeled=few)
    assert np.allclose(matrix, crop_affine(np.array([60, 40, 160, 170.0]), SIZE, padding=1.25))


@pytest.mark.parametrize("name", SKELETONS)
def test_every_skeleton_has_both_halves(name):
    upper = is_upper(SKELETONS[name])
    assert 0 < upper.sum() < len(upper)


def test_color_is_a_map_of_levels():
    """Equal pixels stay equal, darker stays darker in each channel; strength 0 changes nothing."""
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    assert np.array_equal(jitter_color(image, 0.0, np.random.default_rng(0)), image)
    changed = jitter_color(image, 0.2, np.random.default_rng(1))
    assert changed.dtype == np.uint8
    assert not np.array_equal(changed, image)
    for channel in range(3):
        order = np.argsort(image[..., channel], axis=None, kind="stable")
        assert (np.diff(changed[..., channel].ravel()[order].astype(int)) >= 0).all()
    assert np.array_equal(changed, jitter_color(image, 0.2, np.random.default_rng(1)))
