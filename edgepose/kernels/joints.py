"""Joints in the image, [N, K, 3] of x, y and score, from the outputs of a network for the people of a frame.

`edgepose.codecs` defines all three operations, for heatmaps, SimCC vectors and regressed coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.codecs import flips, grids, heatmap, regression, simcc
from edgepose.codecs.overflow import overflowed
from edgepose.codecs.refine import taps
from edgepose.errors import SpecError
from edgepose.kernels.arrays import floats, output, packed
from edgepose.kernels.choice import native
from edgepose.pose.geometry import Size

if TYPE_CHECKING:
    from edgepose.kernels import _native

REFINE = {"argmax": 0, "quarter": 1, "dark": 2, "udp": 3}  # csrc/core/heatmap_peak.h, enum Refine
BLURRED = ("dark", "udp")
LARGEST_SIGMA = 8.0
Grid = tuple[float, float, float, float]  # output coordinates -> crop pixels: scale of x, y, shift of x, y


def heatmap_peak(
    heatmaps: Array,  # [N, K, h, w] float32 or float16
    inverse: Array,  # [N, 2, 3] float, crop -> image
    crop_size: Size,
    method: str = "quarter",
    *,
    sigma: float = 2.0,
    grid: str | None = None,
    offset: float = 0.0,
    flipped: tuple[Array, Sequence[int]] | None = None,
    out: Array | None = None,
    threads: int = 1,
) -> Array:
    """Find the joints of heatmaps in the image, as `codecs.heatmap.decode_to_image`.

    Args:
        heatmaps: [N, K, h, w] float32 or float16.
        inverse: [N, 2, 3] float, crop -> image.
        crop_size: (height, width) of the crops.
        method: How a peak is refined, see `codecs.refine`.
        sigma: The standard deviation that the network was trained with, heatmap pixels.
        grid: Which crop coordinate a heatmap pixel stands for, see `codecs.grids.grid`.
        offset: What is added to that coordinate, crop pixels.
        flipped: The heatmaps of the mirrored crops, which are averaged in as by `codecs.flips.merge_flip` without a
            shift, and `Skeleton.flip_order()`.
        out: [N, K, 3] float32, which is written and returned; None makes a new array.
        threads: The highest number of threads.

    Returns:
        [N, K, 3] float32: x and y in the image, score.

    Raises:
        ValueError: If arrays do not fit.
        SpecError: If the method or the grid is unknown, or sigma is above 8 where it is used.
        ModelError: If the highest value of a map is NaN or infinity.
    """
    size = heatmap.check_maps(heatmaps)
    n, joints = heatmaps.shape[:2]
    out = output((n, joints, 3), np.float32, out)
    if native is None:
        if method in BLURRED:
            half_taps(sigma)  # to refuse what the extension refuses
        maps = heatmaps if flipped is None else flips.merge_flip(heatmaps, *flipped)
        found = heatmap.decode_to_image(maps, inverse, crop_size, method, sigma=sigma, grid=grid, offset=offset)
        return _fill(out, *found)
    order = () if flipped is None else tuple(flipped[1])
    maps, *others = floats(heatmaps) if flipped is None else floats(heatmaps, flipped[0])
    mirrored = others[0] if others else None
    decoding = _decoding(method, sigma, heatmap_grid(method, size, tuple(crop_size), grid, offset), order)
    fine = native.heatmap_peak(maps, mirrored, packed(inverse, np.float64), decoding, out, threads)
    return _refused(out, fine, "heatmaps")


def simcc_peak(
    x: Array,  # [N, K, Wx] float32 or float16
    y: Array,  # [N, K, Wy]
    inverse: Array,  # [N, 2, 3] float, crop -> image
    split: float,
    *,
    out: Array | None = None,
    threads: int = 1,
) -> Array:
    """Find the joints of SimCC vectors in the image, as `codecs.simcc.decode_to_image`.

    Args:
        x: [N, K, Wx] float32 or float16.
        y: [N, K, Wy] float32 or float16.
        inverse: [N, 2, 3] float, crop -> image.
        split: The number of bins per crop pixel.
        out: [N, K, 3] float32, which is written and returned; None makes a new array.
        threads: The highest number of threads.

    Returns:
        [N, K, 3] float32: x and y in the image, score.

    Raises:
        ValueError: If arrays do not fit.
        ModelError: If a highest value is NaN or infinity.
    """
    if x.ndim != 3:
        check_array("x", x, ("N", "K", "Wx"))
    n, joints = x.shape[:2]
    out = output((n, joints, 3), np.float32, out)
    if native is None:
        return _fill(out, *simcc.decode_to_image(x, y, inverse, split))
    fine = native.simcc_peak(*floats(x, y), packed(inverse, np.float64), simcc_grid(split), out, threads)
    return _refused(out, fine, "SimCC vectors")


def regress_to_image(
    coords: Array,  # [N, K, 2] or [N, K, 3] float32 or float16
    inverse: Array,  # [N, 2, 3] float, crop -> image
    crop_size: Size,
    range: str = "centered",
    *,
    out: Array | None = None,
    threads: int = 1,
) -> Array:
    """Convert regressed coordinates to the image, as `codecs.regression.decode_to_image`.

    Args:
        coords: [N, K, 2] or [N, K, 3] float32 or float16.
        inverse: [N, 2, 3] float, crop -> image.
        crop_size: (height, width) of the crops.
        range: The contract's `range`.
        out: [N, K, 3] float32, which is written and returned; None makes a new array.
        threads: The highest number of threads.

    Returns:
        [N, K, 3] float32: x and y in the image, score.

    Raises:
        ValueError: If arrays do not fit.
        SpecError: If the range is unknown.
        ModelError: If a number is NaN or infinity.
    """
    if coords.ndim != 3:
        check_array("coords", coords, ("N", "K", "channels"))
    out = output((*coords.shape[:2], 3), np.float32, out)
    if native is None:
        return _fill(out, *regression.decode_to_image(coords, inverse, crop_size, range))
    grid = regress_grid(crop_size, range)
    fine = native.regress_to_image(*floats(coords), packed(inverse, np.float64), grid, out, threads)
    return _refused(out, fine, "coordinates")


def _fill(out: Array, xy_image: Array, scores: Array) -> Array:
    out[..., :2], out[..., 2] = xy_image, scores
    return out


def _refused(out: Array, fine: bool, what: str) -> Array:
    if not fine:
        raise overflowed(what)
    return out


@lru_cache(maxsize=64)
def _decoding(method: str, sigma: float, grid: Grid, flip_order: tuple[int, ...]) -> _native.Decoding:
    """Return the decoding parameters in the extension's form; they are constant for a network."""
    from edgepose.kernels import _native

    weights = half_taps(sigma) if method in BLURRED else [1.0]
    return _native.decoding(grid, REFINE[method], weights, flip_order)


@lru_cache(maxsize=64)
def heatmap_grid(method: str, size: Size, crop_size: Size, rule: str | None = None, offset: float = 0.0) -> Grid:
    """Return the grid from heatmap pixels to crop pixels.

    Args:
        method: The contract's `decode`.
        size: (height, width) of the heatmaps.
        crop_size: (height, width) of the crops.
        rule: The contract's `grid`.
        offset: The contract's `offset`, crop pixels.
    """
    matrix = grids.to_crop(method, size, crop_size, rule, offset)
    return float(matrix[0, 0]), float(matrix[1, 1]), float(matrix[0, 2]), float(matrix[1, 2])


def simcc_grid(split: float) -> Grid:
    """Return the grid from SimCC bins to crop pixels.

    Args:
        split: The number of bins per crop pixel.
    """
    return 1 / split, 1 / split, 0.0, 0.0


def regress_grid(crop_size: Size, range: str) -> Grid:
    """Return the grid from regressed coordinates to crop pixels.

    Args:
        crop_size: (height, width) of the crops.
        range: The contract's `range`.
    """
    height, width = crop_size
    low = regression.low(range)
    return width, height, -low * width - 0.5, -low * height - 0.5


def half_taps(sigma: float) -> list[float]:
    """Return the Gaussian of 'dark' and 'udp' from its middle outward.

    Args:
        sigma: The standard deviation, heatmap pixels.

    Raises:
        SpecError: If sigma is not above 0, or above 8.
    """
    if not 0 < sigma <= LARGEST_SIGMA:
        raise SpecError(f"codec.sigma = {sigma}: for DARK and UDP, expected above 0 and at most {LARGEST_SIGMA}")
    whole = taps(sigma)
    return [float(tap) for tap in whole[len(whole) // 2 :]]
