"""`regress_to_image` against the numpy codec."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import inverses, overflowed

from edgepose.codecs import regression
from edgepose.errors import ModelError, SpecError
from edgepose.kernels import regress_to_image

DTYPES = [np.float32, np.float16]
IDENTITY = np.eye(3)[None, :2]


def assert_is_definition(coords, inverse, crop_size, range, **options):
    found = regress_to_image(coords, inverse, crop_size, range, **options)
    expected, scores = regression.decode_to_image(coords, inverse, crop_size, range)
    assert found.dtype == np.float32
    assert np.array_equal(found[..., 2], scores)
    assert np.abs(found[..., :2] - expected).max(initial=0) <= 2.0**-21 * np.abs(expected).max(initial=1)


@given(
    n=st.integers(0, 4),
    joints=st.integers(0, 20),
    channels=st.sampled_from([2, 3]),
    crop_size=st.tuples(st.integers(1, 512), st.integers(1, 512)),
    range=st.sampled_from(list(regression.RANGES)),
    dtype=st.sampled_from(DTYPES),
    spread=st.sampled_from([1e-30, 0.5, 3.0, 1e3]),
    threads=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_anything(computed_by, n, joints, channels, crop_size, range, dtype, spread, threads, seed):
    rng = np.random.default_rng(seed)
    coords = rng.normal(0, spread, (n, joints, channels)).astype(dtype)
    assert_is_definition(coords, inverses(rng, n), crop_size, range, threads=threads)


def test_the_crops_edges(computed_by):
    """An edge is half a pixel outside the first and last pixel; the middle is the box's center."""
    coords = np.array([[[0.0, 0.0], [0.5, 0.5], [1.0, 1.0]]], np.float32)
    expected = [[-0.5, -0.5, 1], [95.5, 127.5, 1], [191.5, 255.5, 1]]
    assert regress_to_image(coords, IDENTITY, (256, 192), "unit")[0].tolist() == expected
    assert regress_to_image(coords - 0.5, IDENTITY, (256, 192))[0].tolist() == expected


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize("what", ["nan", "-nan", "inf"])
def test_an_overflowed_network(computed_by, what, channel, dtype):
    for value in (overflowed(dtype)[what], -overflowed(dtype)[what]):
        coords = np.zeros((2, 3, 3), dtype)
        coords[1, 2, channel] = value
        with pytest.raises(ModelError, match="overflowed: its coordinates hold NaN or infinity"):
            regress_to_image(coords, np.tile(IDENTITY, (2, 1, 1)), (256, 192))


def test_other_arrays_are_taken_as_float32(computed_by):
    rng = np.random.default_rng(1)
    coords, inverse = rng.normal(0, 1, (3, 4, 2)).astype(np.float32), inverses(rng, 3)
    expected = regress_to_image(coords, inverse, (64, 48))
    wide = np.zeros((3, 4, 5), np.float32)
    wide[..., 1:3] = coords
    for same in (coords.astype(np.float64), coords.astype(">f4"), wide[..., 1:3], np.asfortranarray(coords)):
        assert np.array_equal(regress_to_image(same, inverse, (64, 48)), expected)
    assert np.array_equal(regress_to_image(coords, np.asfortranarray(inverse), (64, 48)), expected)


def test_threads_change_nothing(computed_by):
    rng = np.random.default_rng(2)
    coords, inverse = rng.normal(0, 1, (1100, 17, 3)).astype(np.float32), inverses(rng, 1100)
    alone = regress_to_image(coords, inverse, (256, 192))
    for threads in (2, 3, 4, 1000):
        assert np.array_equal(regress_to_image(coords, inverse, (256, 192), threads=threads), alone)


def test_out_is_written_and_nothing_beside_it(computed_by):
    rng = np.random.default_rng(3)
    coords, inverse = rng.normal(0, 1, (3, 4, 2)).astype(np.float32), inverses(rng, 3)
    around = np.full((5, 4, 3), np.nan, np.float32)
    out = around[1:4]
    assert regress_to_image(coords, inverse, (64, 48), out=out) is out
    assert np.array_equal(out, regress_to_image(coords, inverse, (64, 48)))
    assert np.isnan(around[[0, 4]]).all()
    with pytest.raises(ValueError, match="out: expected dtype float32"):
        regress_to_image(coords, inverse, (64, 48), out=np.zeros((3, 4, 3)))


def test_what_is_refused(computed_by):
    coords, inverse = np.zeros((2, 3, 2), np.float32), np.tile(IDENTITY, (2, 1, 1))
    for wrong in (coords[0], coords[..., :1], np.zeros((2, 3, 4), np.float32)):
        with pytest.raises(ValueError, match="coords: expected"):
            regress_to_image(wrong, inverse, (64, 48))
    for wrong in (inverse[0], inverse[:1], np.zeros((2, 3, 3))):
        with pytest.raises(ValueError, match="inverse: expected"):
            regress_to_image(coords, wrong, (64, 48))
    with pytest.raises(SpecError, match="did you mean 'centered'"):
        regress_to_image(coords, inverse, (64, 48), "centred")


def test_instruction_sets_agree(every_set):
    rng = np.random.default_rng(4)
    coords, inverse = rng.normal(0, 1, (50, 17, 3)).astype(np.float16), inverses(rng, 50)
    first, *others = every_set(lambda: regress_to_image(coords, inverse, (256, 192))).values()
    assert all(np.array_equal(first, other) for other in others)
