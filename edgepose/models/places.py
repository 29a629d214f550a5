"""Convert between coordinates and heatmaps inside a network, with operations that ONNX can represent.

Coordinates are relative to the crop: -0.5 is its left or top edge and 0.5 its right or bottom edge (the "centered"
range of `codecs.regression`). They are therefore valid for the image and for maps of any resolution.

Run only the tests of this module: `pytest tests/models/test_places.py`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from edgepose.pose.geometry import Size


def render(
    pose: Tensor,  # [B, K, 2]
    size: Size,
    sigma: float,  # in cells of the maps
) -> Tensor:
    """Draw a Gaussian with peak value 1 at each joint, as `codecs.heatmap.encode` does.

    Args:
        pose: Coordinates [B, K, 2], x before y, -0.5 to 0.5 over the crop.
        size: Height and width of the maps in cells.
        sigma: Standard deviation of the Gaussian in cells.

    Returns:
        Heatmaps [B, K, H, W].
    """
    bells = []
    for axis, count in ((1, size[0]), (0, size[1])):
        away = (_pixels(count, pose) - pose[..., axis, None]) * (count / sigma)
        bells.append(torch.exp(-0.5 * away * away))
    return bells[0][..., :, None] * bells[1][..., None, :]


def peaks(
    maps: Tensor,  # [B, K, H, W]
) -> tuple[Tensor, Tensor]:
    """Find the highest cell of each map.

    Args:
        maps: Heatmaps [B, K, H, W].

    Returns:
        The coordinates [B, K, 2] of the center of the highest cell, and its value [B, K].
    """
    height, width = (int(n) for n in maps.shape[2:])
    flat = maps.flatten(2)
    at = flat.argmax(dim=2)
    x = _pixels(width, maps).repeat(height)
    y = _pixels(height, maps).repeat_interleave(width)
    return torch.stack([x[at], y[at]], dim=2), flat.amax(dim=2)


def windows(
    maps: Tensor,  # [B, C, H, W]
    centers: Tensor,  # [B, K, 2]
    extent: Tensor,  # [B or 1, K or 1, 2], width and height as fractions of the crop
    size: Size,
) -> Tensor:
    """Cut a window around each center. Sampling is bilinear; positions outside the crop read as zero.

    Args:
        maps: Images or feature maps [B, C, H, W].
        centers: Coordinates [B, K, 2] of the centers of the windows, -0.5 to 0.5 over the crop.
        extent: Width and height [B or 1, K or 1, 2] of a window, as fractions of the width and height of the crop.
        size: Height and width of a window in pixels.

    Returns:
        The windows [B * K, C, h, w].
    """
    channels, joints = int(maps.shape[1]), int(centers.shape[1])
    height, width = size
    x = centers[..., 0, None] + _pixels(width, maps) * extent[..., 0, None]  # [B, K, w]
    y = centers[..., 1, None] + _pixels(height, maps) * extent[..., 1, None]
    grid = torch.stack([(x[..., None, :] + 0 * y[..., :, None]), (y[..., :, None] + 0 * x[..., None, :])], dim=-1)
    flat = 2 * grid.reshape(-1, joints * height, width, 2)  # grid_sample takes coordinates from -1 to 1
    found = functional.grid_sample(maps, flat, mode="bilinear", padding_mode="zeros", align_corners=False)
    return found.reshape(-1, channels, joints, height, width).transpose(1, 2).reshape(-1, channels, height, width)


def _pixels(count: int, like: Tensor) -> Tensor:
    """Return the centers [count] of the pixels along one axis, -0.5 to 0.5."""
    return (torch.arange(count, dtype=like.dtype, device=like.device) + 0.5) / count - 0.5
