"""`warp_normalize` against its definition: matrices, frames, borders, layouts, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import frame, matrix, planes, random_matrix

from edgepose.artifacts.spec import InputSpec, spec_from_dict
from edgepose.kernels import WarpOptions, definition, warp_normalize
from edgepose.kernels.options import BORDERS, LAYOUTS, PIXELS, YUV, options_of
from edgepose.pose.geometry import crop_affine, grid_affine

DTYPES = ("float32", "float16")
LEVELS = InputSpec(size=(24, 37), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), color="bgr")
IDENTITY = np.eye(3)[None, :2]

# Levels. A position is cut to 2^-24 of a pixel on either axis, and two float32 blends round once each: between
# noise of 0 and 255 that is 255 * 2 * 2^-24 and 3 half units in the last place of 255. NV12's matrix has rows of sum 5.
CLOSE = {"bgr": 1e-4, "rgb": 1e-4, "gray": 1e-4, "nv12": 5e-4}
# OpenCV 4 rounds positions to 1/32 pixel. OpenCV 5 computes them in float32, from the corner of the part it is given.
CLOSE_OPENCV = 16.0 if int(cv2.__version__.partition(".")[0]) < 5 else 0.05


def tolerance(computed_by: str, options: WarpOptions) -> float:
    close = CLOSE[options.pixels]
    return close if computed_by != "fallback" else max(close, CLOSE_OPENCV * (5 if options.pixels == "nv12" else 1))


def assert_is_definition(computed_by, image, matrices, spec, options=WarpOptions()):  # noqa: B008
    found = warp_normalize(image, matrices, spec, options)
    assert found.dtype == options.dtype
    whole = warp_normalize(image, matrices, spec, replace(options, dtype="float32"))
    assert np.array_equal(found, whole.astype(options.dtype))  # a half is the float, rounded
    expected = definition.warp_normalize(*planes(image, options.pixels), matrices, spec, options)
    assert found.shape == expected.shape
    std = np.array(spec.std)[:, None, None] if options.layout == "chw" else np.array(spec.std)
    off = np.abs(whole - expected) * np.abs(std)
    assert off.max(initial=0) <= tolerance(computed_by, options) + np.abs(expected * std).max(initial=0) * 2.0**-23


@pytest.mark.parametrize("border", [{"border": "replicate"}, {"border_level": 114}])
@pytest.mark.parametrize("pixels", PIXELS)
def test_random_matrices(computed_by, pixels, border):
    rng = np.random.default_rng(1)
    spec = InputSpec(size=(24, 37))
    image = frame(rng, (30, 52), pixels)
    matrices = np.stack([random_matrix(rng, (30, 52), spec.size) for _ in range(60)])
    for layout, dtype in (("chw", "float32"), ("hwc", "float16")):
        options = WarpOptions(pixels=pixels, layout=layout, dtype=dtype, **border)
        assert_is_definition(computed_by, image, matrices, spec, options)


SIDES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@settings(max_examples=80)
@given(
    size=SIDES,
    crop=SIDES,
    pixels=st.sampled_from(PIXELS),
    looks=st.fixed_dictionaries(
        {
            "turn_deg": st.floats(-180, 180),
            "scale": st.floats(0.02, 50),
            "shear": st.floats(-1, 1),
            "flip": st.booleans(),
            "at": st.tuples(st.floats(-3, 4), st.floats(-3, 4)),
        }
    ),
    options=st.fixed_dictionaries(
        {
            "yuv": st.sampled_from(list(YUV)),
            "border": st.sampled_from(BORDERS),
            "border_level": st.sampled_from([0, 114, 255]),
            "layout": st.sampled_from(LAYOUTS),
            "dtype": st.sampled_from(DTYPES),
            "threads": st.integers(1, 3),
        }
    ),
    color=st.sampled_from(["rgb", "bgr"]),
)
def test_anything(computed_by, size, crop, pixels, looks, options, color):
    if pixels == "nv12":
        size = (size[0] + size[0] % 2, size[1] + size[1] % 2)
    image = frame(np.random.default_rng(len(looks) + size[0]), size, pixels)
    spec = InputSpec(size=crop, color=color)
    matrices = matrix(size, crop, **looks)[None]
    assert_is_definition(computed_by, image, matrices, spec, WarpOptions(pixels=pixels, **options))


@pytest.mark.parametrize("pixels", PIXELS)
@pytest.mark.parametrize("width", [4, 16, 34])
def test_every_column_of_a_frame(computed_by, pixels, width):
    """Crops that slide over a frame's edges by halves of a pixel: blocks inside, across an edge and outside."""
    image, spec = frame(np.random.default_rng(width), (4, width), pixels), replace(LEVELS, size=(3, 40))
    shifts = [(dx, dy) for dx in np.arange(-41, width + 2, 0.5) for dy in (-1.5, 0.0, 0.5)]
    matrices = np.stack([np.array([[1, 0, -dx], [0, 1, -dy]]) for dx, dy in shifts])
    for border in BORDERS:
        options = WarpOptions(pixels=pixels, border=border, border_level=200)
        assert_is_definition(computed_by, image, matrices, spec, options)


@pytest.mark.parametrize("pixels", ["bgr", "gray", "nv12"])
@pytest.mark.parametrize("border", BORDERS)
def test_the_smallest_frame(computed_by, pixels, border):
    rng = np.random.default_rng(3)
    side = 2 if pixels == "nv12" else 1
    image = frame(rng, (side, side), pixels)
    matrices = np.stack([random_matrix(rng, (side, side), LEVELS.size) for _ in range(40)])
    assert_is_definition(computed_by, image, matrices, LEVELS, WarpOptions(pixels=pixels, border=border))


@pytest.mark.parametrize("far", [1e3, 1e6, 2.0**29])
@pytest.mark.parametrize("way", [(1, 0), (-1, 0), (0, 1), (0, -1), (-1, 1)])
def test_far_outside(computed_by, far, way):
    rng = np.random.default_rng(4)
    image = frame(rng, (30, 52), "bgr")
    matrices = np.array([[[1.0, 0, way[0] * far], [0, 1, way[1] * far]]])
    found = warp_normalize(image, matrices, LEVELS, WarpOptions(border_level=114))
    assert (found == 114).all()
    found = warp_normalize(image, matrices, LEVELS, WarpOptions(border="replicate"))
    corner = {1: 0, -1: -1}
    for axis in (0, 1):
        if way[axis]:
            image = np.take(image, [corner[way[axis]]], axis=1 - axis)
    if 0 not in way:
        assert (found[0] == image[0, 0][:, None, None]).all()
    seen = np.unique(image.reshape(-1, 3)[:, 0])
    assert np.isin(found[0, 0], seen).all()


def test_identity_is_exact(computed_by):
    image = frame(np.random.default_rng(5), (24, 37), "bgr")
    found = warp_normalize(image, IDENTITY, LEVELS)
    assert np.array_equal(found[0], image.transpose(2, 0, 1))
    spec = InputSpec(size=(24, 37))
    expected = (image[..., ::-1] - np.array(spec.mean)) / spec.std
    assert np.abs(warp_normalize(image, IDENTITY, spec)[0] - expected.transpose(2, 0, 1)).max() < 1e-6


def test_the_half_pixel_rule(computed_by):
    """Half the resolution is the mean of four pixels; a mirror is exact: W - 1 - x."""
    image = frame(np.random.default_rng(6), (48, 74), "bgr")
    halved = warp_normalize(image, grid_affine((48, 74), (24, 37))[None], LEVELS)[0]
    means = image.reshape(24, 2, 37, 2, 3).mean(axis=(1, 3))
    assert np.abs(halved - means.transpose(2, 0, 1)).max() < tolerance(computed_by, WarpOptions())
    part = image[:24, :37]
    mirrored = warp_normalize(part, np.array([[[-1.0, 0, 36], [0, 1, 0]]]), LEVELS)[0]
    assert np.array_equal(mirrored, part[:, ::-1].transpose(2, 0, 1))


def test_a_letterbox_is_a_crop_with_another_matrix(computed_by):
    image = frame(np.random.default_rng(7), (20, 60), "bgr")
    scale = 40 / 60
    matrices = np.array([[[scale, 0, 0.5 * scale - 0.5], [0, scale, 0.5 * scale - 0.5 + (40 - 20 * scale) / 2]]])
    spec, options = replace(LEVELS, size=(40, 40)), WarpOptions(border_level=114)
    assert_is_definition(computed_by, image, matrices, spec, options)
    found = warp_normalize(image, matrices, spec, options)[0]
    assert (found[:, :12] == 114).all() and (found[:, -12:] == 114).all()
    assert (found[:, 15:25].std(axis=2) > 20).all()


@pytest.mark.parametrize("yuv", YUV)
def test_nv12_in_both_forms(computed_by, yuv):
    rng = np.random.default_rng(8)
    luma, chroma = frame(rng, (30, 52), "nv12")
    matrices = np.stack([random_matrix(rng, (30, 52), LEVELS.size) for _ in range(20)])
    options = WarpOptions(pixels="nv12", yuv=yuv)
    assert_is_definition(computed_by, (luma, chroma), matrices, LEVELS, options)
    apart = warp_normalize((luma, chroma), matrices, LEVELS, options)
    assert np.array_equal(warp_normalize(np.concatenate([luma, chroma]), matrices, LEVELS, options), apart)
    rgb = warp_normalize((luma, chroma), matrices, replace(LEVELS, color="rgb"), options)
    assert np.array_equal(rgb, apart[:, ::-1])


def test_nv12_is_what_opencv_makes_of_it(computed_by):
    """BT.601 to a level or two: OpenCV computes it in integers."""
    rng = np.random.default_rng(9)
    image = rng.integers(16, 236, (48, 48), dtype=np.uint8)
    expected = cv2.cvtColor(image, cv2.COLOR_YUV2BGR_NV12)
    found = warp_normalize(image, IDENTITY, replace(LEVELS, size=(32, 48)), WarpOptions(pixels="nv12"))[0]
    assert np.abs(found - expected.transpose(2, 0, 1)).max() < 2


@pytest.mark.parametrize("pixels", PIXELS)
def test_views_of_a_frame(computed_by, pixels):
    """Pitched rows, and steps that are negative or not one: as the copy of the view, whatever lies between."""
    rng = np.random.default_rng(10)
    matrices = np.stack([random_matrix(rng, (20, 30), LEVELS.size) for _ in range(20)])
    options = WarpOptions(pixels=pixels)
    cuts = {"pitched": np.s_[4:24, 6:36], "upside down": np.s_[23:3:-1, :30], "mirrored": np.s_[:20, 35:5:-1]}
    cuts |= {"every second": np.s_[::2, ::2], "odd rows": np.s_[1::2, 3:33]}
    for cut in cuts.values():
        for seed in (0, 1):  # other surroundings, the same view
            image = np.random.default_rng(seed).integers(0, 256, (40, 60, *[3] * (pixels in ("bgr", "rgb"))), np.uint8)
            view = image[cut]
            view[:] = frame(np.random.default_rng(2), view.shape[:2], "gray" if image.ndim == 2 else "bgr")
            chroma = image[1:30:2, 20:50][: len(view) // 2, : view.shape[1]]
            chroma = frame(np.random.default_rng(3), chroma.shape, "gray") if chroma.ndim == 2 else chroma
            whole = (view, np.asfortranarray(chroma)) if pixels == "nv12" else view
            copied = (view.copy(), chroma.copy()) if pixels == "nv12" else view.copy()
            found = warp_normalize(whole, matrices, LEVELS, options)
            assert np.array_equal(found, warp_normalize(copied, matrices, LEVELS, options))


def test_channels_reversed_in_place(computed_by):
    image = frame(np.random.default_rng(11), (24, 37), "bgr")
    as_rgb = warp_normalize(image[..., ::-1], IDENTITY, LEVELS, WarpOptions(pixels="rgb"))
    assert np.array_equal(as_rgb, warp_normalize(image, IDENTITY, LEVELS))


def test_rows_a_gibibyte_apart(computed_by):
    memory = np.empty(2**30 + 8 * 3, np.uint8)  # of which the system gives the pages that are touched
    image = np.lib.stride_tricks.as_strided(memory, (2, 8, 3), (2**30, 3, 1))
    image[:] = frame(np.random.default_rng(12), (2, 8), "bgr")
    spec = replace(LEVELS, size=(2, 8))
    assert np.array_equal(warp_normalize(image, IDENTITY, spec)[0], image.transpose(2, 0, 1))


def test_frames_beyond_two_gibibytes_are_refused(extension):
    little = np.zeros(64, np.uint8)
    for shape, strides in (((2, 8, 3), (2**31 - 24, 3, 1)), ((1, 2**30, 3), (0, 3, 1))):
        image = np.lib.stride_tricks.as_strided(little, shape, (max(strides[0], 1), *strides[1:]))
        with pytest.raises(ValueError, match="less than 2 GiB"):
            warp_normalize(image, IDENTITY, LEVELS)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_out_is_written_and_nothing_beside_it(computed_by, layout, dtype):
    rng = np.random.default_rng(13)
    image = frame(rng, (30, 52), "bgr")
    matrices = np.stack([random_matrix(rng, (30, 52), LEVELS.size) for _ in range(3)])
    options = WarpOptions(layout=layout, dtype=dtype)
    expected = warp_normalize(image, matrices, LEVELS, options)
    around = np.full((5, *expected.shape[1:]), np.nan, dtype)
    out = around[1:4]
    assert warp_normalize(image, matrices, LEVELS, options, out=out) is out
    assert np.array_equal(out, expected)
    assert np.isnan(around[[0, 4]]).all()


def test_a_wrong_out_is_refused(computed_by):
    image = frame(np.random.default_rng(14), (30, 52), "bgr")
    shape = (1, 3, *LEVELS.size)
    frozen = np.zeros(shape, np.float32)
    frozen.flags.writeable = False
    unaligned = np.zeros(np.prod(shape) * 4 + 1, np.uint8)[1:].view(np.float32).reshape(shape)
    cases = [
        (np.zeros((2, *shape[1:]), np.float32), "out: expected shape"),
        (np.zeros((1, *LEVELS.size, 3), np.float32), "out: expected shape"),
        (np.zeros(shape, np.float64), "out: expected dtype float32"),
        (np.zeros(shape, np.float16), "out: expected dtype float32"),
        (np.zeros(shape, np.float32, order="F"), "C-contiguous"),
        (np.zeros((*shape[:3], 2 * shape[3]), np.float32)[..., ::2], "C-contiguous"),
        (frozen, "writeable"),
        (unaligned, "aligned"),
    ]
    for out, message in cases:
        with pytest.raises(ValueError, match=message):
            warp_normalize(image, IDENTITY, LEVELS, out=out)
        assert not out.any()


@pytest.mark.parametrize("entry", range(6))
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_matrices_that_are_no_numbers_are_refused(computed_by, entry, value):
    image = frame(np.random.default_rng(15), (30, 52), "bgr")
    for fine in (IDENTITY, crop_affine(np.array([3.0, 4, 20, 30]), (24, 37), rotation_deg=20)[None]):
        bad = np.concatenate([fine, fine])
        bad[1].flat[entry] = value
        with pytest.raises(ValueError, match="invertible"):
            warp_normalize(image, bad, LEVELS)


def test_matrices_without_an_inverse_are_refused(computed_by):
    image = frame(np.random.default_rng(16), (30, 52), "bgr")
    for linear in ([[0, 0], [0, 0]], [[1, 2], [2, 4]], [[1, 0], [0, 0]], [[1e-7, 0], [0, 1e-7]]):
        bad = np.column_stack([np.array(linear, float), [0, 0]])[None]
        with pytest.raises(ValueError, match="invertible"):
            warp_normalize(image, bad, LEVELS)


def test_crops_too_far_away_are_refused(computed_by):
    image = frame(np.random.default_rng(17), (30, 52), "bgr")
    far = 2.0**30
    for shift in ((far, 0), (-far, 0), (0, far), (0, -far), (1e300, 0), (0, -1e300)):
        with pytest.raises(ValueError, match=r"within 2\^30"):
            warp_normalize(image, np.array([[[1, 0, shift[0]], [0, 1, shift[1]]]]), LEVELS)
    with pytest.raises(ValueError, match=r"within 2\^30"):  # its middle is near, its corners are not
        warp_normalize(image, np.array([[[1e-5, 0, 18], [0, 1e-6, 12]]]), replace(LEVELS, size=(2000, 37)))
    near = np.array([[[1, 0, far - 100], [0, 1, 0]]])
    assert not warp_normalize(image, near, LEVELS).any()


def test_wrong_arrays_are_named(computed_by):
    image = frame(np.random.default_rng(18), (30, 52), "bgr")
    gray, nv12 = WarpOptions(pixels="gray"), WarpOptions(pixels="nv12")
    cases = [
        (image[..., 0], WarpOptions(), "image: expected shape"),
        (image[..., :2], WarpOptions(), "image: expected shape"),
        (image, gray, "image: expected shape"),
        (image.astype(np.float32), WarpOptions(), "image: expected dtype uint8"),
        (image[:0], WarpOptions(), "image: expected at least one pixel"),
        (image[:, :0, 0], gray, "image: expected at least one pixel"),
        ((image[..., 0], image[:15, :, 0]), gray, "only nv12 frames have two planes"),
        (image[:29, :, 0], nv12, "even sides"),
        (image[:30, :51, 0], nv12, "even sides"),
        ((image[:30, :, 0], image[:14, :, 0]), nv12, "chroma: expected shape"),
        ((image[:30, :, 0], image[:15, :, 0].astype(np.int8)), nv12, "chroma: expected dtype"),
    ]
    for wrong, options, message in cases:
        with pytest.raises(ValueError, match=message):
            warp_normalize(wrong, IDENTITY, LEVELS, options)
    for matrices in (IDENTITY[0], np.eye(3)[None], IDENTITY[..., :2]):
        with pytest.raises(ValueError, match="matrices: expected shape"):
            warp_normalize(image, matrices, LEVELS)


def test_nobody(computed_by):
    image = frame(np.random.default_rng(19), (30, 52), "bgr")
    assert warp_normalize(image, np.zeros((0, 2, 3)), LEVELS).shape == (0, 3, 24, 37)
    assert warp_normalize(image, np.zeros((0, 2, 3)), LEVELS, WarpOptions(threads=4)).shape == (0, 3, 24, 37)


def test_matrices_in_any_type(computed_by):
    image = frame(np.random.default_rng(20), (30, 52), "bgr")
    expected = warp_normalize(image, IDENTITY, LEVELS)
    assert np.array_equal(warp_normalize(image, IDENTITY.astype(np.float32), LEVELS), expected)
    assert np.array_equal(warp_normalize(image, np.asfortranarray(IDENTITY.astype(int)), LEVELS), expected)


@pytest.mark.parametrize("pixels", PIXELS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_threads_change_nothing(computed_by, pixels, layout):
    rng = np.random.default_rng(21)
    image, spec = frame(rng, (30, 52), pixels), replace(LEVELS, size=(101, 19))
    matrices = np.stack([random_matrix(rng, (30, 52), spec.size) for _ in range(5)])
    alone = warp_normalize(image, matrices, spec, WarpOptions(pixels=pixels, layout=layout))
    for threads in (2, 3, 4, 1000):
        options = WarpOptions(pixels=pixels, layout=layout, threads=threads)
        assert np.array_equal(warp_normalize(image, matrices, spec, options), alone)
    one_row = replace(spec, size=(1, 19))  # more threads than rows
    assert_is_definition(computed_by, image, matrices[:1], one_row, WarpOptions(pixels=pixels, threads=4))


@pytest.mark.parametrize("pixels", PIXELS)
@pytest.mark.parametrize("options", [{}, {"layout": "hwc", "dtype": "float16"}, {"border": "replicate"}])
def test_instruction_sets_agree(every_set, pixels, options):
    """Bit for bit where there is a fused multiply-add; without one, as each of the three roundings may differ by one
    unit in the last place (double rounding): 2^-16 of a level below 256 after blending and after the color matrix
    (rows of sum 5), and one of the result.
    """
    rng = np.random.default_rng(22)
    image, spec = frame(rng, (30, 52), pixels), InputSpec(size=(24, 37))
    matrices = np.stack([random_matrix(rng, (30, 52), spec.size) for _ in range(60)])
    found = every_set(lambda: warp_normalize(image, matrices, spec, WarpOptions(pixels=pixels, **options)))
    sse2 = found.pop("sse2", None)
    first, *others = found.values() if found else [sse2]
    assert all(np.array_equal(first, other) for other in others)
    if sse2 is not None:
        half = options.get("dtype") == "float16"
        off = np.abs(sse2.astype(float) - first)
        assert off.max() <= 6 * 2.0**-16 / min(spec.std) + np.spacing(np.abs(first).max())
        assert (sse2 != first).mean() < (1e-3 if half else 1e-2)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pixels_are_rounded(computed_by, layout):
    rng = np.random.default_rng(1)
    image, matrices = frame(rng, (30, 52), "bgr"), random_matrix(rng, (30, 52), LEVELS.size)[None]
    found, whole = (
        warp_normalize(image, matrices, LEVELS, WarpOptions(layout=layout, dtype=dtype, border="replicate"))
        for dtype in ("uint8", "float32")
    )
    assert found.dtype == np.uint8 and found.shape == whole.shape
    assert np.array_equal(found, np.rint(whole).clip(0, 255))


def test_scale_comes_before_mean_and_std(computed_by):
    rng = np.random.default_rng(1)
    image = frame(rng, (30, 52), "bgr")
    plain = warp_normalize(image, IDENTITY, LEVELS)
    spec = replace(LEVELS, scale=1 / 255, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    expected = (plain / 255 - np.array(spec.mean)[:, None, None]) / np.array(spec.std)[:, None, None]
    np.testing.assert_allclose(warp_normalize(image, IDENTITY, spec), expected, atol=1e-5)


def test_the_options_of_a_contract():
    contract = spec_from_dict(
        {
            "name": "net", "skeleton": "lsp14", "input": {"layout": "nhwc", "dtype": "uint8"},
            "crop": {"border": "constant", "border_value": 114},
        },
        "test",
    )  # fmt: skip
    assert options_of(contract, 3) == WarpOptions(layout="hwc", dtype="uint8", border_level=114, threads=3)
    again = options_of(replace(contract, crop=replace(contract.crop, border="replicate")))
    assert again.border == "replicate"
