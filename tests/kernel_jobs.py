"""Jobs of the loops in csrc/cpu, with what the host extension made of them, as one file.

tests/kernels/elsewhere/run_jobs.cpp reads it on processors that no Python runs on here. What csrc/bind.cpp works out
for the loops (positions in fixed point, matrices from a grid to the image) is worked out here once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from types import ModuleType

import numpy as np
from kernel_cases import MAPS, frame, inverses, maps, random_matrix
from numpy.random import Generator

from edgepose._checks import Array
from edgepose.artifacts.spec import InputSpec
from edgepose.codecs import affinity, grids, refine
from edgepose.kernels import (
    WarpOptions,
    heatmap_peak,
    onestage_people,
    paf_peaks,
    paf_score,
    regress_to_image,
    simcc_peak,
    warp_normalize,
)
from edgepose.kernels.joints import BLURRED, REFINE
from edgepose.kernels.options import PIXELS, YUV, finish

STORED = {"bgr": 0, "rgb": 0, "gray": 1, "nv12": 2}  # csrc/core/warp_normalize.h, enum Pixels
FUSED, SEPARATE = ("avx512", "avx2", "neon"), ("sse2", "generic")
HALVES = (np.float32, np.float16)

# The operation's name, what the program reads, and what the extension computes
Job = tuple[str, list[Array], Callable[[], Array]]


def write_jobs(path: Path, extension: ModuleType) -> int:
    """Write every job with its outputs, fused and separate; how many there are. Both kinds of set must be here."""
    with path.open("wb") as file:
        count = 0
        for name, inputs, compute in _jobs(np.random.default_rng(0)):
            fused, separate = (_computed(extension, kind, compute) for kind in (FUSED, SEPARATE))
            for array in (np.frombuffer(name.encode(), np.uint8), *inputs, fused, separate):
                data = array.tobytes()
                file.write(np.uint64(len(data)).tobytes() + data)
            count += 1
    return count


def _computed(extension: ModuleType, kind: tuple[str, ...], compute: Callable[[], Array]) -> Array:
    before = extension.instruction_set()
    extension.select(next(name for name in kind if name in extension.instruction_sets()))
    try:
        return compute()
    finally:
        extension.select(before)


def _jobs(rng: Generator) -> Iterator[Job]:
    for pixels, border in product(PIXELS, ("constant", "replicate")):
        for layout, dtype in (("chw", "float32"), ("hwc", "float16")):
            yuv = str(rng.choice(list(YUV)))
            options = WarpOptions(pixels=pixels, border=border, border_level=114, layout=layout, dtype=dtype, yuv=yuv)
            yield _warp(rng, options)
    for method, dtype, size in product(REFINE, HALVES, ((64, 48), (17, 13), (3, 5))):
        for kind in MAPS:
            yield _heatmap(rng, method, maps(rng, (2, 3, *size), kind, dtype))
    for dtype, kind in product(HALVES, MAPS):
        yield _simcc(rng, kind, dtype)
        yield _paf_peaks(rng, kind, dtype)
    for dtype in HALVES:
        yield _regress(rng, dtype)
        yield _paf_score(rng, dtype)
        yield _onestage(rng, dtype)


def _numbers(*values: int) -> Array:
    return np.array(values, np.int32)


def _affines(inverse: Array, scale: tuple[float, float], shift: tuple[float, float]) -> Array:
    """As `composed` in bind.cpp, in its order of operations."""
    rows = inverse.reshape(-1, 3)
    moved = rows[:, 0] * shift[0] + rows[:, 1] * shift[1] + rows[:, 2]
    return np.stack([rows[:, 0] * scale[0], rows[:, 1] * scale[1], moved], axis=1)


def _fixed(matrices: Array) -> Array:
    """[N, 6] uint64: as `inverted` in bind.cpp, in its order of operations."""
    a, b, c, d, e, f = matrices.reshape(-1, 6).T
    det = a * e - b * d
    inverse = [e / det, -b / det, (b * f - e * c) / det, -d / det, a / det, (d * c - a * f) / det]
    return np.rint(np.stack(inverse, axis=1) * 2.0**32).astype(np.int64).view(np.uint64)


def _warp(rng: Generator, options: WarpOptions) -> Job:
    size, spec = (30, 52), InputSpec(size=(24, 37))
    image = frame(rng, size, options.pixels)
    matrices = np.stack([random_matrix(rng, size, spec.size) for _ in range(24)])
    luma, chroma = image if isinstance(image, tuple) else (image, np.zeros(0, np.uint8))
    constants = finish(spec, options)
    numbers = _numbers(
        STORED[options.pixels],
        *size,
        luma.strides[0],
        size[1],
        *spec.size,
        options.layout == "hwc",
        options.dtype == "float16",
        constants.replicate,
        constants.outside,
    )
    floats = [np.array(values, np.float32) for values in (constants.color, constants.scale, constants.shift)]
    inputs = [numbers, _numbers(*constants.channel), *floats, luma, chroma, _fixed(matrices)]
    return "warp_normalize", inputs, lambda: warp_normalize(image, matrices, spec, options)


def _heatmap(rng: Generator, method: str, values: Array) -> Job:
    n, joints, height, width = values.shape
    inverse, sigma, crop = inverses(rng, n), float(rng.uniform(1, 8)), (height * 4, width * 4)
    flipped = maps(rng, values.shape, "blobs", values.dtype.type) if rng.random() < 0.5 else None
    order = list(rng.permutation(joints))
    grid = grids.grid(method, (height, width), crop)
    taps = refine.taps(sigma) if method in BLURRED else np.ones(1)
    inputs = [
        _numbers(*values.shape, values.dtype == np.float16, REFINE[method]),
        _numbers(*order),
        values,
        np.zeros(0) if flipped is None else flipped,
        taps[len(taps) // 2 :].astype(np.float32),
        _affines(inverse, (grid[0, 0], grid[1, 1]), (grid[0, 2], grid[1, 2])),
    ]
    both = None if flipped is None else (flipped, order)
    return "heatmap_peak", inputs, lambda: heatmap_peak(values, inverse, crop, method, sigma=sigma, flipped=both)


def _simcc(rng: Generator, kind: str, dtype: type) -> Job:
    x, y = (maps(rng, (2, 5, 1, bins), kind, dtype)[:, :, 0] for bins in (83, 130))
    inverse = inverses(rng, 2)
    numbers = _numbers(2, 5, 83, 130, dtype is np.float16)
    inputs = [numbers, x, y, _affines(inverse, (1 / 2.0, 1 / 2.0), (0, 0))]
    return "simcc_peak", inputs, lambda: simcc_peak(x, y, inverse, 2.0)


def _regress(rng: Generator, dtype: type) -> Job:
    coords, inverse = rng.normal(0, 1, (9, 17, 3)).astype(dtype), inverses(rng, 9)
    numbers, crop = _numbers(*coords.shape, dtype is np.float16), (256, 192)
    inputs = [numbers, coords, _affines(inverse, (192, 256), (0.5 * 192 - 0.5, 0.5 * 256 - 0.5))]
    return "regress_to_image", inputs, lambda: regress_to_image(coords, inverse, crop)


def _paf_peaks(rng: Generator, kind: str, dtype: type) -> Job:
    values, threshold = maps(rng, (3, 23, 35), kind, dtype), -0.1

    def compute() -> Array:
        peaks, counts = paf_peaks(values, threshold, 40)
        return np.concatenate([peaks.ravel(), counts.view(np.float32)])

    numbers = _numbers(3, 23, 35, 40, dtype is np.float16)
    return "paf_peaks", [numbers, values, np.array([threshold], np.float32)], compute


def _paf_score(rng: Generator, dtype: type) -> Job:
    fields = (rng.normal(0, 0.3, (4, 2, 24, 31)) + 0.5).astype(dtype)
    peaks, counts = rng.uniform(0, 31, (3, 20, 3)).astype(np.float32), np.array([20, 7, 33], np.int32)
    limbs = np.array([[0, 1], [1, 2], [2, 0], [1, 1]], np.int32)
    numbers = _numbers(4, 24, 31, 10, affinity.needed(10, 0.8), 20, dtype is np.float16)
    inputs = [numbers, counts, limbs, fields, peaks, np.array([0.05], np.float32)]
    return "paf_score", inputs, lambda: paf_score(fields, peaks, counts, limbs)


def _onestage(rng: Generator, dtype: type) -> Job:
    low, half = rng.uniform(0, 100, (2, 300, 2)), rng.uniform(1, 40, (2, 300, 2))
    scores, joints = np.round(rng.random((2, 300, 1)), 1), rng.uniform(0, 100, (2, 300, 6))
    rows, inverse = np.concatenate([low, low + half, scores, joints], axis=2).astype(dtype), inverses(rng, 2)
    inputs = [_numbers(*rows.shape, 25, dtype is np.float16), rows, np.array([0.3, 0.5], np.float32), inverse]
    return "onestage_people", inputs, lambda: onestage_people(rows, inverse, 0.3, 0.5, 25)
