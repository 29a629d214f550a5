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


def figure():
    """An upright person in the box (60, 40) to (160, 170), all 14 joints labeled."""
    xy = np.random.default_rng(7).uniform([60, 40], [160, 170], (14, 2))
    for joint, place in (("left_shoulder", (130, 70)), ("right_shoulder", (90, 70)),
                         ("left_hip", (120, 120)), ("right_hip", (100, 120)),
                         ("head_top", (60, 40)), ("left_ankle", (160, 170))):  # fmt: skip
        xy[LSP.index(joint)] = place
    return xy


def drawn(xy, options, seed, size=SIZE):
    box = np.concatenate([xy.min(axis=0), xy.max(axis=0)])
    return draw_crop(box, xy, np.ones(14, bool), LSP, size, 1.25, options, np.random.default_rng(seed))


def turned(xy, angle):
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return (xy - [110, 105]) @ np.array([[cos, sin], [-sin, cos]]) + [110, 105]


def torso_deg(xy):
    """The direction from the hips to the shoulders, degrees clockwise from upright."""
    index = [LSP.index(joint) for joint in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")]
    x, y = xy[index[:2]].mean(axis=0) - xy[index[2:]].mean(axis=0)
    return float(np.degrees(np.arctan2(x, -y)))


def test_quarter_turns_are_exact_and_come_back():
    """A turned crop shows the joints of the plain crop of the turned person, so four turns are none."""
    options = AugmentOptions(**{**STILL, "quarter_turn": 1.0})
    square = (96, 96)
    plain = apply_affine(drawn(figure(), AugmentOptions(**STILL), 0, square)[0], figure())
    seen = set()
    for seed in range(20):
        matrix, mirror = drawn(figure(), options, seed, square)
        assert not mirror
        crop = apply_affine(matrix, figure())
        angle = round(torso_deg(crop)) % 360
        seen.add(angle)
        back = crop
        for _ in range((360 - angle) // 90):  # a quarter clockwise about the middle of a square crop
            back = np.stack([95 - back[:, 1], back[:, 0]], axis=1)
        assert np.allclose(back, plain)
        assert np.linalg.det(matrix[:, :2]) > 0
    assert seen == {90, 180, 270}


def test_a_quarter_turn_fits_the_crop():
    """The box is fitted to the crop after the turn, so that a tall person who lies does not leave it."""
    options = AugmentOptions(**{**STILL, "quarter_turn": 1.0})
    tall = figure() * [0.3, 1] + [80, 0]
    for seed in range(10):
        crop = apply_affine(drawn(tall, options, seed)[0], tall)
        assert (crop >= -0.5).all() and (crop <= np.array(SIZE[::-1]) - 0.5).all()
        extent = (crop.max(axis=0) - crop.min(axis=0)) / SIZE[::-1]
        assert extent.max() == pytest.approx(1 / 1.25)


@pytest.mark.parametrize("angle", [-170.0, -60.0, 0.0, 35.0, 90.0, 180.0])
@pytest.mark.parametrize("mirrored", [False, True])
def test_upright_stands_people_up(angle, mirrored):
    xy = turned(figure(), angle)
    assert torso_deg(xy) == pytest.approx(angle) or abs(torso_deg(xy)) == pytest.approx(abs(angle))
    options = AugmentOptions(**{**STILL, "upright": 1.0, "mirror": float(mirrored)})
    matrix, mirror = drawn(xy, options, 1)
    crop = apply_affine(matrix, xy)
    assert mirror == mirrored
    assert torso_deg(crop) == pytest.approx(0, abs=1e-6)
    upright = apply_affine(drawn(figure(), AugmentOptions(**STILL), 1)[0], figure())
    assert np.allclose(crop, [SIZE[1] - 1, 0] + upright * [-1, 1] if mirrored else upright)


def test_upright_needs_the_torso():
    options = AugmentOptions(**{**STILL, "upright": 1.0})
    labeled = np.ones(14, bool)
    labeled[LSP.index("left_hip")] = False
    _, matrix, _ = draw(options, 0, labeled=labeled)
    assert np.allclose(matrix, crop_affine(np.array([60, 40, 160, 170.0]), SIZE, padding=1.25))


def test_without_turns_the_crops_are_those_of_earlier_versions():
    """A probability of 0 draws no number: checkpoints of recipes without turns resume to the same result."""
    _, matrix, mirror = draw(AugmentOptions(), 5)
    assert mirror
    assert np.allclose(matrix, [[-0.7129, 0.041, 116.7538], [0.041, 0.7129, -14.6563]], atol=1e-4)


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


PARTS = ("hand21", "face68", "face106")  # skeletons of a part of the body


@pytest.mark.parametrize("name", SKELETONS)
def test_every_body_has_both_halves(name):
    upper = is_upper(SKELETONS[name])
    assert (0 < upper.sum() < len(upper)) == (name not in PARTS)


@pytest.mark.parametrize("name", PARTS)
def test_a_part_of_the_body_has_no_halves(name):
    skeleton = SKELETONS[name]
    xy, box = np.random.default_rng(0).uniform(40, 100, (len(skeleton), 2)), np.array([40, 40, 100, 100.0])
    crops = []
    for half in (0.0, 1.0):
        options, labeled = AugmentOptions(**{**STILL, "half_body": half}), np.ones(len(skeleton), bool)
        crops.append(draw_crop(box, xy, labeled, skeleton, SIZE, 1.25, options, np.random.default_rng(0))[0])
    assert np.allclose(*crops)


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
