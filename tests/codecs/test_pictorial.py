"""Pictorial structures: the best body against every body there is, springs learnt from known ones, the contract."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepose.artifacts.spec import spec_from_dict
from edgepose.codecs import grids, heatmap, pictorial, refine
from edgepose.codecs.heatmap import HeatmapCodec
from edgepose.codecs.springs import PictorialSpec
from edgepose.errors import DataError, ModelError, SpecError
from edgepose.pose.geometry import apply_affine, crop_affine, invert_affine


def worth(unary, cells, springs):
    """The value of one body: its maps less its springs, written out."""
    total = 0.0
    for k, parent in enumerate(springs.parents):
        x, y = cells[k]
        total += unary[k, y, x]
        if parent >= 0:
            away = np.array(cells[k]) - cells[parent] - springs.mean[k]
            total -= float(springs.stiffness[k] @ away**2)
    return total


def every_body(unary, springs):
    """Brute force: the value of the best of all placements of all joints."""
    joints, height, width = unary.shape
    grid = [(x, y) for y in range(height) for x in range(width)]
    return max(worth(unary, cells, springs) for cells in itertools.product(grid, repeat=joints))


def springs(rng, parents):
    joints = len(parents)
    tree = PictorialSpec(
        parents=parents,
        mean=tuple(tuple(pair) for pair in rng.uniform(-0.6, 0.6, (joints, 2)).tolist()),
        variance=tuple(tuple(pair) for pair in rng.uniform(0.002, 0.5, (joints, 2)).tolist()),
        weight=float(rng.uniform(0.2, 2)),
    )
    return tree


TREES = [(-1, 0), (1, -1), (-1, 0, 1), (1, -1, 1), (2, 0, -1), (-1, 0, 0, 1), (3, 0, 0, -1)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(TREES))
def test_no_body_is_better(seed, parents):
    """On maps of 2x3 (trees of 4) or 3x4 cells, with means that are no whole cells and point out of the map."""
    rng = np.random.default_rng(seed)
    size = (2, 3) if len(parents) == 4 else (3, 4)
    unary = rng.normal(0, 2, (1, len(parents), *size))
    chosen = pictorial.springs_of(springs(rng, parents), size[0])
    cells = pictorial.best_cells(unary, chosen)[0]
    found = worth(unary[0], [tuple(cell) for cell in cells], chosen)
    assert found == pytest.approx(every_body(unary[0], chosen), abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_transform_against_every_pair_of_cells(seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 3, (2, 5, 4)).astype(np.float32)
    mean, stiffness = rng.uniform(-4, 4, 2), rng.uniform(0.01, 2, 2)
    value, x, y = pictorial.distance_transform(values, mean, stiffness)
    for n, py, px in itertools.product(range(2), range(5), range(4)):

        def at(qx, qy, n=n, px=px, py=py):
            away = np.array([qx - px, qy - py]) - mean
            return values[n, qy, qx] - stiffness @ away**2

        assert value[n, py, px] == pytest.approx(max(at(qx, qy) for qx in range(4) for qy in range(5)), abs=1e-4)
        assert value[n, py, px] == pytest.approx(at(x[n, py, px], y[n, py, px]), abs=1e-4)


def test_without_springs_it_is_the_heatmap_decoder():
    """Weight 0: every joint at its own peak, refined alike."""
    rng = np.random.default_rng(0)
    maps = heatmap.encode(rng.uniform(2, 14, (5, 4, 2)), np.ones((5, 4), bool), (16, 16), 2.0)
    tree = replace(springs(rng, (-1, 0, 1, 1)), weight=0.0)
    for method in refine.REFINEMENTS:
        for ours, theirs in zip(pictorial.decode(maps, tree, method), heatmap.decode(maps, method), strict=True):
            assert np.array_equal(ours, theirs)


def test_a_body_beats_a_higher_peak_elsewhere():
    """The hand's map is highest on a stranger's hand, far away; the arm says where it must be."""
    size = (32, 32)
    xy = np.array([[[10.0, 10.0], [10.0, 18.0]]])
    maps = heatmap.encode(xy, np.ones((1, 2), bool), size, 1.5)
    stranger = heatmap.encode(np.array([[[0.0, 0.0], [29.0, 4.0]]]), np.array([[False, True]]), size, 1.5)
    maps[:, 1] = 0.6 * maps[:, 1] + stranger[:, 1]
    tree = PictorialSpec(parents=(-1, 0), mean=((0, 0), (0.0, 0.25)), variance=((1, 1), (0.01, 0.01)), weight=1.0)
    alone, _ = heatmap.decode(maps, "argmax")
    found, scores = pictorial.decode(maps, tree, "argmax")
    assert alone[0, 1].tolist() == [29, 4]
    assert found[0].tolist() == [[10, 10], [10, 18]]
    assert scores[0].tolist() == pytest.approx([1.0, 0.6])


def test_a_joint_that_no_map_shows_is_where_the_body_wants_it():
    maps = np.zeros((1, 2, 16, 16), np.float32)
    maps[0, 0, 6, 5] = 1
    tree = PictorialSpec(parents=(-1, 0), mean=((0, 0), (3 / 16, 4 / 16)), variance=((1, 1), (0.01, 0.01)), weight=1.0)
    found, scores = pictorial.decode(maps, tree, "argmax")
    assert found[0].tolist() == [[5, 6], [8, 10]]
    assert scores[0].tolist() == [1, 0]


def test_people_do_not_touch_each_other():
    rng = np.random.default_rng(1)
    maps = rng.random((3, 4, 8, 6)).astype(np.float32)
    tree = springs(rng, (-1, 0, 0, 1))
    together, _ = pictorial.decode(maps, tree)
    for i in range(3):
        assert np.array_equal(pictorial.decode(maps[i : i + 1], tree)[0][0], together[i])


@pytest.mark.parametrize("method", ["quarter", "udp"])
def test_in_the_image(method):
    rng = np.random.default_rng(2)
    maps = rng.random((2, 3, 16, 12)).astype(np.float32)
    inverse = np.stack([invert_affine(crop_affine(np.array([10, 20, 60 + i, 90.0]), (64, 48))) for i in range(2)])
    codec = HeatmapCodec(refine=method, pictorial=springs(rng, (-1, 0, 1)))
    xy_cells, scores = pictorial.decode(maps, codec.pictorial, method)
    found = pictorial.joints_in_image(maps, inverse, (64, 48), codec)
    to_crop = grids.grid(method, (16, 12), (64, 48))
    assert np.allclose(found[..., :2], apply_affine(inverse, apply_affine(to_crop, xy_cells)), atol=1e-4)
    assert np.array_equal(found[..., 2], scores)
    free = replace(codec, pictorial=replace(codec.pictorial, weight=0.0))
    alone, _ = heatmap.decode_to_image(maps, inverse, (64, 48), method)
    assert np.allclose(pictorial.joints_in_image(maps, inverse, (64, 48), free)[..., :2], alone, atol=1e-4)
    moved = replace(codec, rule="stride", offset=0.5)
    to_crop = moved.to_crop((16, 12), (64, 48))
    found = pictorial.joints_in_image(maps, inverse, (64, 48), moved)
    assert np.allclose(found[..., :2], apply_affine(inverse, apply_affine(to_crop, xy_cells)), atol=1e-4)


def made_up(count, rng):
    """Bodies of five joints: head over chest, two hands and a foot; the displacements are known."""
    chest = rng.normal(0.5, 0.1, (count, 2))
    parts = {0: ((0.0, -0.2), 0.01), 2: ((0.2, 0.1), 0.05), 3: ((-0.2, 0.1), 0.05)}
    xy = np.zeros((count, 5, 2))
    xy[:, 1] = chest
    for k, (mean, deviation) in parts.items():
        xy[:, k] = chest + mean + rng.normal(0, deviation, (count, 2))
    xy[:, 4] = xy[:, 3] + (0.0, 0.3) + rng.normal(0, 0.02, (count, 2))
    return xy


def test_springs_are_learnt_from_bodies_that_are_known():
    rng = np.random.default_rng(3)
    xy = made_up(4000, rng)
    labeled = rng.random((4000, 5)) < 0.9
    tree = pictorial.fit(np.where(labeled[..., None], xy, np.nan), labeled)
    edges = {frozenset((k, parent)) for k, parent in enumerate(tree.parents) if parent >= 0}
    assert edges == {frozenset(pair) for pair in ((0, 1), (1, 2), (1, 3), (3, 4))}
    assert tree.parents[1] == -1 or tree.parents[3] == -1  # the middle of the tree
    way = 1 if tree.parents[0] == 1 else -1
    assert np.allclose(tree.mean[0], (0.0, -0.2 * way), atol=0.002)
    assert np.allclose(tree.variance[0], 0.01**2, rtol=0.1)
    assert (
        spec_from_dict(
            {"name": "x", "skeleton": {"joints": list("abcde")}, "codec": {"pictorial": as_table(tree)}}, "test"
        ).codec.pictorial
        == tree
    )


def as_table(tree):
    return {name: getattr(tree, name) for name in ("parents", "mean", "variance", "weight", "floor")}


def test_the_tree_is_the_cheapest_of_all():
    """Against every spanning tree of four joints (Prüfer sequences)."""
    rng = np.random.default_rng(4)
    for _ in range(20):
        cost = rng.uniform(0, 1, (4, 4))
        cost += cost.T
        found = sum(cost[a, b] for a, b in pictorial._spanning_tree(cost))
        assert found == pytest.approx(min(sum(cost[a, b] for a, b in tree) for tree in spanning_trees(4)))


def spanning_trees(count):
    pairs = list(itertools.combinations(range(count), 2))
    for edges in itertools.combinations(pairs, count - 1):
        reached = {0}
        for _ in range(count):
            reached |= {b for a, b in edges if a in reached} | {a for a, b in edges if b in reached}
        if len(reached) == count:
            yield edges


def test_equal_displacements_get_a_stiff_spring_and_no_infinite_one():
    xy = np.tile(np.array([[0.1, 0.2], [0.3, 0.4]]), (20, 1, 1))
    tree = pictorial.fit(xy, np.ones((20, 2), bool))
    assert tree.variance[1 if tree.parents[0] < 0 else 0] == (1e-5, 1e-5)


def test_joints_that_are_never_seen_together():
    labeled = np.zeros((40, 3), bool)
    labeled[:20, :2] = True
    labeled[20:, 2] = True
    with pytest.raises(DataError, match=r"no 10 people show joints \[2\] together with any of \[0, 1\]"):
        pictorial.fit(np.random.default_rng(0).random((40, 3, 2)), labeled)


def test_errors_are_named():
    tree = springs(np.random.default_rng(0), (-1, 0))
    maps = np.zeros((1, 2, 8, 6), np.float32)
    with pytest.raises(SpecError, match=r"codec\.pictorial has 2 joints, the network gives 3 maps"):
        pictorial.decode(np.zeros((1, 3, 8, 6), np.float32), tree)
    with pytest.raises(SpecError, match=r"codec\.decode = 'dork'; did you mean 'dark'"):
        pictorial.decode(maps, tree, "dork")
    maps[0, 1, 2, 3] = np.inf
    with pytest.raises(ModelError, match="overflowed"):
        pictorial.decode(maps, tree)


def test_springs_are_decoded_on_the_cpu():
    rng = np.random.default_rng(0)
    assert HeatmapCodec().device_problem(False) is None
    codec = HeatmapCodec(pictorial=springs(rng, (-1, 0, 1)))
    assert codec.device_problem(False) == "the springs of codec 'heatmap' are decoded on the CPU"
