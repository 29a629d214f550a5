"""What a device must show: its operations equal the host's, bit for bit, on random and on adversarial input.

The fixture `device` says which device: tests/kernels/cuda_host emulates one in this process, tests/gpu is a GPU.
Both folders import every test from here. A device has

    upload(array) -> DeviceArray       empty(shape, dtype) -> DeviceArray, of any bytes
    download(DeviceArray) -> array     launch(Launch)
    fused                              whether host and device both have an fma instruction: else 1 ulp is allowed
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import pytest
from numpy.typing import DTypeLike

from edgepose import kernels
from edgepose._checks import Array
from edgepose.artifacts.spec import InputSpec
from edgepose.errors import ModelError
from edgepose.kernels import WarpOptions, choice, cuda
from edgepose.kernels.cuda import DeviceArray, Launch
from edgepose.pose.geometry import Size, crop_affine, invert_affine

pytestmark = pytest.mark.skipif(choice.native is None, reason="no host extension to compare the device with")

MEAN_STD = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
FLOATS = ("float32", "float16")


class Device(Protocol):
    fused: bool

    def upload(self, array: Array) -> DeviceArray: ...
    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> DeviceArray: ...
    def download(self, array: DeviceArray) -> Array: ...
    def launch(self, launch: Launch) -> None: ...


def host_has_fma() -> bool:
    return choice.native is not None and choice.native.instruction_set() not in ("sse2", "generic")


def assert_same(device: Device, got: Array, expected: Array) -> None:
    """Equal bit for bit, any NaN being a NaN; within 1 ulp where only one side has fma."""
    assert got.shape == expected.shape and got.dtype == expected.dtype
    assert np.array_equal(np.isnan(got), np.isnan(expected))
    got, expected = np.nan_to_num(got, nan=1.0), np.nan_to_num(expected, nan=1.0)
    if device.fused or got.dtype.kind != "f":
        bits = f"u{got.dtype.itemsize}"
        differ = [tuple(at) for at in np.argwhere(got.view(bits) != expected.view(bits))]
        first = differ[0] if differ else ()
        assert not differ, f"{len(differ)} differ, first {first}: {got[first]!r}, expected {expected[first]!r}"
    else:
        np.testing.assert_array_max_ulp(got, expected, 1)


# warp_normalize


def device_warp(
    device: Device, image: Any, matrices: Array, spec: InputSpec, options: WarpOptions, at: int = 0, pad: int = 0
) -> Array:
    """The crops, with every row of the frame followed by `pad` bytes and the first one `at` bytes into its memory."""
    planes = [pitched(device, plane, at, pad) for plane in (image if isinstance(image, tuple) else (image,))]
    maps = device.upload(cuda.fixed_affines(matrices, spec.size))
    n, (h, w) = len(matrices), spec.size
    out = device.empty((n, 3, h, w) if options.layout == "chw" else (n, h, w, 3), options.dtype)
    frame = tuple(planes) if len(planes) == 2 else planes[0]
    device.launch(cuda.warp_normalize(frame, maps, spec, options, out))
    return device.download(out)


def pitched(device: Device, plane: Array, at: int, pad: int) -> DeviceArray:
    rows, row = len(plane), plane[0].nbytes
    memory = np.full(at + rows * (row + pad) - pad, 255, np.uint8)
    for y in range(rows):
        memory[at + y * (row + pad) :][:row] = plane[y].reshape(-1)
    there = device.upload(memory)
    steps = (row + pad, 3, 1) if plane.ndim == 3 else (row + pad, 1)
    return DeviceArray(there.address + at, plane.shape, plane.dtype, steps)


def random_frame(rng: np.random.Generator, pixels: str, height: int, width: int) -> Any:
    if pixels == "nv12":
        return rng.integers(0, 256, (height, width), np.uint8), rng.integers(0, 256, (height // 2, width), np.uint8)
    shape = (height, width) if pixels == "gray" else (height, width, 3)
    return rng.integers(0, 256, shape, np.uint8)


def random_matrices(rng: np.random.Generator, frame: Size, size: Size, count: int) -> Array:
    """Crops of all sizes, turned, mirrored, inside and outside the frame; the first one is the frame's own pixels."""
    made = [np.eye(2, 3)]
    for i in range(count - 1):
        middle = rng.uniform(-0.3, 1.3, 2) * frame[::-1]
        half = rng.uniform(0.1, 1.0, 2) * frame[::-1]
        box = np.concatenate([middle - half, middle + half])
        made.append(crop_affine(box, size, rotation_deg=float(rng.uniform(-180, 180)), mirror=i % 3 == 0))
    return np.stack(made)


@pytest.mark.parametrize("layout", ["chw", "hwc"])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("pixels", ["bgr", "rgb", "gray", "nv12"])
def test_warp_random(device: Device, pixels: str, dtype: str, layout: str) -> None:
    rng = np.random.default_rng(1)
    for border, size in (("constant", (19, 45)), ("replicate", (9, 33)), ("constant", (8, 64)), ("replicate", (1, 1))):
        spec = InputSpec(size=size, color="rgb", **MEAN_STD)
        options = WarpOptions(pixels=pixels, dtype=dtype, layout=layout, border=border, border_level=114, yuv="bt709")
        image = random_frame(rng, pixels, 36, 52)
        matrices = random_matrices(rng, (36, 52), size, 6)
        assert_same(
            device,
            device_warp(device, image, matrices, spec, options),
            kernels.warp_normalize(image, matrices, spec, options),
        )


@pytest.mark.parametrize("pixels", ["bgr", "gray", "nv12"])
def test_warp_rows_anywhere(device: Device, pixels: str) -> None:
    rng = np.random.default_rng(2)
    spec = InputSpec(size=(12, 40), **MEAN_STD)
    image = random_frame(rng, pixels, 12, 38)  # 11 and 5 times `pad`: the memory begins at any place in a word
    matrices = random_matrices(rng, (12, 38), spec.size, 4)
    options = WarpOptions(pixels=pixels)
    expected = kernels.warp_normalize(image, matrices, spec, options)
    for at in range(4):
        for pad in (0, 1, 2, 3):
            assert_same(device, device_warp(device, image, matrices, spec, options, at, pad), expected)


@pytest.mark.parametrize("border", ["constant", "replicate"])
@pytest.mark.parametrize("side", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("pixels", ["bgr", "gray", "nv12"])
def test_warp_small_frames(device: Device, pixels: str, side: int, border: str) -> None:
    if pixels == "nv12" and side % 2:
        side += 1
    rng = np.random.default_rng(side)
    spec = InputSpec(size=(11, 13), **MEAN_STD)
    image = random_frame(rng, pixels, side, 2 * side)
    options = WarpOptions(pixels=pixels, border=border, border_level=9)
    shifted = np.stack([[[1, 0, dx], [0, 1, dy]] for dx in (-1, 0, 0.5, 4) for dy in (-2.25, 0, 1)])
    assert_same(
        device,
        device_warp(device, image, shifted, spec, options),
        kernels.warp_normalize(image, shifted, spec, options),
    )


def test_warp_nv12_in_one_array(device: Device) -> None:
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (18, 16), np.uint8)
    spec, options = InputSpec(size=(10, 12), **MEAN_STD), WarpOptions(pixels="nv12")
    matrices = random_matrices(rng, (12, 16), spec.size, 3)
    assert_same(
        device,
        device_warp(device, image, matrices, spec, options),
        kernels.warp_normalize(image, matrices, spec, options),
    )


def test_warp_at_full_size(device: Device) -> None:
    rng = np.random.default_rng(4)
    image, spec = rng.integers(0, 256, (720, 1280, 3), np.uint8), InputSpec(size=(256, 192), **MEAN_STD)
    matrices = np.stack([crop_affine(np.array([300.0, 100, 500, 600]), spec.size, rotation_deg=10)])
    options = WarpOptions()
    assert_same(
        device,
        device_warp(device, image, matrices, spec, options),
        kernels.warp_normalize(image, matrices, spec, options),
    )


# heatmap_peak, simcc_peak, regress_to_image


def inverses(rng: np.random.Generator, count: int, crop: Size = (256, 192)) -> Array:
    boxes = rng.uniform(0, 200, (count, 2))
    return np.stack([invert_affine(crop_affine(np.array([x, y, x + 90, y + 200]), crop)) for x, y in boxes])


def host_even_if_overflowed(
    compute: Callable[..., Array], *args: Any, people: tuple[int, int], **options: Any
) -> Array:
    """What the host wrote before it raised for a network that overflowed."""
    out = np.empty((*people, 3), np.float32)
    with contextlib.suppress(ModelError):
        compute(*args, out=out, **options)
    return out


def both_heatmaps(device: Device, maps: Array, method: str, sigma: float = 2.0, flipped: Any = None) -> Array:
    """The host's joints; asserts that the device's are the same."""
    inverse = inverses(np.random.default_rng(0), len(maps))
    size: Size = (maps.shape[2], maps.shape[3])
    affines = device.upload(cuda.heatmap_affines(inverse, size, (256, 192), method))
    out = device.empty((*maps.shape[:2], 3), np.float32)
    there = flipped and (device.upload(flipped[0]), device.upload(np.array(flipped[1], np.int32)))
    device.launch(cuda.heatmap_peak(device.upload(maps), affines, out, method, sigma=sigma, flipped=there))
    expected = host_even_if_overflowed(
        kernels.heatmap_peak,
        maps,
        inverse,
        (256, 192),
        method,
        sigma=sigma,
        flipped=flipped,
        people=(maps.shape[0], maps.shape[1]),
    )
    assert_same(device, device.download(out), expected)
    return expected


def bumps(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    """Maps with a Gaussian each, somewhere and perhaps outside, and noise."""
    height, width = shape[2:]
    y, x = np.mgrid[:height, :width]
    center = rng.uniform(-1, 1, (2, *shape[:2], 1, 1)) * 0.6 + 0.5
    away = (x - center[0] * width) ** 2 + (y - center[1] * height) ** 2
    return (np.exp(-away / 8) + rng.normal(0, 0.02, shape)).astype(dtype)


SHAPES = [(2, 3, 17, 13), (1, 2, 64, 48), (1, 1, 1, 1), (1, 2, 1, 7), (1, 2, 9, 1), (1, 2, 5, 5), (1, 1, 33, 16)]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("method", ["argmax", "quarter", "dark", "udp"])
def test_heatmaps_random(device: Device, method: str, dtype: str) -> None:
    rng = np.random.default_rng(5)
    for shape in SHAPES:
        maps, order = bumps(rng, shape, dtype), rng.permutation(shape[1]).tolist()
        both_heatmaps(device, maps, method)
        both_heatmaps(device, maps, method, flipped=(bumps(rng, shape, dtype), order))


@pytest.mark.parametrize("sigma", [0.3, 1.0, 3.0, 8.0])
def test_heatmaps_blurs(device: Device, sigma: float) -> None:
    maps = bumps(np.random.default_rng(6), (1, 4, 30, 41), "float32")
    both_heatmaps(device, maps, "dark", sigma)
    both_heatmaps(device, maps, "udp", sigma)


def adversarial_maps(height: int, width: int) -> Array:
    """[1, K, height, width]: ties, borders, nothing at all, and what an overflowed network gives."""
    rng = np.random.default_rng(7)
    noise = rng.normal(size=(height, width))
    maps = [np.zeros((height, width)), np.full((height, width), 0.25), np.full((height, width), -np.inf)]
    maps += [
        -np.zeros((height, width)),
        np.arange(height * width).reshape(height, width),
        np.tile([1e-42], (height, width)),
    ]
    maps += [np.where(rng.random((height, width)) < 0.1, 3.0, noise)]  # many that are highest
    signs = np.zeros((height, width))
    signs[0, 0] = -0.0  # equals 0.0, and comes first
    maps.append(signs)
    for y, x in [(0, 0), (0, width - 1), (height - 1, 0), (height - 1, width - 1), (1, 1), (height - 2, width - 2)]:
        for peak in (9.0, np.nan, np.inf):
            maps.append(noise.copy())
            maps[-1][y, x] = peak
    for low in (-np.inf, -1e30):  # beside a finite peak
        maps.append(np.where(rng.random((height, width)) < 0.2, low, noise))
    several = noise.copy()
    several[rng.integers(0, height, 5), rng.integers(0, width, 5)] = np.nan
    several[height // 2] = np.inf
    return np.stack([*maps, several])[None]


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")  # of float16
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("method", ["quarter", "dark", "udp"])
def test_heatmaps_adversarial(device: Device, method: str, dtype: str) -> None:
    maps = adversarial_maps(24, 18).astype(dtype)
    found = both_heatmaps(device, maps, method)
    assert not np.isfinite(found[..., 2]).all()
    reversed_order = list(range(maps.shape[1]))[::-1]
    both_heatmaps(device, maps, method, flipped=(np.ascontiguousarray(maps[..., ::-1]), reversed_order))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bins", [(1, 2), (31, 33), (32, 64), (384, 512)])
def test_simcc(device: Device, bins: tuple[int, int], dtype: str) -> None:
    rng = np.random.default_rng(8)
    x, y = (np.round(rng.normal(size=(2, 9, count)) * 4).astype(dtype) / 4 for count in bins)  # many equal
    x[0, 1], y[0, 2], x[1, 0, -1], y[1, 1, 0], x[1, 2], y[1, 2] = 0, -1, np.nan, np.inf, -np.inf, np.nan
    inverse = inverses(rng, 2)
    affines, out = device.upload(cuda.simcc_affines(inverse, 2.0)), device.empty((2, 9, 3), np.float32)
    device.launch(cuda.simcc_peak(device.upload(x), device.upload(y), affines, out))
    expected = host_even_if_overflowed(kernels.simcc_peak, x, y, inverse, 2.0, people=(2, 9))
    assert_same(device, device.download(out), expected)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(1, 1, 2), (3, 43, 3), (8, 16, 2), (1, 127, 3)])
@pytest.mark.parametrize("range", ["centered", "unit"])
def test_regress(device: Device, range: str, shape: tuple[int, int, int], dtype: str) -> None:
    rng = np.random.default_rng(9)
    coords = rng.normal(size=shape).astype(dtype)
    coords[-1, -1, 0] = np.nan
    inverse = inverses(rng, shape[0])
    affines = device.upload(cuda.regress_affines(inverse, (256, 192), range))
    out = device.empty((*shape[:2], 3), np.float32)
    device.launch(cuda.regress_to_image(device.upload(coords), affines, out))
    expected = host_even_if_overflowed(kernels.regress_to_image, coords, inverse, (256, 192), range, people=shape[:2])
    assert_same(device, device.download(out), expected)


# paf_peaks, paf_score


def both_peaks(device: Device, maps: Array, threshold: float, capacity: int) -> tuple[Array, Array]:
    """The host's peaks and counts, also of an overflowed network; asserts that the device's are the same."""
    there = device.empty((len(maps), capacity, 3), np.float32), device.empty((len(maps),), np.int32)
    device.launch(cuda.paf_peaks(device.upload(maps), threshold, *there))
    peaks, counts = np.empty(there[0].shape, np.float32), np.empty(len(maps), np.int32)
    assert choice.native is not None
    choice.native.paf_peaks(maps, threshold, peaks, counts, 1)
    assert_same(device, device.download(there[1]), counts)
    assert_same(device, device.download(there[0]), peaks)
    return peaks, counts


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 1), (46, 54), (70, 61)])
def test_peaks_random(device: Device, size: Size, dtype: str) -> None:
    rng = np.random.default_rng(10)
    coarse = np.round(rng.random((3, *size)) * 6) / 8  # neighbors are often equal
    coarse[1] = rng.random(size)
    for capacity in (1, 7, 40, 2000):
        _, counts = both_peaks(device, coarse.astype(dtype), 0.4, capacity)
        assert size != (70, 61) or counts.max() > 40  # more than are listed


def test_peaks_adversarial(device: Device) -> None:
    size = (50, 47)  # more than one stretch of a block
    maps = np.zeros((9, *size), np.float32)
    maps[1] = 0.5  # one peak, the first pixel
    maps[2, ::2, ::2] = 1.0  # as many as can be
    maps[3, :, 20] = 1.0  # a ridge: its first pixel
    maps[4] = np.arange(size[0] * size[1]).reshape(size) / 5000  # the last pixel
    maps[5, 43, 26:28] = 0.9  # pixels 2047 and 2048 of the map, where one stretch ends
    maps[6, 10, 10], maps[6, 30, 30] = np.nan, 0.9
    maps[7, 49, 46] = np.inf
    maps[8, 0, 0] = -np.inf
    _, counts = both_peaks(device, maps, 0.1, 30)
    assert counts.tolist() == [0, 1, 25 * 24, 1, 1, 1, -1, -1, -1]
    both_peaks(device, maps, 0.9, 3)  # the threshold itself is not above it
    both_peaks(device, maps, -1.0, 3)
    both_peaks(device, maps, np.nan, 3)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("samples", [2, 10])
def test_scores(device: Device, samples: int, dtype: str) -> None:
    rng = np.random.default_rng(11)
    joints, capacity, limbs = 5, 12, np.array([[0, 1], [1, 2], [3, 4], [4, 4], [2, 0]], np.int32)
    fields = rng.normal(0.2, 0.4, (len(limbs), 2, 23, 31)).astype(dtype)
    fields[2, 0] = 0.7
    fields[3, 1, 5, 5], fields[4, 0, 6:9] = np.nan, np.inf
    peaks = rng.uniform(-1, 32, (joints, capacity, 3)).astype(np.float32)
    peaks[1, :3, :2] = peaks[0, :3, :2]  # limbs of no length
    counts = np.array([12, 30, 5, 0, 9], np.int32)  # 30: more than are listed
    for overflowed in (False, True):
        counts[3] = -1 if overflowed else 3
        found = device.empty((len(limbs), capacity, capacity), np.float32)
        there = (device.upload(array) for array in (fields, peaks, counts, limbs))
        device.launch(cuda.paf_score(*there, found, samples, 0.05, 0.6))
        expected = np.empty(found.shape, np.float32)
        assert choice.native is not None
        choice.native.paf_score(fields, peaks, counts, limbs, samples, 0.05, -(-samples * 6 // 10), expected, 1)
        assert_same(device, device.download(found), expected)
        assert (expected > 0).any() and not np.isfinite(expected).all()


# onestage_people


def both_people(device: Device, rows: Array, score: float, iou: float | None, limit: int) -> Array:
    """The host's people, also of an overflowed network; asserts that the device's are the same."""
    inverse = inverses(np.random.default_rng(12), len(rows))
    out = device.empty((len(rows), limit, rows.shape[2]), np.float32)
    device.launch(cuda.onestage_people(device.upload(rows), device.upload(inverse), out, score, iou))
    expected = np.empty(out.shape, np.float32)
    with contextlib.suppress(ModelError):
        kernels.onestage_people(rows, inverse, score, iou, limit, out=expected)
    assert_same(device, device.download(out), expected)
    return expected


def random_candidates(rng: np.random.Generator, images: int, count: int, joints: int, dtype: str) -> Array:
    """[N, M, 5 + 3K]: clusters of boxes, with scores of which many are equal."""
    middle = rng.uniform(0, 300, (images, 6, 2))[:, rng.integers(0, 6, count)] + rng.normal(0, 5, (images, count, 2))
    half = rng.uniform(0, 60, (images, count, 2))
    scores = np.round(rng.random((images, count, 1)), 1)
    found = rng.uniform(0, 300, (images, count, 3 * joints))
    return np.concatenate([middle - half, middle + half, scores, found], axis=2).astype(dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("iou", [None, 0.0, 0.5])
def test_people_random(device: Device, iou: float | None, dtype: str) -> None:
    rng = np.random.default_rng(13)
    for images, count, joints, limit in ((1, 1, 17, 1), (2, 31, 2, 40), (1, 1500, 3, 25), (3, 2049, 0, 300)):
        found = both_people(device, random_candidates(rng, images, count, joints, dtype), 0.3, iou, limit)
        assert (found[..., 4] > 0).any() or count == 1


def test_people_adversarial(device: Device) -> None:
    rows = random_candidates(np.random.default_rng(14), 8, 1100, 2, "float32")
    rows[0, :, 4] = 0  # nobody
    rows[1, :, :5] = (0, 0, 10, 10, 0.5)  # the first of equals
    rows[2, 1099, 4] = np.nan
    rows[3, 5, 4] = np.inf
    rows[4, 0, 4], rows[4, 0, 6] = 1.0, np.nan  # a person with a joint that is no number
    rows[5, 0, 4], rows[5, 0, 2] = 1.0, np.nan  # and one with such a box
    rows[6, :, 2:4] = rows[6, :, :2] - 1  # boxes with exchanged corners
    rows[7, 1023:1025, 4] = 1.0  # the last of one thread and the next of the first
    found = both_people(device, rows, 0.3, 0.4, 30)
    assert not found[0].any() and (found[1, :, 4] > 0).sum() == 1
    assert np.isnan(found[2:6]).any(axis=(1, 2)).all() and np.isfinite(found[6:]).all()
