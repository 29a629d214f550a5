"""What the launches say, and what they refuse. That they compute is shown in tests/kernels/cuda_host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from edgepose import kernels
from edgepose.artifacts.spec import InputSpec
from edgepose.errors import SpecError
from edgepose.kernels import WarpOptions, choice, cuda
from edgepose.kernels.cuda import KERNELS, DeviceArray, Launch, structs

SPEC = InputSpec(size=(256, 192))
F32, F16, F64 = (np.dtype(kind) for kind in (np.float32, np.float16, np.float64))
U8, I32, U64 = np.dtype(np.uint8), np.dtype(np.int32), np.dtype(np.uint64)


def array(shape: tuple[int, ...], dtype: np.dtype = F32, at: int = 0x10000, **rest: tuple[int, ...]) -> DeviceArray:
    return DeviceArray(at, shape, dtype, **rest)


FRAME, MAPS, OUT = array((720, 1280, 3), U8, 0x1000), array((8, 6), U64, 0x2000), array((8, 3, 256, 192), at=0x3000)


def warp(
    image: object = FRAME, maps: DeviceArray = MAPS, out: DeviceArray = OUT, spec: InputSpec = SPEC, **options: object
) -> Launch:
    return cuda.warp_normalize(image, maps, spec, WarpOptions(**options), out)


def test_warp_says_everything() -> None:
    pitched = replace(FRAME, strides=(4096, 3, 1))
    launch = warp(pitched)
    assert launch.name == "warp_normalize_bgr_f32_chw"
    assert (launch.grid, launch.block, launch.shared_bytes) == ((6, 32, 8), (32, 4, 1), 0)
    job = structs.WarpJob.from_buffer_copy(launch.args)
    assert (job.frame.data, job.frame.pitch, job.frame.height, job.frame.width) == (0x1000, 4096, 720, 1280)
    assert (job.maps, job.out, job.count, job.height, job.width) == (0x2000, 0x3000, 8, 256, 192)
    assert list(job.finish.channel) == [2, 1, 0] and job.frame.chroma is None


def test_rgb_is_bgr_with_other_channels() -> None:
    launch = warp(pixels="rgb")
    assert launch.name == "warp_normalize_bgr_f32_chw"
    assert list(structs.WarpJob.from_buffer_copy(launch.args).finish.channel) == [0, 1, 2]


def test_nv12_planes() -> None:
    whole = array((1080, 1280), U8, 0x8000, strides=(1536, 1))
    job = structs.WarpJob.from_buffer_copy(warp(whole, pixels="nv12").args)
    assert (job.frame.chroma, job.frame.chroma_pitch) == (0x8000 + 720 * 1536, 1536)
    two = (array((720, 1280), U8, 0x8000), array((360, 1280), U8, 0x90000, strides=(2048, 1)))
    job = structs.WarpJob.from_buffer_copy(warp(two, pixels="nv12").args)
    assert (job.frame.pitch, job.frame.chroma, job.frame.chroma_pitch) == (1280, 0x90000, 2048)


@pytest.mark.parametrize(
    ("launch", "why"),
    [
        (lambda: warp(array((720, 1280, 3))), "image: expected dtype uint8"),
        (lambda: warp(array((720, 1280), U8)), r"image: expected shape \[H, W, 3\]"),
        (lambda: warp(array((0, 1280, 3), U8)), "at least one pixel"),
        (lambda: warp(array((720, 1280, 3), U8, strides=(5120, 4, 1))), "rows of contiguous pixels"),
        (lambda: warp(array((720, 1280, 3), U8, strides=(-3840, 3, 1))), "from top to bottom"),
        (lambda: warp(array((720, 1280, 3), U8, strides=(2**22, 3, 1))), "less than 2 GiB"),
        (lambda: warp((FRAME, FRAME)), "only nv12 frames have two planes"),
        (lambda: warp(array((16, 10), U8), pixels="nv12"), r"chroma: expected shape"),
        (lambda: warp((array((9, 10), U8), array((4, 10), U8)), pixels="nv12"), "even sides, got 9x10"),
        (lambda: warp(out=array((8, 256, 192, 3))), "out: expected shape"),
        (lambda: warp(out=replace(OUT, dtype=F16)), "out: expected dtype float32"),
        (lambda: warp(maps=array((8, 2, 3), F64)), "maps: expected shape"),
        (lambda: warp(maps=array((0, 6), U64), out=array((0, 3, 256, 192))), "nothing to compute"),
        (lambda: warp(maps=array((65536, 6), U64), out=array((65536, 3, 256, 192))), "65535"),
    ],
)
def test_warp_refuses(launch: Callable[[], Launch], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        launch()


HEATS, AFFINES, JOINTS = array((2, 17, 64, 48)), array((2, 2, 3), F64), array((2, 17, 3))


def test_joints_say_everything() -> None:
    flipped = (array(HEATS.shape, at=0x7000), array((17,), I32, 0x9000))
    launch = cuda.heatmap_peak(HEATS, AFFINES, JOINTS, "dark", sigma=3.0, flipped=flipped)
    job = structs.PeakJob.from_buffer_copy(launch.args)
    assert (launch.name, launch.grid, launch.block) == ("heatmap_peak_f32", (34, 1, 1), (256, 1, 1))
    assert (job.people, job.joints, job.height, job.width, job.refine) == (2, 17, 64, 48, 2)
    assert (job.flipped, job.flip_order, job.blur.radius) == (0x7000, 0x9000, 8)
    assert 2 * sum(job.blur.taps) - job.blur.taps[0] == pytest.approx(1)
    launch = cuda.simcc_peak(array((2, 17, 384), F16), array((2, 17, 512), F16), AFFINES, JOINTS)
    assert (launch.name, launch.grid, launch.block) == ("simcc_peak_f16", (34, 1, 1), (32, 2, 1))
    launch = cuda.regress_to_image(array((2, 17, 3)), AFFINES, JOINTS)
    assert (launch.name, launch.grid, launch.block) == ("regress_to_image_f32", (1, 1, 1), (128, 1, 1))


@pytest.mark.parametrize(
    ("launch", "error", "why"),
    [
        (lambda: cuda.heatmap_peak(array((2, 17, 64, 48), F64), AFFINES, JOINTS), ValueError, "float32 or float16"),
        (lambda: cuda.heatmap_peak(HEATS, array((1, 2, 3), F64), JOINTS), ValueError, "affines: expected shape"),
        (lambda: cuda.heatmap_peak(HEATS, AFFINES, array((2, 16, 3))), ValueError, "out: expected shape"),
        (lambda: cuda.heatmap_peak(HEATS, AFFINES, JOINTS, "darker"), SpecError, "did you mean 'dark'"),
        (lambda: cuda.heatmap_peak(HEATS, AFFINES, JOINTS, "dark", sigma=9), SpecError, "at most 8"),
        (lambda: cuda.heatmap_peak(array((2, 17, 0, 48)), AFFINES, JOINTS), ValueError, "1 to 2\\^30"),
        (
            lambda: cuda.heatmap_peak(HEATS, AFFINES, JOINTS, flipped=(HEATS, array((16,), I32))),
            ValueError,
            "flip_order",
        ),
        (
            lambda: cuda.simcc_peak(array((2, 17, 9)), array((2, 16, 9)), AFFINES, JOINTS),
            ValueError,
            "y: expected shape",
        ),
        (
            lambda: cuda.simcc_peak(array((2, 17, 0)), array((2, 17, 9)), AFFINES, JOINTS),
            ValueError,
            "x, y: expected 1",
        ),
        (lambda: cuda.regress_to_image(array((2, 17, 4)), AFFINES, JOINTS), ValueError, r"\[N, K, 2\] or \[N, K, 3\]"),
        (
            lambda: cuda.regress_to_image(array((0, 17, 2)), array((0, 2, 3), F64), array((0, 17, 3))),
            ValueError,
            "blocks",
        ),
    ],
)
def test_joints_refuse(launch: Callable[[], Launch], error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        launch()


PEAKS, COUNTS, LIMBS = array((17, 30, 3)), array((17,), I32), array((19, 2), I32)


def test_people_say_everything() -> None:
    launch = cuda.paf_peaks(array((17, 46, 54)), 0.1, PEAKS, COUNTS)
    assert (launch.name, launch.grid, launch.block) == ("paf_peaks_f32", (17, 1, 1), (512, 1, 1))
    assert structs.PafPeaksJob.from_buffer_copy(launch.args).capacity == 30
    launch = cuda.paf_score(array((19, 2, 46, 54), F16), PEAKS, COUNTS, LIMBS, array((19, 30, 30)))
    assert (launch.name, launch.grid, launch.block) == ("paf_score_f16", (8, 19, 1), (128, 1, 1))
    limbs = structs.PafScoreJob.from_buffer_copy(launch.args).limbs
    assert (limbs.height, limbs.width, limbs.samples, limbs.needed) == (46, 54, 10, 8)


@pytest.mark.parametrize(
    ("launch", "why"),
    [
        (lambda: cuda.paf_peaks(array((17, 46)), 0.1, PEAKS, COUNTS), "maps: expected shape"),
        (lambda: cuda.paf_peaks(array((17, 0, 46)), 0.1, PEAKS, COUNTS), "pixels a map"),
        (lambda: cuda.paf_peaks(array((16, 4, 4)), 0.1, PEAKS, COUNTS), "peaks: expected shape"),
        (
            lambda: cuda.paf_score(array((19, 2, 4, 4)), PEAKS, COUNTS, LIMBS, array((19, 30, 29))),
            "out: expected shape",
        ),
        (lambda: cuda.paf_score(array((19, 2, 4, 4)), PEAKS, COUNTS, LIMBS, array((19, 30, 30)), 1), "at least 2"),
        (
            lambda: cuda.paf_score(array((19, 2, 4, 4)), array((17, 0, 3)), COUNTS, LIMBS, array((19, 0, 0))),
            "peaks: expec",
        ),
    ],
)
def test_people_refuse(launch: Callable[[], Launch], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        launch()


ROWS, CANVAS, FOUND = array((2, 8400, 56)), array((2, 2, 3), F64, 0x2000), array((2, 100, 56), at=0x3000)


def test_onestage_says_everything() -> None:
    launch = cuda.onestage_people(ROWS, CANVAS, FOUND, 0.25, None)
    assert (launch.name, launch.grid, launch.block) == ("onestage_people_f32", (2, 1, 1), (1024, 1, 1))
    job = structs.OnestageJob.from_buffer_copy(launch.args)
    assert (job.images, job.candidates, job.columns, job.limit) == (2, 8400, 56, 100)
    assert (job.affines, job.out, job.score_threshold) == (0x2000, 0x3000, 0.25) and job.iou_threshold > 1
    launch = cuda.onestage_people(array((2, 8400, 56), F16), CANVAS, FOUND, 0.25, 0.5)
    assert launch.name == "onestage_people_f16"
    assert structs.OnestageJob.from_buffer_copy(launch.args).iou_threshold == 0.5


@pytest.mark.parametrize(
    ("arrays", "thresholds", "why"),
    [
        ((array((2, 8400, 55)), CANVAS, FOUND), (0.2, 0.5), "5 . 3K"),
        ((array((2, 65537, 56)), CANVAS, FOUND), (0.2, 0.5), "1 to 65536 candidates"),
        ((ROWS, array((1, 2, 3), F64), FOUND), (0.2, 0.5), "affines: expected shape"),
        ((ROWS, CANVAS, array((2, 100, 53))), (0.2, 0.5), "out: expected shape"),
        ((ROWS, CANVAS, array((2, 0, 56))), (0.2, 0.5), "out: expected 1 to"),
        ((ROWS, CANVAS, FOUND), (-0.2, 0.5), "score_threshold"),
        ((ROWS, CANVAS, FOUND), (0.2, -0.5), "iou_threshold"),
    ],
)
def test_onestage_refuses(arrays: tuple[DeviceArray, ...], thresholds: tuple[float, float], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        cuda.onestage_people(*arrays, *thresholds)


def test_kernels_have_the_names_that_are_launched() -> None:
    assert len(KERNELS) == 24
    for pixels in ("bgr", "rgb", "gray", "nv12"):
        image = {"gray": array((8, 8), U8), "nv12": array((12, 8), U8)}.get(pixels, array((8, 8, 3), U8))
        for layout, shape in (("chw", (8, 3, 256, 192)), ("hwc", (8, 256, 192, 3))):
            for dtype in ("float32", "float16"):
                out = array(shape, np.dtype(dtype))
                assert warp(image, out=out, pixels=pixels, layout=layout, dtype=dtype).name in KERNELS


@pytest.mark.skipif(choice.native is None, reason="no host extension")
def test_matrices_are_those_of_the_host() -> None:
    matrix = np.array([[[2.0, 0, -8], [0, 4, 16]]])
    fixed = cuda.fixed_affines(matrix, (256, 192)).view(np.int64) / 2**32
    assert fixed.tolist() == [[0.5, 0, 4, 0, 0.25, -4]]
    with pytest.raises(ValueError, match="invertible"):
        cuda.fixed_affines(np.zeros((1, 2, 3)), (256, 192))
    inverse = np.array([[[2.0, 0, 5], [0, 2, 7]]])
    out = np.empty((1, 2, 3))
    assert cuda.heatmap_affines(inverse, (64, 48), (256, 192), out=out) is out
    assert out[0].tolist() == [[8, 0, 8], [0, 8, 10]]  # pixel 0 of a map lies at 1.5 of the crop
    assert cuda.simcc_affines(inverse, 2.0)[0].tolist() == [[1, 0, 5], [0, 1, 7]]
    assert cuda.regress_affines(inverse, (256, 192), "unit")[0].tolist() == [[384, 0, 4], [0, 512, 6]]
    joints = kernels.regress_to_image(np.zeros((1, 1, 2), np.float32), inverse, (256, 192), "unit")
    assert joints[0, 0].tolist() == [4, 6, 1]
