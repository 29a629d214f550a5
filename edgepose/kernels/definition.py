"""The definition of `warp_normalize` in plain numpy and double precision, slow but easy to read.

The tests compare the host extension and the CUDA kernels with it. The other operations are defined in
`edgepose.codecs`.
"""

from __future__ import annotations

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.spec import InputSpec
from edgepose.kernels.options import Finish, WarpOptions, finish
from edgepose.pose.geometry import apply_affine, invert_affine


def warp_normalize(
    image: Array,  # [H, W, 3], [H, W] uint8; NV12: its luma plane
    chroma: Array | None,  # [H / 2, W] uint8
    matrices: Array,  # [N, 2, 3] image -> crop
    spec: InputSpec,
    options: WarpOptions,
) -> Array:
    """Cut and normalize crops as `edgepose.kernels.warp_normalize` must.

    Args:
        image: [H, W, 3] or [H, W] uint8; for NV12 its luma plane.
        chroma: [H / 2, W] uint8, the second plane of NV12; None otherwise.
        matrices: [N, 2, 3] float, image -> crop.
        spec: Size, color order and normalization.
        options: How the frame is stored, and the layout of crops; the type is ignored.

    Returns:
        [N, 3, h, w] or [N, h, w, 3] float64.
    """
    constants = finish(spec, options)
    stored = _stored(image, chroma)
    crops = np.stack([_crop(stored, matrix, spec, constants) for matrix in matrices])
    return crops if options.layout == "hwc" else crops.transpose(0, 3, 1, 2)


def _stored(image: Array, chroma: Array | None) -> Array:
    """Return every pixel as the frame stores it, [H, W, 3] float64; a U, V pair of NV12 belongs to 2x2 pixels."""
    if chroma is not None:
        pairs = chroma.reshape(chroma.shape[0], -1, 2).repeat(2, axis=0).repeat(2, axis=1)
        return np.dstack([image, pairs]).astype(np.float64)
    return (image if image.ndim == 3 else np.dstack([image] * 3)).astype(np.float64)


def _crop(stored: Array, matrix: Array, spec: InputSpec, constants: Finish) -> Array:
    """Return the blended, converted and normalized pixels of a crop, [h, w, 3]."""
    height, width = spec.size
    at = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float64)
    levels = _blend(stored, apply_affine(invert_affine(matrix), at), constants)
    if constants.color[0]:
        color = np.array(constants.color).reshape(3, 4)
        levels = np.clip(levels @ color[:, :3].T + color[:, 3], 0, 255)
    return levels[..., list(constants.channel)] * constants.scale + constants.shift


def _blend(stored: Array, xy: Array, constants: Finish) -> Array:
    """Return the bilinear mean of the four pixels around each position [h, w, 2], as [h, w, 3]."""
    corner = np.floor(xy).astype(np.int64)
    fx, fy = np.moveaxis((xy - corner)[..., None], 2, 0)
    x, y = np.moveaxis(corner, 2, 0)
    above = (1 - fx) * _pixels(stored, x, y, constants) + fx * _pixels(stored, x + 1, y, constants)
    below = (1 - fx) * _pixels(stored, x, y + 1, constants) + fx * _pixels(stored, x + 1, y + 1, constants)
    return np.asarray((1 - fy) * above + fy * below)


def _pixels(stored: Array, x: Array, y: Array, constants: Finish) -> Array:
    """Return the pixels at integer positions, [h, w, 3], by the border rule outside the frame."""
    height, width = stored.shape[:2]
    found = stored[y.clip(0, height - 1), x.clip(0, width - 1)]
    if constants.replicate:
        return np.asarray(found)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    outside = [constants.outside >> bit & 255 for bit in (0, 8, 16)]
    return np.where(inside[..., None], found, outside)
