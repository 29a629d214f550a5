"""`paf_peaks` against the numpy codec and a pixel by pixel twin: which pixels are peaks, and where exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import MAPS, maps, overflowed

from edgepose.codecs import affinity
from edgepose.errors import ModelError
from edgepose.kernels import paf_peaks

DTYPES = [np.float32, np.float16]
SIZES = [(1, 1), (1, 7), (9, 1), (2, 2), (3, 16), (5, 17), (8, 8), (23, 35)]
EPS = 2.0**-24
TINY = 2.0**-149  # the least float32


def slow_peaks(pixels, threshold):
    """[(x, y)] in raster order."""
    height, width = pixels.shape
    found = []
    for y, x in np.argwhere(pixels > np.float32(threshold)):
        near = [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]
        inside = [(i, j) for i, j in near if 0 <= i < height and 0 <= j < width]
        value = pixels[y, x]
        if all(value > pixels[at] if at < (y, x) else value >= pixels[at] for at in inside):
            found.append((int(x), int(y)))
    return found


def off_the_middle(line, at):
    """(low, high): the parabola's step along a line, with the rounding of float32."""
    if not 0 < at < len(line) - 1:
        return 0.0, 0.0
    before, peak, after = line[at - 1 : at + 2].astype(float)
    curve, wrong = before - 2 * peak + after, 4 * EPS * (abs(before) + 2 * abs(peak) + abs(after)) + 2 * TINY
    if curve > -2 * wrong:
        return -0.5, 0.5
    step, off = 0.5 * (before - after) / curve, 2 * wrong / -curve
    return max(step - off, -0.5), min(step + off, 0.5)


def assert_is_definition(values, threshold, capacity, **options):
    found, counts = paf_peaks(values, threshold, capacity, **options)
    assert found.shape == (len(values), capacity, 3)
    assert (found.dtype, counts.dtype) == (np.float32, np.int32)
    expected, expected_counts = affinity.peaks(values, threshold, capacity)
    assert np.array_equal(counts, expected_counts)
    assert np.array_equal(found[..., 2], expected[..., 2])
    for pixels, rows, count in zip(values.astype(np.float32), found, counts, strict=True):
        places = slow_peaks(pixels, threshold)
        assert len(places) == count
        assert not rows[count:].any()
        for (x, y), joint in zip(places, rows, strict=False):
            (left, right), (up, down) = off_the_middle(pixels[y], x), off_the_middle(pixels[:, x], y)
            assert left - EPS * 2 * x <= joint[0] - x <= right + EPS * 2 * x
            assert up - EPS * 2 * y <= joint[1] - y <= down + EPS * 2 * y


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", MAPS)
def test_maps_of_every_kind(computed_by, kind, dtype):
    rng = np.random.default_rng(1)
    for size in SIZES:
        values = maps(rng, (2, *size), kind, dtype)
        for threshold in (float(np.median(values)), -1e38, 0.1):
            assert_is_definition(values, threshold, 9)


@settings(max_examples=100)
@given(
    shape=st.tuples(st.integers(0, 3), st.integers(1, 24), st.integers(1, 40)),
    kind=st.sampled_from(list(MAPS)),
    threshold=st.sampled_from([-10.0, -1.0, 0.0, 0.05, 0.3, 1.0]),
    capacity=st.integers(0, 30),
    dtype=st.sampled_from(DTYPES),
    threads=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_anything(computed_by, shape, kind, threshold, capacity, dtype, threads, seed):
    values = maps(np.random.default_rng(seed), shape, kind, dtype)
    assert_is_definition(values, threshold, capacity, threads=threads)


def test_ordinary_peaks_are_close(computed_by):
    """What float32 may do to a step is little where it matters."""
    values = maps(np.random.default_rng(2), (19, 46, 82), "blobs")
    found, counts = paf_peaks(values, 0.2, 20)
    expected, _ = affinity.peaks(values, 0.2, 20)
    assert counts.min() > 0
    assert np.abs(found - expected).max() < 1e-4
    assert np.abs(found - np.rint(found))[..., :2].max() > 0.3


def test_the_threshold_is_not_a_peak(computed_by):
    values = np.zeros((1, 5, 9), np.float32)
    values[0, 2, 4] = np.float32(0.1)
    assert paf_peaks(values, 0.1, 3)[1].tolist() == [0]
    assert paf_peaks(values, float(np.nextafter(np.float32(0.1), np.float32(0))), 3)[1].tolist() == [1]


def test_more_peaks_than_are_listed(computed_by):
    values = np.zeros((2, 9, 33), np.float32)
    values[0, ::2, ::2] = 1
    for capacity in (0, 1, 17, 84, 85, 90):
        found, counts = paf_peaks(values, 0.5, capacity)
        assert counts.tolist() == [85, 0]
        assert found[0, :, 2].sum() == min(capacity, 85)
        assert not found[1].any()
    assert found[0, :3, :2].tolist() == [[0, 0], [2, 0], [4, 0]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("what", ["nan", "-nan", "inf"])
def test_an_overflowed_network_wherever_it_shows(computed_by, what, dtype):
    for height, width in ((1, 1), (3, 5), (4, 19)):
        for at in range(height * width):
            for value in (overflowed(dtype)[what], -overflowed(dtype)[what]):
                values = np.zeros((2, height, width), dtype)
                values[1].flat[at] = value
                with pytest.raises(ModelError, match="overflowed: its joint maps hold NaN or infinity"):
                    paf_peaks(values, 2.0, 3)


def test_other_arrays_are_taken_as_float32(computed_by):
    values = maps(np.random.default_rng(3), (2, 9, 14), "noise")
    expected = paf_peaks(values, 0.1, 9)
    wide = np.zeros((2, 9, 20), np.float32)
    wide[..., 3:17] = values
    for same in (values.astype(np.float64), values.astype(">f4"), wide[..., 3:17], np.asfortranarray(values)):
        for mine, theirs in zip(paf_peaks(same, 0.1, 9), expected, strict=True):
            assert np.array_equal(mine, theirs)


def test_threads_change_nothing(computed_by):
    values = maps(np.random.default_rng(4), (7, 23, 35), "noise")
    alone = paf_peaks(values, 0.1, 50)
    for threads in (2, 3, 4, 1000):
        for mine, theirs in zip(paf_peaks(values, 0.1, 50, threads=threads), alone, strict=True):
            assert np.array_equal(mine, theirs)


def test_nobody(computed_by):
    found, counts = paf_peaks(np.zeros((0, 8, 6), np.float32), 0.1, 5, threads=4)
    assert (found.shape, counts.shape) == ((0, 5, 3), (0,))


def test_what_is_refused(computed_by):
    for shape in ((8, 6), (1, 1, 8, 6), (2, 0, 6), (2, 8, 0)):
        with pytest.raises(ValueError, match="maps: expected"):
            paf_peaks(np.zeros(shape, np.float32), 0.1, 5)
    with pytest.raises(ValueError, match="capacity: expected at least 0, got -1"):
        paf_peaks(np.zeros((2, 8, 6), np.float32), 0.1, -1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_instruction_sets_agree(every_set, dtype):
    values = maps(np.random.default_rng(5), (19, 23, 35), "noise", dtype)
    first, *others = every_set(lambda: paf_peaks(values, 0.1, 60)[0]).values()
    assert all(np.array_equal(first, other) for other in others)
