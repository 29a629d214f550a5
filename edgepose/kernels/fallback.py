"""The operations without the host extension: `warp_normalize` with OpenCV, decoding with the numpy codecs.

Pixels are blended in float32, as in the extension. OpenCV 4 first rounds a position to 1/32 pixel, which changes a
level by at most 1/32 of the local contrast, less than JPEG compression does. OpenCV 5 does not round.
"""

from __future__ import annotations

import cv2
import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.spec import InputSpec
from edgepose.kernels.options import Finish, WarpOptions, finish
from edgepose.pose.geometry import Size, invert_affine

BORDER = {False: cv2.BORDER_CONSTANT, True: cv2.BORDER_REPLICATE}


def warp_normalize(
    image: Array,  # [H, W, 3], [H, W] uint8; NV12: its luma plane
    chroma: Array | None,  # [H / 2, W] uint8
    matrices: Array,  # [N, 2, 3] image -> crop
    spec: InputSpec,
    options: WarpOptions,
    out: Array,  # [N, 3, h, w] or [N, h, w, 3] float32 or float16
) -> None:
    """Cut and normalize crops with OpenCV.

    Args:
        image: [H, W, 3] or [H, W] uint8; for NV12 its luma plane.
        chroma: [H / 2, W] uint8, the second plane of NV12; None otherwise.
        matrices: [N, 2, 3] float, image -> crop.
        spec: Size, color order and normalization.
        options: How the frame is stored, and the layout of crops.
        out: [N, 3, h, w] or [N, h, w, 3] float32 or float16, which is written.

    Raises:
        ValueError: If a matrix cannot be inverted, or a crop is too far away from the image.
    """
    constants = finish(spec, options)
    planes = out if options.layout == "chw" else out.transpose(0, 3, 1, 2)
    inverses = invert_affine(matrices)
    _check_reach(inverses, spec.size)
    for crop, matrix, inverse in zip(planes, matrices, inverses, strict=True):
        levels = _levels(image, chroma, matrix, inverse, spec.size, constants)
        for c in range(3):
            crop[c] = levels[..., constants.channel[c]] * np.float32(constants.scale[c]) + np.float32(
                constants.shift[c]
            )


def _check_reach(inverses: Array, size: Size) -> None:
    """Refuse crops that are too far away, as the extension does because its positions would overflow."""
    height, width = size
    corners = np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
    if not (np.abs(inverses @ corners) < 2.0**30).all():
        raise ValueError("matrices: expected crops within 2^30 pixels of the image")


def _levels(image: Array, chroma: Array | None, matrix: Array, inverse: Array, size: Size, constants: Finish) -> Array:
    """Return the levels of a crop, [h, w, 3 or 4] float32, computed from the visible part of the image only."""
    height, width = size
    middle = inverse @ ((width - 1) / 2, (height - 1) / 2, 1)
    reach = np.abs(inverse[:, :2]) @ (width / 2, height / 2) + 2  # 2 more pixels for the interpolation
    last = np.array(image.shape[1::-1]) - 1
    low = np.clip(middle - reach, 0, last).astype(int) & ~1  # even, because two pixels of NV12 share a color
    high = np.clip(middle + reach, low, last).astype(int) + 1
    part = _stored(image, chroma, low, high)
    moved = np.column_stack([matrix[:, :2], matrix @ (*low, 1)])
    outside = [constants.outside >> bit & 255 for bit in (0, 8, 16)]
    levels = cv2.warpAffine(
        part,
        moved,
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=BORDER[constants.replicate],
        borderValue=outside,
    )
    if chroma is None:
        return np.asarray(levels)
    color = np.array(constants.color, np.float32).reshape(3, 4)
    return np.asarray(np.clip(levels[..., :3] @ color[:, :3].T + color[:, 3], 0, 255))


def _stored(image: Array, chroma: Array | None, low: Array, high: Array) -> Array:
    """Return a part of the frame, [., ., 4] float32; OpenCV samples four channels faster than three."""
    part = image[low[1] : high[1], low[0] : high[0]]
    if chroma is not None:
        pairs = chroma[low[1] // 2 : (high[1] + 1) // 2, low[0] : (high[0] + 1) // 2 * 2]
        colors = pairs.reshape(len(pairs), -1, 2).repeat(2, axis=0).repeat(2, axis=1)
        return np.dstack([part, colors[: part.shape[0], : part.shape[1]], part]).astype(np.float32)
    kind = cv2.COLOR_GRAY2BGRA if part.ndim == 2 else cv2.COLOR_BGR2BGRA
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(part), kind).astype(np.float32))
