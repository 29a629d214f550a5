"""`paf_score` against the numpy codec, inside the band of float32 where a sample is as high as the threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepose.codecs import affinity
from edgepose.errors import ModelError
from edgepose.kernels import paf_score

DTYPES = [np.float32, np.float16]
CHAIN = np.array([[0, 1], [1, 2], [2, 0], [1, 1]], np.int32)
EPS = 2.0**-24


def scene(rng, size, capacity, dtype=np.float32, spread=1.0):
    """(fields of CHAIN, peaks, counts) of three joints: noise on a field that points right and down."""
    height, width = size
    fields = (rng.normal(0, 0.3, (len(CHAIN), 2, *size)) + 0.5).astype(dtype) * dtype(spread)
    peaks = np.zeros((3, capacity, 3), np.float32)
    peaks[...] = rng.uniform(-1.5, (width + 1, height + 1, 1), (3, capacity, 3))
    whole = rng.random((3, capacity)) < 0.3
    peaks[whole] = np.rint(peaks[whole])
    counts = rng.integers(0, capacity + 3, 3).astype(np.int32)
    return fields, peaks, counts


def assert_is_definition(fields, peaks, counts, limbs, samples=10, threshold=0.05, ratio=0.8, **options):
    found = paf_score(fields, peaks, counts, limbs, samples, threshold, ratio, **options)
    expected = affinity.scores(fields, peaks, counts, limbs, samples, threshold, ratio)
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    needed, listed = affinity.needed(samples, ratio), np.minimum(counts, peaks.shape[1])
    for field, (a, b), scores in zip(fields, limbs, found, strict=True):
        assert not scores[listed[a] :].any() and not scores[:, listed[b] :].any()
        along, length = affinity._along(field, peaks[a, : listed[a], :2], peaks[b, : listed[b], :2], samples)
        # positions to 4 units in the last place of the map's side, 2 fields' contrast; blends and sums of 10
        off = float(np.abs(field.astype(float)).max()) * EPS * (32 * max(field.shape[1:]) + 4 * samples + 64)
        mean, scores = along.mean(axis=-1), scores[: listed[a], : listed[b]]
        surely, maybe = ((along > threshold + by).sum(axis=-1) >= needed for by in (off, -off))
        is_mean, is_zero = np.abs(scores - mean) <= off, scores == 0
        assert is_zero[length == 0].all()
        apart = length > 0
        assert is_mean[apart & surely & (mean > off)].all()
        assert is_zero[apart & ~(maybe & (mean > -off))].all()
        assert (is_mean | is_zero)[apart].all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (2, 3), (24, 31), (90, 160)])
def test_random_fields(computed_by, size, dtype):
    rng = np.random.default_rng(1)
    for capacity in (1, 4, 12):
        fields, peaks, counts = scene(rng, size, capacity, dtype)
        for samples, threshold, ratio in ((10, 0.05, 0.8), (2, 0.5, 1.0), (7, 0.4, 0.3), (20, 0.05, 0.55)):
            assert_is_definition(fields, peaks, counts, CHAIN, samples, threshold, ratio)


@settings(max_examples=100)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    capacity=st.integers(0, 9),
    samples=st.integers(2, 24),
    threshold=st.floats(-1, 1),
    ratio=st.floats(0, 1),
    dtype=st.sampled_from(DTYPES),
    spread=st.sampled_from([1e-4, 1.0, 1e4]),
    threads=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_anything(computed_by, size, capacity, samples, threshold, ratio, dtype, spread, threads, seed):
    fields, peaks, counts = scene(np.random.default_rng(seed), size, capacity, dtype, spread)
    assert_is_definition(fields, peaks, counts, CHAIN, samples, threshold * spread, ratio, threads=threads)


def test_a_field_along_the_limb_scores_one(computed_by):
    fields = np.zeros((2, 2, 20, 30), np.float32)
    fields[0, 0], fields[1, 1] = 1, -1
    peaks = np.array([[[3, 15, 1]], [[27, 15, 1]], [[27, 4.5, 1]]], np.float32)
    limbs, counts = np.array([[0, 1], [1, 2]]), np.ones(3, int)
    assert paf_score(fields, peaks, counts, limbs).ravel().tolist() == [1, 1]
    assert paf_score(fields, peaks, counts, limbs[:, ::-1]).ravel().tolist() == [0, 0]  # against the field


def test_flat_fields_at_the_threshold(computed_by):
    """Ties: every sample is the threshold, exactly, and none is above it."""
    fields = np.zeros((1, 2, 9, 9), np.float32)
    fields[0, 0] = 0.5
    peaks = np.array([[[1, 4, 1]], [[7, 4, 1]]], np.float32)
    for threshold, expected in ((0.5, 0.0), (0.49, 0.5)):
        assert paf_score(fields, peaks, np.ones(2, int), np.array([[0, 1]]), 8, threshold).ravel()[0] == expected


def test_peaks_in_one_place(computed_by):
    fields, peaks = np.ones((1, 2, 9, 9), np.float32), np.full((2, 3, 3), 4.25, np.float32)
    assert not paf_score(fields, peaks, np.full(2, 3), np.array([[0, 1]])).any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
def test_an_overflowed_network(computed_by, value, dtype):
    """Refused where a sample meets it, whatever the other samples are; elsewhere nobody looks."""
    fields = np.zeros((1, 2, 20, 30), dtype)
    peaks = np.array([[[3, 15, 1], [3, 3, 1]], [[27, 15, 1], [27, 3, 1]]], np.float32)
    limbs = np.array([[0, 1]])
    fields[0, :, 9, 15] = value  # the two limbs across meet at (15, 9)
    assert not paf_score(fields, peaks, np.array([1, 1]), limbs).any()
    with pytest.raises(ModelError, match="overflowed: its part affinity fields hold NaN or infinity"):
        paf_score(fields, peaks, np.array([2, 2]), limbs, 11)
    fields[0, :, 9, 15] = 0
    fields[0, 1, 15, 27] = value  # the last sample of the first limb, in the component across it
    with pytest.raises(ModelError, match="overflowed"):
        paf_score(fields, peaks, np.array([1, 1]), limbs)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_peaks_that_are_no_numbers_are_refused(computed_by, value):
    fields, peaks = np.ones((1, 2, 9, 9), np.float32), np.full((2, 3, 3), 4.25, np.float32)
    peaks[1, 2, 0] = value
    with pytest.raises(ValueError, match="peaks: expected finite numbers"):
        paf_score(fields, peaks, np.full(2, 3), np.array([[0, 1]]))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_the_extension_stays_inside_the_field(extension, value):
    """Below the check of `paf_score`: peaks from anywhere read no memory but the field's."""
    fields, out = np.ones((1, 2, 9, 9), np.float32), np.zeros((1, 1, 1), np.float32)
    peaks = np.array([[[4, 4, 1]], [[value, -value, 1]]], np.float32)
    counts, limbs = np.ones(2, np.int32), np.array([[0, 1]], np.int32)
    assert extension.paf_score(fields, peaks, counts, limbs, 10, 0.05, 8, out, 1) == np.isfinite(out).all()


def test_arrays_that_may_only_be_read(computed_by):
    fields, peaks, counts = scene(np.random.default_rng(2), (9, 9), 3)
    expected = paf_score(fields, peaks, counts, CHAIN)
    for array in (fields, peaks, counts):
        array.flags.writeable = False
    assert np.array_equal(paf_score(fields, peaks, counts, CHAIN), expected)
    assert np.array_equal(
        paf_score(fields[..., ::-1][..., ::-1], peaks, counts.astype(np.int64), CHAIN.tolist()), expected
    )
    assert np.array_equal(paf_score(fields.astype(np.float64), peaks.astype(np.float64), counts, CHAIN), expected)


def test_threads_change_nothing(computed_by):
    fields, peaks, counts = scene(np.random.default_rng(3), (24, 31), 70)
    alone = paf_score(fields, peaks, counts, CHAIN)
    assert alone.any()
    for threads in (2, 3, 4, 1000):
        assert np.array_equal(paf_score(fields, peaks, counts, CHAIN, threads=threads), alone)


def test_nobody(computed_by):
    fields, peaks, counts = scene(np.random.default_rng(4), (9, 9), 0)
    assert paf_score(fields, peaks, counts, CHAIN, threads=4).shape == (4, 0, 0)
    fields, peaks, counts = scene(np.random.default_rng(4), (9, 9), 5)
    assert paf_score(fields[:0], peaks, counts, CHAIN[:0]).shape == (0, 5, 5)
    assert not paf_score(fields, peaks, np.zeros(3, int), CHAIN).any()


def test_what_is_refused(computed_by):
    fields, peaks, counts = scene(np.random.default_rng(5), (9, 9), 5)
    cases = [
        ((fields[0], peaks, counts, CHAIN), "fields: expected"),
        ((fields[:, :1], peaks, counts, CHAIN), "fields: expected"),
        ((fields[..., :0], peaks, counts, CHAIN), "fields: expected"),
        ((fields, peaks[..., :2], counts, CHAIN), "peaks: expected"),
        ((fields, peaks[0], counts, CHAIN), "peaks: expected"),
        ((fields, peaks, counts[:2], CHAIN), "counts: expected"),
        ((fields, peaks, counts[:, None], CHAIN), "counts: expected"),
        ((fields, peaks, counts, CHAIN[:3]), "limbs: expected"),
        ((fields, peaks, counts, CHAIN.reshape(2, 4)), "limbs: expected"),
        ((fields, peaks, counts, CHAIN + 1), "limbs: expected indices"),
        ((fields, peaks, counts, CHAIN - 1), "limbs: expected indices"),
        ((fields, peaks, counts, CHAIN, 1), "samples: expected at least 2"),
    ]
    for arguments, message in cases:
        with pytest.raises(ValueError, match=message):
            paf_score(*arguments)


@pytest.mark.parametrize("dtype", DTYPES)
def test_instruction_sets_agree(every_set, dtype):
    """Bit for bit with a fused multiply-add. Without one a sample may differ by double rounding, and a sample as high
    as the threshold may be counted by one and not by the other."""
    fields, peaks, counts = scene(np.random.default_rng(6), (24, 31), 20, dtype)
    found = every_set(lambda: paf_score(fields, peaks, counts, CHAIN))
    sse2 = found.pop("sse2", None)
    first, *others = found.values() if found else [sse2]
    assert all(np.array_equal(first, other) for other in others)
    if sse2 is not None:
        assert (((sse2 == 0) == (first == 0)).mean()) > 0.999
        assert np.abs(sse2 - first)[(sse2 != 0) & (first != 0)].max() < 1e-6
