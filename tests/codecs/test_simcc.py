"""SimCC: encode against a slow twin, round trips, ties, overflow, half floats, the flip merge."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgepose.artifacts.spec import spec_from_dict
from edgepose.codecs import simcc
from edgepose.errors import ModelError, SpecError
from edgepose.pose.geometry import apply_affine, crop_affine, invert_affine
from edgepose.pose.skeletons import SKELETONS

SIZE = (64, 48)

# few different values: ties are the rule
values = st.sampled_from([-2.0, -1.0, 0.0, 0.25, 0.5, 1.0, 3.0])
vectors = hnp.arrays(np.float32, st.tuples(st.integers(0, 2), st.integers(1, 3), st.integers(1, 9)), elements=values)


def slow_encode(xy, labeled, size, split, sigma):
    found = []
    for axis in (0, 1):
        count = round(size[1 - axis] * split)
        rows = np.zeros((len(xy), count))
        for k in range(len(xy)):
            outside = [
                max(-0.5 - xy[k][a] * split, xy[k][a] * split - (round(size[1 - a] * split) - 0.5)) for a in (0, 1)
            ]
            if labeled[k] and max(outside) <= 3 * sigma:
                rows[k] = [math.exp(-((i - xy[k][axis] * split) ** 2) / (2 * sigma**2)) for i in range(count)]
        found.append(rows)
    return found


def slow_decode(x, y, split):
    xy, scores = np.zeros((*x.shape[:2], 2), np.float32), np.zeros(x.shape[:2], np.float32)
    for n in range(x.shape[0]):
        for k in range(x.shape[1]):
            peaks = []
            for axis, vector in enumerate((x[n, k], y[n, k])):
                best = 0
                for i in range(1, len(vector)):
                    if vector[i] > vector[best]:
                        best = i
                xy[n, k, axis] = best / split
                peaks.append(vector[best])
            scores[n, k] = min(peaks)
    return xy, scores


@pytest.mark.parametrize("split", [1.0, 2.0, 2.5, 3.0])
def test_encode_is_its_slow_twin(split):
    rng = np.random.default_rng(1)
    xy, labeled = rng.uniform(-12, 70, (40, 2)), rng.random(40) < 0.7
    x, y = simcc.encode(xy, labeled, SIZE, split, 4.0)
    slow_x, slow_y = slow_encode(xy, labeled, SIZE, split, 4.0)
    assert x.dtype == y.dtype == np.float32
    assert x.shape == slow_x.shape and y.shape == slow_y.shape
    assert np.abs(x - slow_x).max() < 1e-5
    assert np.abs(y - slow_y).max() < 1e-5
    assert 0 < (x.any(axis=1) & y.any(axis=1)).sum() < 40


def test_what_is_unlabeled_or_nowhere_leaves_no_trace():
    xy = np.array([[10.0, 10], [np.nan, 10], [10, np.inf], [-400, 10], [10, 10]])
    x, y = simcc.encode(xy, np.array([True, True, True, True, False]), SIZE, 2.0, 6.0)
    assert x.any(axis=1).tolist() == y.any(axis=1).tolist() == [True, False, False, False, False]


@given(st.integers(1, 4), st.integers(0, 2**31))
def test_a_joint_comes_back_within_half_a_bin(split, seed):
    xy = np.random.default_rng(seed).uniform((0, 0), (SIZE[1] - 1, SIZE[0] - 1), (2, 5, 2))
    found, scores = simcc.decode(*simcc.encode(xy, np.ones((2, 5), bool), SIZE, split, 6.0), split)
    assert found.dtype == scores.dtype == np.float32
    assert np.abs(found - xy).max() <= 0.5 / split + 1e-4
    assert (scores > 0.99).all()


@settings(deadline=None)
@given(vectors, st.data(), st.sampled_from([1.0, 2.0, 3.0]), st.sampled_from([np.float32, np.float16]))
def test_decode_is_its_slow_twin(x, data, split, kind):
    y = data.draw(hnp.arrays(np.float32, (*x.shape[:2], data.draw(st.integers(1, 9))), elements=values))
    found, scores = simcc.decode(x.astype(kind), y.astype(kind), split)
    slow_xy, slow_scores = slow_decode(x, y, split)
    assert found.dtype == scores.dtype == np.float32
    assert np.array_equal(found, slow_xy)
    assert np.array_equal(scores, slow_scores)


def test_a_joint_nobody_saw_stays_where_its_vectors_put_it():
    x, y = np.full((1, 2, 6), -1, np.float32), np.zeros((1, 2, 8), np.float32)
    x[0, 1, 4] = -0.5
    found, scores = simcc.decode(x, y, 2.0)
    assert found.tolist() == [[[0, 0], [2, 0]]]
    assert scores.tolist() == [[-1, -0.5]]


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_network_that_overflowed_is_an_error_of_the_model(value, axis):
    both = [np.zeros((1, 2, 6), np.float32), np.zeros((1, 2, 8), np.float32)]
    both[axis][0, 1, 3] = value
    with pytest.raises(ModelError, match="overflowed: its SimCC vectors hold NaN"):
        simcc.decode(*both, 2.0)
    both[axis][:] = -np.inf
    with pytest.raises(ModelError, match="overflowed"):
        simcc.decode(*both, 2.0)


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="x: expected shape"):
        simcc.decode(np.zeros((2, 6)), np.zeros((1, 2, 8)), 2.0)
    with pytest.raises(ValueError, match="y: expected shape"):
        simcc.decode(np.zeros((1, 2, 6)), np.zeros((1, 3, 8)), 2.0)
    with pytest.raises(ValueError, match="inverse: expected shape"):
        simcc.decode_to_image(np.zeros((1, 2, 6)), np.zeros((1, 2, 8)), np.zeros((2, 2, 3)), 2.0)


@pytest.mark.parametrize("n", [0, 3])
def test_decode_to_image_undoes_the_crop(n):
    rng = np.random.default_rng(2)
    boxes = np.array([[30.0, 40, 130, 300], [0, 0, 900, 500], [-50, 20, 80, 90]])
    matrices = [crop_affine(box, SIZE, rotation_deg=turn) for box, turn in zip(boxes, (0, 25, -70), strict=True)]
    inverse = invert_affine(np.stack(matrices))[:n]
    xy_crop = np.rint(rng.uniform(5, 40, (n, 14, 2)) * 2) / 2  # on a bin
    x, y = simcc.encode(xy_crop, np.ones((n, 14), bool), SIZE, 2.0, 6.0)
    found, scores = simcc.decode_to_image(x, y, inverse, 2.0)
    assert found.dtype == np.float32
    assert np.allclose(found, apply_affine(inverse, xy_crop), atol=1e-3)
    assert scores.shape == (n, 14)


@pytest.mark.parametrize("split", [1.0, 2.0, 3.0, 2.5])
def test_merge_flip_mirrors_and_swaps(split):
    """A network that is sure answers the mirrored crop with the mirrored vectors: the mean changes nothing."""
    order = SKELETONS["lsp14"].flip_order()
    xy = np.random.default_rng(3).uniform(12, 35, (2, 14, 2))
    seen = np.ones((2, 14), bool)
    plain = simcc.encode(xy, seen, SIZE, split, 2.0)
    mirrored = xy[:, list(order)] * [-1, 1] + [SIZE[1] - 1, 0]
    x, y = simcc.merge_flip(plain, simcc.encode(mirrored, seen, SIZE, split, 2.0), order, split)
    assert x.dtype == y.dtype == np.float32
    assert np.abs(y - plain[1]).max() < 1e-5
    if split == int(split):
        assert np.abs(x - plain[0]).max() < 1e-5
    assert np.abs(simcc.decode(x, y, split)[0] - xy).max() <= (0.5 if split == int(split) else 0.75) / split + 1e-4


def test_merge_flip_of_half_floats_is_computed_in_float():
    x, y = np.full((1, 2, 6), 60000, np.float16), np.zeros((1, 2, 8), np.float16)
    merged, _ = simcc.merge_flip((x, y), (x, y), (1, 0), 2.0)
    assert (merged == 60000).all()  # 120000 is infinite in half floats, with a numpy warning
    with pytest.raises(ValueError, match="flipped x"):
        simcc.merge_flip((x, y), (x[..., :5], y), (1, 0), 2.0)


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ([[1, 14, 256], [1, 14, 192]], r"exchange them: outputs = \['simcc_y', 'simcc_x'\]"),
        ([[1, 14, 288], [1, 14, 384]], r"they fit codec\.split = 3$"),
        ([[1, 14, 384], [1, 14, 288]], r"they fit codec\.split = 3, and exchange the outputs"),
        ([[1, 14, 2], [1, 14, 2]], "14 joints that the network has decoded already"),
        ([[8, 14, 192], [8, 14, 256]], "a batch of 8 is baked into the graph"),
    ],
)
def test_outputs_that_are_no_vectors_of_the_contract_are_explained(shapes: list[list[int]], words: str) -> None:
    table = {"name": "n", "skeleton": "lsp14", "input": {"size": [128, 96]}, "codec": {"type": "simcc"}}
    spec = spec_from_dict(table | {"outputs": ["simcc_x", "simcc_y"]}, "the test")
    with pytest.raises(SpecError, match=words):
        spec.codec.check_network([np.zeros(shape, np.float32) for shape in shapes], spec, "net.onnx")
    right = [np.zeros(shape, np.float32) for shape in ((1, 14, 192), (1, 14, 256))]
    spec.codec.check_network(right, spec, "net.onnx")


@pytest.mark.parametrize("scores", [(1, 17), (1, 17, 1)])
def test_joints_that_are_decoded_already_are_refused(scores):
    """An export with the decoder inside gives pixels and scores; they are not vectors."""
    table = {"name": "net", "skeleton": "coco17", "codec": {"type": "simcc"}, "outputs": ["keypoints", "scores"]}
    spec = spec_from_dict(table, "the test")
    found = [np.zeros((1, 17, 2), np.float32), np.zeros(scores, np.float32)]
    with pytest.raises(SpecError, match=r"'keypoints' of shape \[1, 17, 2\] looks like 17 joints that the network has"):
        spec.codec.check_network(found, spec, "net.onnx")


@pytest.mark.parametrize("split", [1.0, 1.25, 2.0, 2.5, 4.0])
def test_any_split_that_gives_whole_vectors(split):
    table = {"name": "net", "skeleton": "coco17", "codec": {"type": "simcc", "split": split}, "outputs": ["x", "y"]}
    spec = spec_from_dict(table, "the test")
    xy = np.full((1, 17, 2), 100.0)
    vectors = simcc.encode(xy, np.ones((1, 17), bool), (256, 192), split, 4.0)
    spec.codec.check_network(vectors, spec, "net.onnx")
    found = spec.codec.decode(vectors, None, np.eye(3)[None, :2], spec)
    assert np.abs(found[..., :2] - xy).max() <= 0.5 / split + 1e-4
