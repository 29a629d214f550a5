"""Merge maps with those of mirrored crops."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgepose._checks import Array, check_array


def merge_flip(heatmaps: Array, flipped: Array, flip_order: Sequence[int], shift: float = 0.0) -> Array:
    """Average heatmaps with those of the mirrored crops, mirrored back.

    A shift of a whole number of pixels moves the mirrored maps, any other takes the linear mean of two pixels. The
    published code of networks with rule 'stride' shifts by one pixel, which is 1 / stride pixels too far. Beyond the
    border the pixel at the border is taken.

    Args:
        heatmaps: [N, K, h, w] float.
        flipped: [N, K, h, w] float, for crops mirrored by x -> W - 1 - x.
        flip_order: `Skeleton.flip_order()`.
        shift: `mirror_shift` of the grid, heatmap pixels.

    Returns:
        [N, K, h, w] float32.
    """
    check_array("flipped", flipped, heatmaps.shape)
    if sorted(flip_order) != list(range(heatmaps.shape[1])):
        raise ValueError(f"flip_order: expected each of {heatmaps.shape[1]} joints once, got {list(flip_order)}")
    back = _shifted(flipped[:, list(flip_order), :, ::-1], shift)
    return np.asarray((heatmaps.astype(np.float32) + back) * np.float32(0.5))


def _shifted(maps: Array, shift: float) -> Array:
    """Return maps that are moved to the right by `shift` pixels."""
    if not shift:
        return maps
    whole = math.floor(shift)
    part, last = np.float32(shift - whole), maps.shape[-1] - 1
    columns = np.arange(last + 1) - whole
    near = maps[..., columns.clip(0, last)].astype(np.float32)
    if not part:
        return near
    return np.asarray(near * (1 - part) + maps[..., (columns - 1).clip(0, last)] * part)
