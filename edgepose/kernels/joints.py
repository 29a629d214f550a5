"""What a network gave for the people of a frame -> joints in the image, [N, K, 3] of x, y and score.

`edgepose.codecs` is the definition of all three: heatmaps, SimCC vectors, regressed coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array, check_array, check_output
from edgepose.codecs import heatmap, regression, simcc
from edgepose.codecs.overflow import overflowed
from edgepose.errors import SpecError
from edgepose.kernels.choice import native
from edgepose.pose.geometry import Size

if TYPE_CHECKING:
    from edgepose.kernels import _native

REFINE = {"argmax": 0, "quarter": 1, "dark": 2, "udp": 3}  # csrc/core/heatmap_peak.h, enum Refine
BLURRED = ("dark", "udp")
LARGEST_SIGMA = 8.0


def heatmap_peak(
    heatmaps: Array,  # [N, K, h, w] float32 or float16
    inverse: Array,  # [N, 2, 3] float, crop -> image
    crop_size: Size,
    method: str = "quarter",
    *,
    sigma: float = 2.0,
    flipped: tuple[Array, Sequence[int]] | None = None,
    out: Array | None = None,
    threads: int = 1,
) -> Array:
    """[N, K, 3] float32: the joints of heatmaps in image coordinates, as `codecs.heatmap.decode_to_image`.

    `flipped`: the maps of the mirrored crops and `Skeleton.flip_order()`; the mean of both counts, as
    `codecs.heatmap.merge_flip`. `sigma` is in heatmap pixels. Raises ValueError for arrays that do not fit,
    SpecError for another method and for a sigma above 8 where it is used, ModelError for an overflowed network.
    """
    if heatmaps.ndim != 4:
        check_array("heatmaps", heatmaps, ("N", "K", "h", "w"))
    n, joints, height, width = heatmaps.shape
    out = _output(n, joints, out)
    if native is None:
        maps = heatmaps if flipped is None else heatmap.merge_flip(heatmaps, *flipped)
        return _fill(out, *heatmap.decode_to_image(maps, inverse, crop_size, method, sigma=sigma))
    other, order = (None, ()) if flipped is None else (_floats(flipped[0]), tuple(flipped[1]))
    decoding = _decoding(method, sigma, (height, width), tuple(crop_size), order)
    fine = native.heatmap_peak(_floats(heatmaps), other, _matrices(inverse), decoding, out, threads)
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
    """[N, K, 3] float32: the joints of SimCC vectors in image coordinates, as `codecs.simcc.decode_to_image`."""
    if x.ndim != 3:
        check_array("x", x, ("N", "K", "Wx"))
    out = _output(x.shape[0], x.shape[1], out)
    if native is None:
        return _fill(out, *simcc.decode_to_image(x, y, inverse, split))
    fine = native.simcc_peak(_floats(x), _floats(y), _matrices(inverse), split, out, threads)
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
    """[N, K, 3] float32: regressed coordinates in the image, as `codecs.regression.decode_to_image`."""
    if coords.ndim != 3:
        check_array("coords", coords, ("N", "K", "2 or 3"))
    out = _output(coords.shape[0], coords.shape[1], out)
    if native is None:
        return _fill(out, *regression.decode_to_image(coords, inverse, crop_size, range))
    height, width = crop_size
    low = regression.low(range)
    grid = (width, height, -low * width - 0.5, -low * height - 0.5)
    return _refused(
        out, native.regress_to_image(_floats(coords), _matrices(inverse), grid, out, threads), "coordinates"
    )


def _output(n: int, joints: int, out: Array | None) -> Array:
    shape = (n, joints, 3)
    return np.empty(shape, np.float32) if out is None else check_output("out", out, shape, np.float32)


def _fill(out: Array, xy_image: Array, scores: Array) -> Array:
    out[..., :2], out[..., 2] = xy_image, scores
    return out


def _refused(out: Array, fine: bool, what: str) -> Array:
    if not fine:
        raise overflowed(what)
    return out


def _floats(values: Array) -> Array:
    """Contiguous float32 or float16, other types as float32."""
    if values.dtype != np.float32 and values.dtype != np.float16:
        values = values.astype(np.float32)
    return np.ascontiguousarray(values)


def _matrices(inverse: Array) -> Array:
    return np.ascontiguousarray(inverse, np.float64)


@lru_cache(maxsize=64)
def _decoding(method: str, sigma: float, size: Size, crop_size: Size, flip_order: tuple[int, ...]) -> _native.Decoding:
    """What the extension needs to know once for a network."""
    from edgepose.kernels import _native

    matrix = heatmap.grid(method, size, crop_size)
    grid = float(matrix[0, 0]), float(matrix[1, 1]), float(matrix[0, 2]), float(matrix[1, 2])
    return _native.decoding(grid, REFINE[method], half_taps(sigma) if method in BLURRED else [1.0], flip_order)


def half_taps(sigma: float) -> list[float]:
    """The Gaussian of DARK and UDP from its middle outwards. SpecError for a sigma that is too large."""
    if not 0 < sigma <= LARGEST_SIGMA:
        raise SpecError(f"codec.sigma = {sigma}: DARK and UDP decode with at most {LARGEST_SIGMA} heatmap pixels")
    taps = heatmap.taps(sigma)
    return [float(tap) for tap in taps[len(taps) // 2 :]]
