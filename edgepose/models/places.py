"""Between coordinates and maps inside a network: `render`, `peaks`, `windows`, all exportable.

Coordinates are shares of the crop, -0.5 to 0.5 from its left and top edge to the right and bottom one
(`codecs.regression`, "centered"), so they mean the same in an image and in maps of any resolution.

Test alone: `pytest tests/models/test_places.py`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from edgepose.pose.geometry import Size


def render(
    pose: Tensor,  # [B, K, 2]
    size: Size,
    sigma: float,  # in pixels of the maps
) -> Tensor:
    """[B, K, H, W]: a Gaussian of peak 1 at each joint, as `codecs.heatmap.encode` draws them."""
    bells = []
    for axis, count in ((1, size[0]), (0, size[1])):
        away = (_pixels(count, pose) - pose[..., axis, None]) * (count / sigma)
        bells.append(torch.exp(-0.5 * away * away))
    return bells[0][..., :, None] * bells[1][..., None, :]


def peaks(
    maps: Tensor,  # [B, K, H, W]
) -> tuple[Tensor, Tensor]:
    """(coordinates [B, K, 2] of the highest pixel's center, its value [B, K])."""
    height, width = (int(n) for n in maps.shape[2:])
    flat = maps.flatten(2)
    at = flat.argmax(dim=2)
    x = _pixels(width, maps).repeat(height)
    y = _pixels(height, maps).repeat_interleave(width)
    return torch.stack([x[at], y[at]], dim=2), flat.amax(dim=2)


def windows(
    maps: Tensor,  # [B, C, H, W]
    centers: Tensor,  # [B, K, 2]
    extent: Tensor,  # [B or 1, K or 1, 2]: width and height of a window as shares of the crop
    size: Size,
) -> Tensor:
    """[B * K, C, h, w]: a window of `size` pixels around each center, bilinear, zero beyond the crop."""
    channels, joints = int(maps.shape[1]), int(centers.shape[1])
    height, width = size
    x = centers[..., 0, None] + _pixels(width, maps) * extent[..., 0, None]  # [B, K, w]
    y = centers[..., 1, None] + _pixels(height, maps) * extent[..., 1, None]
    grid = torch.stack([(x[..., None, :] + 0 * y[..., :, None]), (y[..., :, None] + 0 * x[..., None, :])], dim=-1)
    flat = 2 * grid.reshape(-1, joints * height, width, 2)  # grid_sample counts from -1 to 1
    found = functional.grid_sample(maps, flat, mode="bilinear", padding_mode="zeros", align_corners=False)
    return found.reshape(-1, channels, joints, height, width).transpose(1, 2).reshape(-1, channels, height, width)


def _pixels(count: int, like: Tensor) -> Tensor:
    """[count]: the centers of pixels, -0.5 to 0.5."""
    return (torch.arange(count, dtype=like.dtype, device=like.device) + 0.5) / count - 0.5
