"""`warp_normalize` by OpenCV: image -> the network's input, one crop per matrix.

The definition: bilinear interpolation at the inverse-mapped pixel centres, zeros (black) outside the
image as in every peer's pre-processing, rounded to a level 0..255, then (level - mean) / std per channel.
OpenCV 5 computes exactly this. OpenCV 4 rounds the position to 1/32 pixel first, which moves a level by
at most 1/32 of the local contrast: below what JPEG does to it.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from edgepose._checks import Array, check_array
from edgepose.artifacts.spec import InputSpec
from edgepose.pose.geometry import Size

LARGEST_COPY = 10  # image pixels for each pixel of the crop


def warp_normalize(
    image: Array,  # [H, W, 3] uint8 BGR
    matrices: Array,  # [N, 2, 3] float, image -> crop
    spec: InputSpec,
    *,
    size: Size | None = None,
) -> Array:
    """[N, 3, h, w] float32: the crops, in the spec's size, colour order and normalisation.

    `size` (height, width) stands in for the spec's where training grows the resolution.
    Raises ValueError for arrays of another shape or type and for matrices that cannot be inverted.
    """
    check_array("image", image, ("H", "W", 3), np.uint8)
    n = check_array("matrices", matrices, ("N", 2, 3))["N"]
    _check_invertible(matrices)
    height, width = size or spec.size
    crops = np.empty((n, 3, height, width), np.float32)
    tables = _tables(spec.mean, spec.std)
    for crop, matrix in zip(crops, matrices.astype(np.float64), strict=True):
        planes = cv2.split(_warp(image, matrix, (height, width)))[:3]
        ordered = planes if spec.color == "bgr" else planes[::-1]
        for plane, table, target in zip(ordered, tables, crop, strict=True):
            cv2.LUT(plane, table, dst=target)
    return crops


def _warp(image: Array, matrix: Array, size: Size) -> Array:
    """[h, w, 3 or 4] uint8. OpenCV samples four channels at twice the speed of three, so the part that the
    crop sees is copied into four first, unless it is so large that copying costs more than it saves."""
    height, width = size
    inverse = cv2.invertAffineTransform(matrix)
    middle = inverse @ ((width - 1) / 2, (height - 1) / 2, 1)
    reach = np.abs(inverse[:, :2]) @ (width / 2, height / 2) + 2  # and a pixel or two to interpolate with
    low = np.maximum(middle - reach, 0).astype(int)
    high = np.minimum(middle + reach, image.shape[1::-1]).astype(int)
    columns, rows = (high - low).tolist()
    if min(columns, rows) < 1 or rows * columns > LARGEST_COPY * height * width:
        return np.asarray(cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR))
    part = cv2.cvtColor(image[low[1] : high[1], low[0] : high[0]], cv2.COLOR_BGR2BGRA)
    moved = np.column_stack([matrix[:, :2], matrix @ (*low, 1)])
    return np.asarray(cv2.warpAffine(part, moved, (width, height), flags=cv2.INTER_LINEAR))


def _check_invertible(matrices: Array) -> None:
    linear = matrices[:, :, :2]
    det = linear[:, 0, 0] * linear[:, 1, 1] - linear[:, 0, 1] * linear[:, 1, 0]
    if not (np.abs(det) > 1e-12).all() or not np.isfinite(matrices).all():
        raise ValueError(f"matrices: expected invertible affine maps, got {matrices.tolist()}")


@lru_cache(maxsize=8)
def _tables(mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[Array, ...]:
    """One [1, 256] float32 table a channel, in the network's order: level -> (level - mean) / std."""
    levels = np.arange(256, dtype=np.float64)
    return tuple(((levels - m) / s).astype(np.float32)[None] for m, s in zip(mean, std, strict=True))
