"""Part affinity fields: targets, peaks and limb scores against slow twins, grouping, overflow, crowds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgepose.codecs import affinity, grouping, paf
from edgepose.codecs.paf import PafCodec
from edgepose.errors import ModelError, SpecError
from edgepose.pose.geometry import apply_affine, compose_affine, crop_affine, grid_affine, invert_affine

SIZE = (40, 60)
CHAIN = np.array([[0, 1], [1, 2], [2, 3], [3, 4]])
CODEC = PafCodec()

# few different values: ties and plateaus are the rule
maps = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)),
    elements=st.sampled_from([-1.0, 0.0, 0.125, 0.25, 0.5, 1.0]),
)


def slow_encode(xy, labeled, limbs, size, sigma, width):
    people, joints = labeled.shape
    maps, fields = np.zeros((joints, *size)), np.zeros((len(limbs), 2, *size))
    for row in range(size[0]):
        for column in range(size[1]):
            here = np.array([column, row])
            for k in range(joints):
                bells = [
                    math.exp(-((here - xy[m, k]) ** 2).sum() / (2 * sigma**2)) for m in range(people) if labeled[m, k]
                ]
                maps[k, row, column] = max(bells, default=0)
            for c, (a, b) in enumerate(limbs):
                vectors = []
                for m in range(people):
                    length = np.linalg.norm(xy[m, b] - xy[m, a])
                    if not (labeled[m, a] and labeled[m, b]) or length == 0:
                        continue
                    unit = (xy[m, b] - xy[m, a]) / length
                    away = here - xy[m, a]
                    if 0 <= unit @ away <= length and abs(unit[0] * away[1] - unit[1] * away[0]) <= width:
                        vectors.append(unit)
                if vectors:
                    fields[c, :, row, column] = np.mean(vectors, axis=0)
    return maps, fields


def slow_peaks(maps, threshold):
    """[(joint, x, y, score)] in raster order, without refinement."""
    found = []
    for k, row, column in np.ndindex(maps.shape):
        value = maps[k, row, column]
        best = value > threshold
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                y, x = row + dy, column + dx
                if (dy, dx) != (0, 0) and 0 <= y < maps.shape[1] and 0 <= x < maps.shape[2]:
                    earlier = (y, x) < (row, column)
                    best = best and (value > maps[k, y, x] if earlier else value >= maps[k, y, x])
        if best:
            found.append((k, column, row, value))
    return found


def slow_score(field, start, end, samples, threshold, ratio):
    step = (end - start).astype(np.float64)
    length = math.hypot(*step)
    if length == 0:
        return 0.0
    dots = []
    for s in range(samples):
        x, y = start + step * s / (samples - 1)
        x0, y0 = min(int(x), field.shape[2] - 1), min(int(y), field.shape[1] - 1)
        x1, y1 = min(x0 + 1, field.shape[2] - 1), min(y0 + 1, field.shape[1] - 1)
        across, down = x - x0, y - y0
        vector = (1 - down) * ((1 - across) * field[:, y0, x0] + across * field[:, y0, x1]) + down * (
            (1 - across) * field[:, y1, x0] + across * field[:, y1, x1]
        )
        dots.append(vector @ step / length)
    mean = float(np.mean(dots))
    share = sum(dot > threshold for dot in dots) / samples
    return mean if share >= ratio - 1e-9 and mean > 0 else 0.0


def crowd(count, seed=0, joints=5):
    """[count, joints, 2]: zigzags that do not touch, one below the other."""
    rng = np.random.default_rng(seed)
    x = 4 + np.arange(joints) * (SIZE[1] - 8) / (joints - 1) + rng.uniform(-1, 1, (count, joints))
    y = (np.arange(count) + 0.5)[:, None] * SIZE[0] / count + rng.uniform(-1.5, 1.5, (count, joints))
    return np.stack([x, y], axis=-1)


def seen(xy):
    return np.ones(xy.shape[:2], bool)


def encoded(xy, labeled=None):
    return paf.encode(xy, seen(xy) if labeled is None else labeled, CHAIN, SIZE, sigma=1.0, width=1.0)


def test_encode_is_its_slow_twin():
    rng = np.random.default_rng(1)
    xy = rng.uniform(0, 20, (9, 3, 2))
    xy[1, 1] = xy[1, 0]  # a limb of no length
    labeled = rng.random((9, 3)) < 0.8
    limbs = np.array([[0, 1], [2, 0]])
    found = paf.encode(xy, labeled, limbs, (18, 22), sigma=1.5, width=2.0)
    slow = slow_encode(xy, labeled, limbs, (18, 22), 1.5, 2.0)
    for ours, theirs in zip(found, slow, strict=True):
        assert ours.dtype == np.float32
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() < 1e-5
    lengths = np.linalg.norm(found[1], axis=1)
    assert ((lengths > 1e-3) & (lengths < 0.999)).any()  # limbs overlap somewhere, and the mean is taken


def test_encode_nobody_and_joints_that_are_nowhere():
    for xy in (np.zeros((0, 5, 2)), np.full((2, 5, 2), np.nan)):
        joint_maps, fields = paf.encode(xy, seen(xy), CHAIN, SIZE, sigma=1.0, width=1.0)
        assert joint_maps.shape == (5, *SIZE) and not joint_maps.any()
        assert fields.shape == (4, 2, *SIZE) and not fields.any()


@settings(deadline=None)
@given(maps, st.sampled_from([-2.0, 0.0, 0.125, 0.3]), st.integers(0, 5), st.sampled_from([np.float32, np.float16]))
def test_peaks_are_their_slow_twins(maps, threshold, capacity, kind):
    found, counts = affinity.peaks(maps.astype(kind), threshold, capacity)
    slow = slow_peaks(maps, threshold)
    assert found.dtype == np.float32 and counts.dtype == np.int32
    assert found.shape == (len(maps), capacity, 3)
    for k in range(len(maps)):
        mine = [peak[1:] for peak in slow if peak[0] == k]
        assert counts[k] == len(mine)
        listed = np.array(mine[:capacity]).reshape(-1, 3)
        assert np.abs(found[k, : len(listed), :2] - listed[:, :2]).max(initial=0) <= 0.5
        assert np.array_equal(found[k, : len(listed), 2], listed[:, 2])
        assert not found[k, len(listed) :].any()


def test_a_plateau_is_one_peak_the_first_in_raster_order():
    joint_map = np.zeros((1, 5, 6), np.float32)
    joint_map[0, 1:4, 2:5] = 0.5
    found, counts = affinity.peaks(joint_map, 0.1, 4)
    assert counts.tolist() == [1]
    assert np.abs(found[0, 0] - [2.5, 1.5, 0.5]).max() < 1e-6  # half way to the equal neighbors
    assert affinity.peaks(np.full((2, 4, 5), 0.5, np.float32), 0.1, 4)[1].tolist() == [1, 1]
    assert affinity.peaks(np.full((2, 4, 5), 0.1, np.float32), 0.1, 4)[1].tolist() == [0, 0]  # not above


def test_the_parabola_by_hand():
    """Through 0.2, 0.8, 0.6 the top is (0.2 - 0.6) / 2 / (0.2 - 1.6 + 0.6) = 0.25; at the border there is none."""
    joint_map = np.zeros((1, 5, 5), np.float32)
    joint_map[0, 2, 1:4] = 0.2, 0.8, 0.6
    found, _ = affinity.peaks(joint_map, 0.1, 1)
    assert np.abs(found[0, 0] - [2.25, 2, 0.8]).max() < 1e-6
    corner = np.zeros((1, 5, 5), np.float32)
    corner[0, 0, :2], corner[0, 1, 0] = (0.8, 0.7), 0.7
    assert np.abs(affinity.peaks(corner, 0.1, 1)[0][0, 0] - [0, 0, 0.8]).max() < 1e-6
    edge = np.zeros((1, 5, 5), np.float32)
    edge[0, 0, 1:4], edge[0, 1, 2] = (0.2, 0.8, 0.6), 0.7
    assert np.abs(affinity.peaks(edge, 0.1, 1)[0][0, 0] - [2.25, 0, 0.8]).max() < 1e-6


def test_the_parabola_finds_a_gaussian():
    xy = crowd(3)
    found, counts = affinity.peaks(encoded(xy)[0], 0.1, 3)
    assert counts.tolist() == [3] * 5
    order = np.argsort(found[..., 1], axis=1)
    placed = np.take_along_axis(found, order[..., None], axis=1)[..., :2]
    assert np.abs(placed.transpose(1, 0, 2) - xy).max() < 0.12  # a parabola is no Gaussian


def test_the_first_peaks_are_listed_and_all_are_counted():
    found, counts = affinity.peaks(encoded(crowd(4))[0], 0.1, 2)
    assert counts.tolist() == [4] * 5
    everything, _ = affinity.peaks(encoded(crowd(4))[0], 0.1, 4)
    assert np.array_equal(found, everything[:, :2])


@settings(deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([2, 5, 10]), st.sampled_from([np.float32, np.float16]))
def test_scores_are_their_slow_twins(seed, samples, kind):
    rng = np.random.default_rng(seed)
    fields = rng.normal(0.3, 0.6, (2, 2, 7, 9)).astype(kind)
    limbs, counts = np.array([[0, 2], [1, 0]]), rng.integers(0, 5, 3)
    peaks = (rng.random((3, 3, 3)) * [8, 6, 1]).astype(np.float32)
    peaks[2, 0] = peaks[0, 0]  # they coincide
    ratio, threshold = 0.6, 0.05
    found = affinity.scores(fields, peaks, counts, limbs, samples, threshold, ratio)
    assert found.dtype == np.float32
    assert found.shape == (2, 3, 3)
    for c, (a, b) in enumerate(limbs):
        for i in range(3):
            for j in range(3):
                wanted = 0.0
                if i < counts[a] and j < counts[b]:
                    pair = peaks[a, i, :2], peaks[b, j, :2]
                    wanted = slow_score(fields[c].astype(np.float64), *pair, samples, threshold, ratio)
                assert abs(found[c, i, j] - wanted) < 1e-5


def test_scores_by_hand():
    """A field of (0.5, 0) everywhere: along x a limb has 0.5, along a 3-4-5 triangle 0.3, back and across none."""
    fields = np.zeros((1, 2, 9, 9), np.float32)
    fields[0, 0] = 0.5
    peaks = np.zeros((2, 4, 3), np.float32)
    peaks[0, 0, :2] = 2, 2
    peaks[1, :, :2] = (7, 2), (5, 6), (0, 2), (2, 8)
    found = affinity.scores(fields, peaks, np.array([1, 4]), np.array([[0, 1]]))
    assert np.abs(found[0, 0] - [0.5, 0.3, 0, 0]).max() < 1e-6
    assert not found[0, 1:].any()
    assert (
        np.abs(
            affinity.scores(fields, peaks, np.array([1, 9]), np.array([[0, 1]]), threshold=0.4)[0, 0] - [0.5, 0, 0, 0]
        ).max()
        < 1e-6
    )


@pytest.mark.parametrize(
    ("samples", "ratio", "count"), [(10, 0.8, 8), (20, 0.55, 11), (10, 0.75, 8), (3, 0, 0), (7, 1, 7)]
)
def test_how_many_samples_are_needed(samples, ratio, count):
    assert affinity.needed(samples, ratio) == count


def test_enough_samples_and_one_too_few():
    fields = np.zeros((1, 2, 1, 10), np.float32)
    peaks = np.array([[[0, 0, 1]], [[9, 0, 1]]], np.float32)  # ten samples, one on each pixel
    for covered, score in ((8, 0.8), (7, 0.0)):
        fields[0, 0, 0, :] = np.arange(10) < covered
        assert abs(affinity.scores(fields, peaks, np.array([1, 1]), np.array([[0, 1]]))[0, 0, 0] - score) < 1e-6


@given(st.integers(0, 2**31), st.sampled_from([1.0, 0.5]))
def test_a_peak_belongs_to_one_person_at_most(seed, density):
    """Random scores with many ties over a graph with cycles; every pair that was used joins one person."""
    rng = np.random.default_rng(seed)
    joints, capacity = 5, 4
    limbs = np.array([[0, 1], [1, 2], [2, 0], [3, 2], [3, 4], [0, 4]])
    counts = rng.integers(0, capacity + 1, joints)
    peaks = rng.random((joints, capacity, 3)).astype(np.float32)
    scores = rng.integers(0, 4, (len(limbs), capacity, capacity)).astype(np.float32) / 4
    scores *= rng.random(scores.shape) < density
    for limb, (a, b) in enumerate(limbs):
        scores[limb, counts[a] :] = scores[limb, :, counts[b] :] = 0
    people = grouping.group(peaks, counts, scores, limbs, min_joints=2, min_score=0)
    assert people.peaks.dtype == np.int32 and people.scores.dtype == np.float32
    for k in range(joints):
        used = people.peaks[:, k][people.peaks[:, k] >= 0]
        assert len(set(used)) == len(used)
        assert (used < counts[k]).all()
    assert ((people.peaks >= 0).sum(axis=1) >= 2).all()
    assert (np.diff(people.scores) <= 0).all()
    everyone = grouping.group(peaks, counts, scores, limbs, min_joints=1, min_score=0)
    assert len(everyone.peaks) == len(people.peaks)  # who has a limb has two joints


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**31))
def test_people_who_stand_apart_are_found(count, seed):
    xy = crowd(count, seed)
    found = paf.decode_to_image(*encoded(xy), CHAIN, np.eye(3)[:2], SIZE, CODEC)
    xy_image, scores, person_scores = found
    assert all(part.dtype == np.float32 for part in found)
    assert xy_image.shape == (count, 5, 2)
    order = np.argsort(xy_image[:, 0, 1])
    assert np.abs(xy_image[order] - xy).max() < 0.25
    assert (scores > 0.7).all()
    assert (person_scores > 0.7).all() and (person_scores <= 1).all()


def test_joints_that_were_not_seen_have_score_0():
    xy, labeled = crowd(2), np.ones((2, 5), bool)
    labeled[0, 4] = labeled[1, 0] = False
    shift = np.array([[1.0, 0, 7], [0, 1, 9]])
    xy_image, scores, _ = paf.decode_to_image(*encoded(xy, labeled), CHAIN, shift, SIZE, CODEC)
    order = np.argsort(xy_image[:, 1, 1])
    assert ((scores[order] > 0) == labeled).all()
    assert np.abs(xy_image[order] - (xy + shift[:, 2]))[labeled].max() < 0.25
    assert not xy_image[order][~labeled].any()


def test_a_person_without_the_middle_joint_falls_apart_and_is_dropped():
    xy, labeled = crowd(1), np.ones((1, 5), bool)
    labeled[0, 2] = False
    joint_maps, fields = encoded(xy, labeled)
    assert len(paf.decode_to_image(joint_maps, fields, CHAIN, np.eye(3)[:2], SIZE, CODEC)[0]) == 0
    pairs = paf.decode_to_image(joint_maps, fields, CHAIN, np.eye(3)[:2], SIZE, replace(CODEC, min_joints=2))
    assert sorted(map(tuple, (pairs[1] > 0).tolist())) == [
        (False, False, False, True, True),
        (True, True, False, False, False),
    ]
    sure = replace(CODEC, min_joints=2, min_score=0.99)
    assert len(paf.decode_to_image(joint_maps, fields, CHAIN, np.eye(3)[:2], SIZE, sure)[0]) == 0


def test_the_better_pair_is_taken_and_parts_are_merged():
    """Two peaks of joint 1 want the one of joint 0; a person of 0-1 and one of 2-3 meet through 1-2."""
    peaks = np.full((4, 2, 3), 0.5, np.float32)
    limbs = np.array([[0, 1], [2, 3], [1, 2]])
    scores = np.zeros((3, 2, 2), np.float32)
    scores[0, 0], scores[1, 0, 0], scores[2, :, 0] = (0.5, 0.9), 0.7, (0.8, 0.6)
    people = grouping.group(peaks, np.array([1, 2, 1, 1]), scores, limbs, min_joints=2)
    assert people.peaks.tolist() == [[0, 1, -1, -1], [-1, 0, 0, 0]]
    assert people.scores.tolist() == pytest.approx([(2 * 0.5 + 0.9) / 3, (3 * 0.5 + 0.7 + 0.8) / 5])
    scores[2, 0, 0] = 0.3  # now 1-2 prefers the person of 0-1
    merged = grouping.group(peaks, np.array([1, 2, 1, 1]), scores, limbs, min_joints=2)
    assert merged.peaks.tolist() == [[0, 1, 0, 0]]
    assert merged.scores[0] == pytest.approx((4 * 0.5 + 0.9 + 0.7 + 0.6) / 7)


def test_ties_go_to_the_lowest_indices():
    peaks = np.full((2, 3, 3), 0.5, np.float32)
    scores = np.full((1, 3, 3), 0.5, np.float32)
    people = grouping.group(peaks, np.array([3, 3]), scores, np.array([[0, 1]]), min_joints=2)
    assert people.peaks.tolist() == [[0, 0], [1, 1], [2, 2]]


def test_a_pair_that_would_give_a_second_joint_is_left_out():
    """A cycle that does not close: 0-1, 1-2, and 2-0 with another peak of joint 0."""
    peaks = np.full((3, 2, 3), 0.5, np.float32)
    scores = np.zeros((3, 2, 2), np.float32)
    scores[0, 0, 0] = scores[1, 0, 0] = scores[2, 0, 1] = 0.5
    people = grouping.group(peaks, np.array([2, 1, 1]), scores, np.array([[0, 1], [1, 2], [2, 0]]), min_joints=1)
    assert people.peaks.tolist() == [[0, 0, 0]]


def test_more_peaks_than_are_listed_is_an_error_that_helps():
    joint_maps, fields = encoded(crowd(4))
    with pytest.raises(ModelError, match="joint 0 has 4 peaks, and 3 are listed; raise the peak threshold"):
        paf.decode_to_image(joint_maps, fields, CHAIN, np.eye(3)[:2], SIZE, replace(CODEC, capacity=3))
    assert len(paf.decode_to_image(joint_maps, fields, CHAIN, np.eye(3)[:2], SIZE, replace(CODEC, capacity=4))[0]) == 4


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_network_that_overflowed_is_an_error_of_the_model(value):
    joint_maps, fields = encoded(crowd(2))
    broken = joint_maps.copy()
    broken[2, 3, 4] = value
    with pytest.raises(ModelError, match="overflowed: its joint maps hold NaN"):
        affinity.peaks(broken, 0.1, 9)
    peaks, counts = affinity.peaks(joint_maps, 0.1, 9)
    x, y = np.rint((peaks[1, 0, :2] + peaks[2, 0, :2]) / 2).astype(int)
    fields[1, :, y - 1 : y + 2, x - 1 : x + 2] = value
    with pytest.raises(ModelError, match="overflowed: its part affinity fields hold NaN"):
        affinity.scores(fields, peaks, counts, CHAIN)
    fields[1] = value  # everywhere, where limbs of the other pairs may not reach the threshold
    with pytest.raises(ModelError, match="overflowed"):
        affinity.scores(fields, peaks, counts, CHAIN)


def test_nobody_costs_nothing():
    maps, fields = np.zeros((5, *SIZE), np.float32), np.zeros((4, 2, *SIZE), np.float32)
    xy, scores, person_scores = paf.decode_to_image(maps, fields, CHAIN, np.eye(3)[:2], SIZE, CODEC)
    assert (xy.shape, scores.shape, person_scores.shape) == ((0, 5, 2), (0, 5), (0,))
    people = grouping.group(np.zeros((5, 0, 3), np.float32), np.zeros(5, int), np.zeros((4, 0, 0), np.float32), CHAIN)
    assert people.peaks.shape == (0, 5)


def test_decode_to_image_follows_the_grid_and_the_frame():
    """Maps of a quarter of the input, the input a letterboxed frame."""
    inverse = invert_affine(crop_affine(np.array([10.0, 20, 650, 500]), (160, 240), padding=1.0))
    xy = crowd(2)
    found, _, _ = paf.decode_to_image(*encoded(xy), CHAIN, inverse, (160, 240), CODEC)
    to_image = compose_affine(inverse, grid_affine(SIZE, (160, 240)))
    scale = np.sqrt(np.linalg.det(to_image[:, :2]))
    assert np.abs(found[np.argsort(found[:, 0, 1])] - apply_affine(to_image, xy)).max() < 0.25 * scale


def test_merge_flip_mirrors_swaps_and_turns():
    """A limb that is its own mirror from the other end, one whose mirror starts at its end, and a plain pair."""
    order = (1, 0, 3, 2, 4)  # left and right of two joints, and a middle
    limbs = np.array([[0, 1], [0, 2], [3, 1], [4, 0], [4, 1]])
    xy = np.random.default_rng(5).uniform(3, 36, (2, 5, 2))
    size = (40, 44)
    plain = paf.encode(xy, seen(xy), limbs, size, sigma=1.5, width=1.5)
    mirrored = xy[:, list(order)] * [-1, 1] + [size[1] - 1, 0]
    flipped = paf.encode(mirrored, seen(xy), limbs, size, sigma=1.5, width=1.5)
    merged = paf.merge_flip(plain, flipped, limbs, order)
    for ours, theirs in zip(merged, plain, strict=True):
        assert ours.dtype == np.float32
        assert np.abs(ours - theirs).max() < 1e-5
    assert np.abs(paf.merge_flip(plain, plain, limbs, order)[1] - plain[1]).max() > 0.1
    with pytest.raises(SpecError, match="limb 4-0 has no mirror 4-1 in the skeleton; run without flip test"):
        paf.merge_flip((plain[0], plain[1][:4]), (flipped[0], flipped[1][:4]), limbs[:4], order)
    with pytest.raises(ValueError, match="flipped fields: expected shape"):
        paf.merge_flip(plain, (flipped[0], flipped[1][:4]), limbs, order)


def test_wrong_shapes_are_refused():
    joint_maps, fields = encoded(crowd(1))
    peaks, counts = affinity.peaks(joint_maps, 0.1, 2)
    with pytest.raises(ValueError, match="maps: expected shape"):
        affinity.peaks(joint_maps[0], 0.1, 2)
    with pytest.raises(ValueError, match="limbs: expected shape"):
        affinity.scores(fields, peaks, counts, CHAIN[:3])
    for wrong in (CHAIN + 1, CHAIN - 1):
        with pytest.raises(ValueError, match="limbs: expected indices of 5 joints"):
            affinity.scores(fields, peaks, counts, wrong)
    with pytest.raises(ValueError, match="counts: expected shape"):
        affinity.scores(fields, peaks, counts[:3], CHAIN)
    with pytest.raises(ValueError, match="samples: expected at least 2"):
        affinity.scores(fields, peaks, counts, CHAIN, samples=1)
    with pytest.raises(ValueError, match="fields: expected shape"):
        paf.decode_to_image(joint_maps, fields[:, :, 1:], CHAIN, np.eye(3)[:2], SIZE, CODEC)
