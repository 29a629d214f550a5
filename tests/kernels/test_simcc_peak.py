"""`simcc_peak` against the numpy codec: vectors of every kind and length, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import MAPS, inverses, maps, overflowed

from edgepose.codecs import simcc
from edgepose.errors import ModelError
from edgepose.kernels import simcc_peak

DTYPES = [np.float32, np.float16]
LENGTHS = [1, 2, 3, 4, 5, 15, 16, 17, 31, 32, 63, 64, 65, 130, 384]
IDENTITY = np.eye(3)[None, :2]


def vectors(rng, n, joints, bins, kind, dtype=np.float32):
    """x, y [n, joints, bins of either]."""
    return tuple(maps(rng, (n, joints, 1, count), kind, dtype)[:, :, 0] for count in bins)


def assert_is_definition(x, y, inverse, split, **options):
    found = simcc_peak(x, y, inverse, split, **options)
    expected, scores = simcc.decode_to_image(x, y, inverse, split)
    assert found.dtype == np.float32
    assert np.array_equal(found[..., 2], scores)
    assert np.abs(found[..., :2] - expected).max(initial=0) <= 2.0**-22 * np.abs(expected).max(initial=1)
    in_bins = simcc_peak(x, y, np.tile(IDENTITY, (len(x), 1, 1)), 1.0, **options)
    assert np.array_equal(in_bins[..., :2], simcc.decode(x, y, 1.0)[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", MAPS)
def test_vectors_of_every_kind(computed_by, kind, dtype):
    rng = np.random.default_rng(1)
    for i, bins in enumerate(LENGTHS):
        x, y = vectors(rng, 3, 5, (bins, LENGTHS[-1 - i]), kind, dtype)
        assert_is_definition(x, y, inverses(rng, 3), 2.0)


@settings(max_examples=100)
@given(
    n=st.integers(0, 4),
    joints=st.integers(1, 5),
    bins=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    kind=st.sampled_from(list(MAPS)),
    split=st.floats(0.5, 8),
    dtype=st.sampled_from(DTYPES),
    masked=st.floats(0, 0.9),
    threads=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_anything(computed_by, n, joints, bins, kind, split, dtype, masked, threads, seed):
    rng = np.random.default_rng(seed)
    x, y = vectors(rng, n, joints, bins, kind, dtype)
    for vector in (x, y):
        vector[rng.random(vector.shape) < masked] = -np.inf
        vector[..., int(rng.integers(vector.shape[-1]))] = 1
    assert_is_definition(x, y, inverses(rng, n), split, threads=threads)


def test_ties_go_to_the_lowest_bin(computed_by):
    for bins in LENGTHS[1:]:
        pairs = [(a, b) for a in range(bins) for b in range(a + 1, bins, 1 + bins // 9)]
        x = np.zeros((len(pairs), 1, bins), np.float32)
        for row, pair in zip(x, pairs, strict=True):
            row[0, list(pair)] = 2
        found = simcc_peak(x, x, np.tile(IDENTITY, (len(x), 1, 1)), 1.0)
        assert np.array_equal(found[:, 0, 0], [a for a, _ in pairs])
        assert np.array_equal(found[:, 0, 1], [a for a, _ in pairs])


def test_the_score_is_the_lower_maximum(computed_by):
    x, y = np.array([[[0, 3, 1], [0, 1, 0]]], np.float32), np.array([[[2, 0], [-4, -5]]], np.float32)
    found = simcc_peak(x, y, IDENTITY, 2.0)
    assert found.tolist() == [[[0.5, 0, 2], [0.5, 0, -4]]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("what", ["nan", "-nan", "inf"])
def test_an_overflowed_network_wherever_it_shows(computed_by, what, axis, dtype):
    for bins in (1, 7, 16, 83):
        for at in range(0, bins, 1 + bins // 30):
            both = vectors(np.random.default_rng(at), 2, 3, (bins, bins), "noise", dtype)
            both[axis][1, 2, at] = overflowed(dtype)[what]
            with pytest.raises(ModelError, match="overflowed: its SimCC vectors hold NaN or infinity"):
                simcc_peak(*both, np.tile(IDENTITY, (2, 1, 1)), 2.0)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_vector_of_minus_infinity(computed_by, axis):
    both = np.zeros((2, 1, 1, 20), np.float32)
    both[axis] = -np.inf
    with pytest.raises(ModelError, match="overflowed"):
        simcc_peak(*both, IDENTITY, 2.0)
    both[axis, ..., 19] = -7
    assert simcc_peak(*both, IDENTITY, 1.0)[0, 0].tolist() == [19 * (axis == 0), 19 * (axis == 1), -7]


def test_vectors_of_two_types(computed_by):
    x, y = vectors(np.random.default_rng(2), 2, 3, (20, 30), "noise", np.float16)
    assert_is_definition(x, y.astype(np.float32), inverses(np.random.default_rng(3), 2), 2.0)
    assert_is_definition(x.astype(np.float64), y[..., ::-1], inverses(np.random.default_rng(3), 2), 2.0)


def test_threads_change_nothing(computed_by):
    rng = np.random.default_rng(4)
    x, y = vectors(rng, 20, 17, (90, 130), "ties")
    inverse = inverses(rng, 20)
    alone = simcc_peak(x, y, inverse, 2.0)
    for threads in (2, 3, 4, 1000):
        assert np.array_equal(simcc_peak(x, y, inverse, 2.0, threads=threads), alone)


def test_out_is_written_and_nothing_beside_it(computed_by):
    rng = np.random.default_rng(5)
    x, y = vectors(rng, 3, 4, (20, 30), "noise")
    inverse, around = inverses(rng, 3), np.full((5, 4, 3), np.nan, np.float32)
    out = around[1:4]
    assert simcc_peak(x, y, inverse, 2.0, out=out) is out
    assert np.array_equal(out, simcc_peak(x, y, inverse, 2.0))
    assert np.isnan(around[[0, 4]]).all()
    with pytest.raises(ValueError, match="out: expected shape"):
        simcc_peak(x, y, inverse, 2.0, out=around)


def test_nobody(computed_by):
    x, y = np.zeros((0, 4, 20), np.float32), np.zeros((0, 4, 30), np.float32)
    assert simcc_peak(x, y, np.zeros((0, 2, 3)), 2.0, threads=4).shape == (0, 4, 3)


def test_what_is_refused(computed_by):
    x, y = np.zeros((2, 3, 4), np.float32), np.zeros((2, 3, 5), np.float32)
    inverse = np.tile(IDENTITY, (2, 1, 1))
    for wrong in (y[0], y[:1], y[:, :2], y[..., None]):
        with pytest.raises(ValueError, match="y: expected"):
            simcc_peak(x, wrong, inverse, 2.0)
    with pytest.raises(ValueError, match="x: expected"):
        simcc_peak(x[0], y, inverse, 2.0)
    for wrong in (inverse[0], inverse[:1], np.zeros((2, 3, 3))):
        with pytest.raises(ValueError, match="inverse: expected"):
            simcc_peak(x, y, wrong, 2.0)
    for x_bins, y_bins in ((0, 5), (4, 0)):
        with pytest.raises(ValueError):
            simcc_peak(x[..., :x_bins], y[..., :y_bins], inverse, 2.0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_instruction_sets_agree(every_set, dtype):
    rng = np.random.default_rng(6)
    (x, y), inverse = vectors(rng, 9, 17, (83, 130), "blobs", dtype), inverses(rng, 9)
    first, *others = every_set(lambda: simcc_peak(x, y, inverse, 2.0)).values()
    assert all(np.array_equal(first, other) for other in others)
