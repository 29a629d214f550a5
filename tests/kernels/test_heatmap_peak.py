"""`heatmap_peak` against the numpy codec: maps of every kind, the flip test, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import MAPS, inverses, maps, overflowed

from edgepose.codecs import flips, grids, heatmap, refine
from edgepose.errors import ModelError, SpecError
from edgepose.kernels import heatmap_peak
from edgepose.pose.skeletons import SKELETONS

DTYPES = [np.float32, np.float16]
METHODS = list(refine.REFINEMENTS)
BLURRED = ["dark", "udp"]
SIGMAS = [1.0, 1.5, 2.0, 3.0, 5.5, 8.0]
SIZES = [(1, 1), (1, 9), (70, 1), (3, 5), (5, 3), (8, 8), (17, 13), (64, 48), (47, 61)]
EPS = 2.0**-24  # half a unit in the last place of 1, float32
LOOKS_AT = {"dark": np.add.outer(abs(np.arange(-2, 3)), abs(np.arange(-2, 3))) <= 2, "udp": np.s_[1:4, 1:4]}


def in_map(values, method, sigma=2.0, **options):
    """[N, K, 3]: joints in map pixels: maps, crops and image share one grid."""
    inverse = np.tile(np.eye(3)[:2], (len(values), 1, 1))
    return heatmap_peak(values, inverse, values.shape[2:], method, sigma=sigma, **options)


def assert_is_definition(values, method, sigma=2.0):
    """Bit for bit where nothing is blurred; the step of DARK and UDP within the band of float32."""
    found = in_map(values, method, sigma)
    expected, scores = heatmap.decode(values, method, sigma=sigma)
    assert np.array_equal(found[..., 2], scores)
    if method not in BLURRED:
        assert np.array_equal(found[..., :2], expected)
        return
    plain = heatmap.decode(values, "argmax")[0].reshape(-1, 2)
    for pixels, at, joint in zip(values.reshape(-1, *values.shape[2:]), plain, found.reshape(-1, 3), strict=True):
        low, high = band(pixels.astype(np.float32), at.astype(int), method, sigma)
        step, rounding = joint[:2] - at, 2 * EPS * (at + 1)
        assert (low - rounding <= step).all() and (step <= high + rounding).all()


def band(pixels, at, method, sigma):
    """(low [2], high [2]): the steps that the definition allows when blurred values and logarithms carry the rounding
    of float32. Where that rounding decides whether there is a step, any of at most a pixel is allowed.
    """
    x, y = at[:, None]
    if not refine._inside(pixels[None], x, y, 2 if method == "dark" else 1)[0]:
        return np.zeros(2), np.zeros(2)
    whole = pixels[None].clip(refine.LOWEST)
    blurred = refine._blurred_patches(whole, x, y, sigma)[0]
    off = (2 * len(refine.taps(sigma)) + 6) * EPS * refine._blurred_patches(np.abs(whole), x, y, sigma)[0]
    least, log, most = (np.log(np.maximum(v, refine.FLOOR)) for v in (blurred - off, blurred, blurred + off))
    wrong = np.maximum(most - log, log - least) + 4 * EPS * (1 + np.abs(log))
    return step_band(log, wrong[LOOKS_AT[method]].max(), method)


def step_band(log, wrong, method):
    """`band` from the logarithms [5, 5] and how far each may be off: Newton's step, its matrix off by 4 `wrong`."""
    slope, curve = derivatives(log, method)
    doubt = 4 * wrong * (np.abs(curve).sum() + 8 * wrong)  # of the determinant
    if curve[0, 0] > 4 * wrong or np.linalg.det(curve) < 1e-12 - doubt:
        return np.zeros(2), np.zeros(2)
    spread = np.abs(np.linalg.inv(curve)).sum(axis=1).max() if np.linalg.det(curve) > 1e-12 + doubt else np.inf
    if curve[0, 0] > -4 * wrong or 8 * wrong * spread > 0.5:
        return -np.ones(2), np.ones(2)
    step = -np.linalg.solve(curve, slope)
    off = 2 * spread * wrong * (1 + 8 * np.abs(step).max()) + 16 * EPS * (1 + np.abs(step))
    return np.clip(step - off, -1, 1), np.clip(step + off, -1, 1)


def derivatives(log, method):
    """(slope [2], matrix [2, 2]) in the middle of [5, 5]."""
    p = {(i, j): log[2 + j, 2 + i] for i in range(-2, 3) for j in range(-2, 3)}
    slope = 0.5 * np.array([p[1, 0] - p[-1, 0], p[0, 1] - p[0, -1]])
    if method == "dark":
        dxx, dyy = (0.25 * (p[2, 0] - 2 * p[0, 0] + p[-2, 0]), 0.25 * (p[0, 2] - 2 * p[0, 0] + p[0, -2]))
        dxy = 0.25 * (p[1, 1] - p[1, -1] - p[-1, 1] + p[-1, -1])
    else:
        dxx, dyy = p[1, 0] - 2 * p[0, 0] + p[-1, 0], p[0, 1] - 2 * p[0, 0] + p[0, -1]
        dxy = 0.5 * (p[1, 1] - p[1, 0] - p[0, 1] + 2 * p[0, 0] - p[-1, 0] - p[0, -1] + p[-1, -1])
    return slope, np.array([[dxx, dxy], [dxy, dyy]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", MAPS)
def test_maps_of_every_kind(computed_by, kind, method, dtype):
    rng = np.random.default_rng(1)
    for size in SIZES:
        for sigma in SIGMAS if method in BLURRED else [2.0]:
            assert_is_definition(maps(rng, (2, 3, *size), kind, dtype), method, sigma)


@settings(max_examples=100)
@given(
    shape=st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(1, 40), st.integers(1, 40)),
    kind=st.sampled_from(list(MAPS)),
    method=st.sampled_from(METHODS),
    sigma=st.floats(1, 8),
    dtype=st.sampled_from(DTYPES),
    masked=st.floats(0, 0.6),
    seed=st.integers(0, 2**32),
)
def test_anything(computed_by, shape, kind, method, sigma, dtype, masked, seed):
    rng = np.random.default_rng(seed)
    values = maps(rng, shape, kind, dtype)
    values[rng.random(shape) < masked] = -np.inf
    if shape[0] and (values.max(axis=(2, 3)) == -np.inf).any():
        with pytest.raises(ModelError, match="overflowed"):
            in_map(values, method, sigma)
    else:
        assert_is_definition(values, method, sigma)


@pytest.mark.parametrize("method", BLURRED)
@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0])
def test_ordinary_maps_are_close(computed_by, method, sigma):
    """What the band allows is little where it matters: 17 joints of a network, 1/2000 pixel."""
    rng = np.random.default_rng(2)
    cells = rng.uniform(10, 37, (20, 17, 2))
    values = heatmap.encode(cells, np.ones((20, 17), bool), (64, 48), sigma)
    values += rng.normal(0, 0.01, values.shape).astype(np.float32)
    off = in_map(values, method, sigma)[..., :2] - heatmap.decode(values, method, sigma=sigma)[0]
    assert np.abs(off).max() < 5e-4
    assert np.abs(off).mean() < 2e-5


@pytest.mark.parametrize("place", ["corner", "edge", "one from the edge", "two from the edge", "inside"])
@pytest.mark.parametrize("method", METHODS)
def test_peaks_at_borders(computed_by, method, place):
    inset = {"corner": 0, "edge": 0, "one from the edge": 1, "two from the edge": 2, "inside": 5}[place]
    rng = np.random.default_rng(3)
    for height, width in ((12, 19), (11, 16), (5, 5)):
        rows = [inset, height - 1 - inset] if place != "edge" else [height // 2]
        for y in rows:
            for x in (inset, width - 1 - inset):
                values = rng.random((1, 1, height, width)).astype(np.float32) / 2
                values[..., max(y, 0) % height, x % width] = 1
                assert_is_definition(values, method)


def test_ties_go_to_the_lowest_index(computed_by):
    """Any two places of a map as high as each other: within a vector, across vectors, in what is left over."""
    for height, width in ((1, 7), (5, 9), (3, 23), (8, 16), (9, 29)):
        size = height * width
        pairs = [(a, b) for a in range(0, size, 3) for b in range(a + 1, size, 5)]
        values = np.zeros((len(pairs), 1, height * width), np.float32)
        for row, pair in zip(values, pairs, strict=True):
            row[0, list(pair)] = 2
        found = in_map(values.reshape(-1, 1, height, width), "argmax")[:, 0]
        first = np.array([a for a, _ in pairs])
        assert np.array_equal(found[:, 1] * width + found[:, 0], first)
        assert (found[:, 2] == 2).all()


def test_every_place_can_be_the_highest(computed_by):
    for height, width in ((1, 1), (2, 3), (7, 9), (13, 11)):
        size = height * width
        for background in (0, -5):
            values = np.full((size, size), background, np.float32)
            np.fill_diagonal(values, background + 0.5)
            found = in_map(values.reshape(size, 1, height, width), "argmax")[:, 0]
            assert np.array_equal(found[:, 1] * width + found[:, 0], np.arange(size))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("what", ["nan", "-nan", "inf"])
@pytest.mark.parametrize("method", METHODS)
def test_an_overflowed_network_wherever_it_shows(computed_by, method, what, dtype):
    """At every place of maps that are one to many vectors and no whole number of them."""
    for height, width in ((1, 1), (3, 5), (9, 15)):
        for at in range(0, height * width, 1 if height * width < 20 else 7):
            values = maps(np.random.default_rng(at), (1, 2, height, width), "noise", dtype)
            values[0, 1].flat[at] = overflowed(dtype)[what]
            with pytest.raises(ModelError, match="overflowed: its heatmaps hold NaN or infinity"):
                in_map(values, method)


@pytest.mark.parametrize("method", METHODS)
def test_nan_beside_infinity(computed_by, method):
    for first, second in ((np.nan, np.inf), (np.inf, np.nan), (-np.inf, -np.inf)):
        values = np.full((1, 1, 9, 15), -np.inf, np.float32)
        values[0, 0, 2, 3], values[0, 0, 7, 1] = first, second
        with pytest.raises(ModelError, match="overflowed"):
            in_map(values, method)


@pytest.mark.parametrize("method", METHODS)
def test_masked_with_minus_infinity(computed_by, method):
    """Maps of -inf but for a peak, and a peak between two of them: no step toward either."""
    values = np.full((1, 2, 9, 15), -np.inf, np.float32)
    values[0, 0, 4, 6] = 0.25
    values[0, 1, 3:6, 5:8] = 0.5
    values[0, 1, 4, 6] = 1
    found = in_map(values, method)
    assert found[0, 0].tolist() == [6, 4, 0.25]
    assert_is_definition(values, method)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [(64, 48), (7, 5), (1, 1), (3, 40)])
def test_the_flip_test_is_fused(computed_by, size, method, dtype):
    rng = np.random.default_rng(4)
    for name, skeleton in SKELETONS.items():
        order = skeleton.flip_order()
        shape = (2, len(order), *size)
        kind = list(MAPS)[len(name) % len(MAPS)]
        values, flipped = maps(rng, shape, "blobs", dtype), maps(rng, shape, kind, dtype)
        merged = flips.merge_flip(values, flipped, order)
        assert np.array_equal(in_map(values, method, flipped=(flipped, order)), in_map(merged, method))


def test_a_flip_of_another_type(computed_by):
    rng = np.random.default_rng(5)
    values, flipped = maps(rng, (1, 2, 9, 9), "blobs", np.float16), maps(rng, (1, 2, 9, 9), "blobs")
    merged = flips.merge_flip(values, flipped, [1, 0])
    assert np.array_equal(in_map(values, "quarter", flipped=(flipped, [1, 0])), in_map(merged, "quarter"))


def test_an_overflowed_flip(computed_by):
    values = np.zeros((1, 2, 4, 5), np.float32)
    flipped = values.copy()
    flipped[0, 1, 2, 3] = np.nan
    with pytest.raises(ModelError, match="overflowed"):
        in_map(values, "quarter", flipped=(flipped, [1, 0]))


@pytest.mark.parametrize("method", METHODS)
def test_image_coordinates(computed_by, method):
    rng = np.random.default_rng(6)
    values, inverse = maps(rng, (9, 4, 16, 12), "blobs"), inverses(rng, 9)
    found = heatmap_peak(values, inverse, (256, 192), method)
    joints = in_map(values, method)[..., :2].astype(float)
    to_crop = grids.grid(method, (16, 12), (256, 192))
    crop = joints @ to_crop[:, :2].T + to_crop[:, 2]
    expected = np.einsum("nij,nkj->nki", inverse[:, :, :2], crop) + inverse[:, None, :, 2]
    assert np.abs(found[..., :2] - expected).max() <= EPS * np.abs(expected).max()
    whole, scores = heatmap.decode_to_image(values, inverse, (256, 192), method)
    scale = np.sqrt(np.abs(np.linalg.det(inverse[:, :, :2]))) * 16
    assert (np.abs(found[..., :2] - whole).max(axis=(1, 2)) < 1e-3 * scale + 1e-3).all()
    assert np.array_equal(found[..., 2], scores)


def test_other_arrays_are_taken_as_float32(computed_by):
    rng = np.random.default_rng(7)
    values = maps(rng, (2, 3, 9, 14), "noise")
    expected = in_map(values, "quarter")
    memory = np.zeros(values.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(values.shape)  # unaligned
    memory[:] = values
    padded = np.zeros((2, 3, 9, 20), np.float32)
    padded[..., 3:17] = values
    for same in (values.astype(np.float64), values.astype(">f4"), memory, padded[..., 3:17], np.asfortranarray(values)):
        assert np.array_equal(in_map(same, "quarter"), expected)
    assert np.array_equal(in_map(values[..., ::-1][..., ::-1], "quarter"), expected)


def test_out_is_written_and_nothing_beside_it(computed_by):
    values = maps(np.random.default_rng(8), (3, 4, 9, 9), "noise")
    around = np.full((5, 4, 3), np.nan, np.float32)
    assert in_map(values, "quarter", out=around[1:4]) is not None
    assert np.array_equal(around[1:4], in_map(values, "quarter"))
    assert np.isnan(around[[0, 4]]).all()
    for out, message in (
        (np.zeros((3, 4, 2), np.float32), "out: expected shape"),
        (np.zeros((3, 4, 3)), "out: expected dtype float32"),
        (np.zeros((3, 3, 4), np.float32).swapaxes(1, 2), "C-contiguous"),
    ):
        with pytest.raises(ValueError, match=message):
            in_map(values, "quarter", out=out)
        assert not out.any()


def test_threads_change_nothing(computed_by):
    values = maps(np.random.default_rng(9), (20, 17, 13, 11), "blobs", np.float16)
    for method in METHODS:
        alone = in_map(values, method)
        for threads in (2, 3, 4, 1000):
            assert np.array_equal(in_map(values, method, threads=threads), alone)
    assert np.array_equal(in_map(values[:1, :1], "dark", threads=4), in_map(values, "dark")[:1, :1])


def test_nobody(computed_by):
    for method in METHODS:
        assert in_map(np.zeros((0, 14, 8, 6), np.float32), method, threads=4).shape == (0, 14, 3)
        assert in_map(np.zeros((2, 0, 8, 6), np.float32), method).shape == (2, 0, 3)


def test_what_is_refused(computed_by):
    values, identity = np.zeros((1, 2, 4, 5), np.float32), np.eye(3)[None, :2]
    for shape in ((2, 4, 5), (1, 2, 0, 5), (1, 2, 4, 0)):
        with pytest.raises(ValueError, match="heatmaps: expected"):
            heatmap_peak(np.zeros(shape, np.float32), identity, (4, 5))
    for inverse in (identity[0], np.eye(3)[None], np.tile(identity, (2, 1, 1)), identity[:0]):
        with pytest.raises(ValueError, match="inverse: expected"):
            heatmap_peak(values, inverse, (4, 5))
    with pytest.raises(ValueError, match="flipped: expected"):
        in_map(values, "quarter", flipped=(values[:, :1], [0, 1]))
    for order in ([0], [0, 1, 2], [0, 2], [-1, 0], [1, 1]):
        with pytest.raises(ValueError, match="flip_order: expected each"):
            in_map(values, "quarter", flipped=(values, order))
    with pytest.raises(SpecError, match="did you mean 'quarter'"):
        in_map(values, "quater")


@pytest.mark.parametrize("method", BLURRED)
@pytest.mark.parametrize("sigma", [0.0, -1.0, 8.01, np.nan, np.inf])
def test_sigma_has_bounds(computed_by, method, sigma):
    values = np.zeros((1, 2, 4, 5), np.float32)
    with pytest.raises(SpecError, match="sigma"):
        in_map(values, method, sigma)
    assert np.array_equal(in_map(values, "quarter", sigma), in_map(values, "quarter"))


@pytest.mark.parametrize("method", METHODS)
def test_instruction_sets_agree(every_set, method):
    """Bit for bit with a fused multiply-add; without one, blurring may differ by double rounding."""
    values = maps(np.random.default_rng(10), (20, 17, 31, 23), "blobs")
    found = every_set(lambda: in_map(values, method))
    sse2 = found.pop("sse2", None)
    first, *others = found.values() if found else [sse2]
    assert all(np.array_equal(first, other) for other in others)
    if sse2 is not None and method in BLURRED:
        assert np.abs(sse2 - first).max() < 1e-4
        assert (sse2 != first).mean() < 0.2
    elif sse2 is not None:
        assert np.array_equal(sse2, first)
