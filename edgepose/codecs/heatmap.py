"""Heatmaps: one map per joint, a Gaussian at the joint. The written definition, in plain numpy.

Targets as in SimpleBaseline (Xiao et al., ECCV 2018, section 3), with the center kept continuous instead
of rounded. Decoding takes the highest pixel and refines it: 'quarter' (Newell et al., ECCV 2016, section
3.2), 'dark' (Zhang et al., CVPR 2020, "Distribution-aware coordinate representation", section 3.2), 'udp'
(Huang et al., CVPR 2020, "The devil is in the details", and its published code), or 'argmax' for none.

Coordinates are heatmap pixels with centers at integers. Which crop coordinate one stands for is a question of
the method too: `grid` answers it, for training targets as for decoding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.codecs.overflow import refuse_overflow
from edgepose.errors import SpecError, nearest
from edgepose.pose.geometry import Size, corner_affine, grid_affine

FLOOR = 1e-10  # the least value whose logarithm is taken
LOWEST = np.finfo(np.float32).min
REACH = 3.0  # sigmas; a joint further outside the map than this leaves no trace in it


def grid(method: str, source: Size, target: Size) -> Array:
    """[2, 3] float64: between the pixels of a crop and of its maps, in either direction.

    Maps that are decoded by 'udp' align corner pixels, all others the edges. SpecError for another `method`.
    """
    _check_method(method)
    return (corner_affine if method == "udp" else grid_affine)(source, target)


def encode(
    xy_heatmap: Array,  # [..., K, 2] float
    labeled: Array,  # [..., K] bool
    size: Size,
    sigma: float,
) -> Array:
    """[..., K, h, w] float32: Gaussians of peak 1 at continuous centers, for maps of size (height, width).

    `sigma` is in heatmap pixels. The map is zero where a joint is not labeled, not finite, or more than
    3 sigma outside; use `visible` to mask such joints out of a loss.
    """
    seen = visible(xy_heatmap, labeled, size, sigma)
    center = np.where(seen[..., None], xy_heatmap, 0.0).astype(np.float32)
    across = bell(np.arange(size[1], dtype=np.float32), center[..., 0], sigma)
    down = bell(np.arange(size[0], dtype=np.float32), center[..., 1], sigma) * seen[..., None]
    return np.asarray(down[..., None] * across[..., None, :])


def visible(xy_heatmap: Array, labeled: Array, size: Size, sigma: float) -> Array:
    """[..., K] bool: the joints whose Gaussian reaches into the map (labeled, at most 3 sigma outside)."""
    last = np.array([size[1], size[0]]) - 0.5
    reach = REACH * sigma
    inside = (xy_heatmap >= -0.5 - reach) & (xy_heatmap <= last + reach)  # False for NaN
    return np.asarray(labeled & inside[..., 0] & inside[..., 1], bool)


def bell(grid: Array, center: Array, sigma: float) -> Array:
    """[..., len(grid)]: exp(-(grid - center)^2 / (2 sigma^2)), in the type of grid and center."""
    away = (grid - center[..., None]) * grid.dtype.type(1 / sigma)
    return np.asarray(np.exp(grid.dtype.type(-0.5) * away * away))


def decode(heatmaps: Array, method: str = "quarter", *, sigma: float = 2.0) -> tuple[Array, Array]:
    """The joints of heatmaps [N, K, h, w]: (xy_heatmap [N, K, 2] float32, scores [N, K] float32).

    The highest pixel, the lowest index where several are equal; its value is the score. `method` refines
    it: 'quarter', 'dark', 'udp' or 'argmax'; `sigma`, in heatmap pixels, is what the network was trained with
    and only 'dark' and 'udp' use it. Raises SpecError for another method, ModelError for a map whose peak is
    not finite.
    """
    height, width = check_maps(heatmaps)
    _check_method(method)
    n, joints = heatmaps.shape[:2]
    maps = np.ascontiguousarray(heatmaps, np.float32).reshape(n * joints, height, width)
    at = maps.reshape(n * joints, height * width).argmax(axis=1)
    scores = maps.ravel()[_starts(maps) + at]
    refuse_overflow(scores, "heatmaps")  # argmax stops at a NaN, so none can hide
    y, x = np.divmod(at, width)
    xy = np.empty((n * joints, 2), np.float32)
    xy[:, 0], xy[:, 1] = x, y
    REFINEMENTS[method](maps, x, y, sigma, xy)
    return xy.reshape(n, joints, 2), scores.reshape(n, joints)


def check_maps(heatmaps: Array) -> Size:
    """(height, width) of heatmaps [N, K, h, w]. ValueError for another shape, and for maps without a pixel."""
    if heatmaps.ndim != 4:
        check_array("heatmaps", heatmaps, ("N", "K", "h", "w"))
    height, width = heatmaps.shape[2:]
    if not height * width:
        raise ValueError(f"heatmaps: expected at least one pixel a map, got {list(heatmaps.shape)}")
    return height, width


def _check_method(method: str) -> None:
    if method not in REFINEMENTS:
        raise SpecError(f"codec.decode = {method!r}{nearest(method, REFINEMENTS)}")


def _starts(maps: Array) -> Array:
    """[M]: where each map begins among all pixels."""
    return np.asarray(np.arange(len(maps)) * (maps.shape[1] * maps.shape[2]))


def decode_to_image(
    heatmaps: Array,  # [N, K, h, w]
    inverse: Array,  # [N, 2, 3] float, crop -> image
    crop_size: Size,
    method: str = "quarter",
    *,
    sigma: float = 2.0,
) -> tuple[Array, Array]:
    """As `decode`, in image coordinates: (xy_image [N, K, 2] float32, scores [N, K] float32)."""
    check_array("inverse", inverse, (len(heatmaps), 2, 3))
    xy_heatmap, scores = decode(heatmaps, method, sigma=sigma)
    height, width = heatmaps.shape[2:]
    to_crop = grid(method, (height, width), crop_size)
    linear = inverse[:, :, :2] @ to_crop[:, :2]
    shift = inverse[:, :, :2] @ to_crop[:, 2] + inverse[:, :, 2]
    xy_image = xy_heatmap @ linear.transpose(0, 2, 1) + shift[:, None]
    return xy_image.astype(np.float32), scores


def _stay(maps: Array, x: Array, y: Array, sigma: float, xy: Array) -> None:
    """The highest pixel as it is."""


def _quarter(maps: Array, x: Array, y: Array, sigma: float, xy: Array) -> None:
    """A quarter pixel toward the higher neighbor on each axis; none at the border of that axis."""
    height, width = maps.shape[1:]
    pixels, at = maps.ravel(), _starts(maps) + y * width + x
    for axis, place, stride, count in ((0, x, 1, width), (1, y, width, height)):
        step = stride * ((place > 0) & (place < count - 1))  # 0 at the border: both neighbors are the peak
        after, before = pixels[at + step], pixels[at - step]
        xy[:, axis] += np.float32(0.25) * (after > before) - np.float32(0.25) * (after < before)


def _dark(maps: Array, x: Array, y: Array, sigma: float, xy: Array) -> None:
    """One Newton step on the logarithm of the blurred map (Zhang 2020, equations 5 to 9).

    Only the 5x5 pixels around the peak enter the step, so only they are blurred. The paper's rescaling to
    the old maximum is a constant factor, which the derivative of a logarithm does not see. No step is
    taken within two pixels of the border or where the map is no peak (Hessian not negative definite);
    a step is at most one pixel.
    """
    log = np.log(np.maximum(_blurred_patches(maps, x, y, sigma), FLOOR))
    c = 2  # the peak in the 5x5 patch
    dx = 0.5 * (log[:, c, c + 1] - log[:, c, c - 1])
    dy = 0.5 * (log[:, c + 1, c] - log[:, c - 1, c])
    dxx = 0.25 * (log[:, c, c + 2] - 2 * log[:, c, c] + log[:, c, c - 2])
    dyy = 0.25 * (log[:, c + 2, c] - 2 * log[:, c, c] + log[:, c - 2, c])
    corners = log[:, c + 1, c + 1] - log[:, c - 1, c + 1] - log[:, c + 1, c - 1] + log[:, c - 1, c - 1]
    step = _newton(dx, dy, dxx, 0.25 * corners, dyy)
    xy += np.where(_inside(maps, x, y, 2)[:, None], step, 0.0)


def _udp(maps: Array, x: Array, y: Array, sigma: float, xy: Array) -> None:
    """DARK's step with second differences over one pixel, as in the published code of UDP.

    What the published code does besides is left out: it clips the map at 0.001 and, at the border, repeats the
    last pixel. Here no step is taken within one pixel of the border or where the map is no peak, and a step
    is at most one pixel.
    """
    log = np.log(np.maximum(_blurred_patches(maps, x, y, sigma), FLOOR))
    c = 2
    peak, left, right = log[:, c, c], log[:, c, c - 1], log[:, c, c + 1]
    above, below = log[:, c - 1, c], log[:, c + 1, c]
    dxx, dyy = right - 2 * peak + left, below - 2 * peak + above
    dxy = 0.5 * (log[:, c + 1, c + 1] - right - below + 2 * peak - left - above + log[:, c - 1, c - 1])
    step = _newton(0.5 * (right - left), 0.5 * (below - above), dxx, dxy, dyy)
    xy += np.where(_inside(maps, x, y, 1)[:, None], step, 0.0)


def _newton(dx: Array, dy: Array, dxx: Array, dxy: Array, dyy: Array) -> Array:
    """[M, 2]: the step to the maximum of a quadratic, at most one pixel; none where it has no maximum."""
    det = dxx * dyy - dxy * dxy
    peak = (dxx < 0) & (det > 1e-12)
    safe = np.where(peak, det, 1.0)
    step = np.stack([(dxy * dy - dyy * dx) / safe, (dxy * dx - dxx * dy) / safe], axis=1)
    return np.where(peak[:, None], np.clip(step, -1, 1), 0.0)


def _inside(maps: Array, x: Array, y: Array, border: int) -> Array:
    """[M] bool: the pixels with `border` others on every side."""
    height, width = maps.shape[1:]
    across = (x >= border) & (x < width - border)
    return np.asarray(across & (y >= border) & (y < height - border))


def taps(sigma: float) -> Array:
    """[2 * radius + 1] float64: the Gaussian of 'dark' and 'udp', of sum 1; the paper's 11 for sigma 2, 17 for 3."""
    radius = int(np.ceil(2.5 * sigma))
    values = bell(np.arange(-radius, radius + 1.0), np.zeros(()), sigma)
    return np.asarray(values / values.sum())


def _blurred_patches(maps: Array, x: Array, y: Array, sigma: float) -> Array:
    """[M, 5, 5] float64: the Gaussian-blurred maps around (x, y), zeros outside the map.

    -inf, which a network gives where it masks, counts as the lowest number: its logarithm is FLOOR's all the same.
    """
    blurring = taps(sigma)
    radius = len(blurring) // 2
    blur = np.zeros((5, 2 * radius + 5))
    for row in range(5):
        blur[row, row : row + len(blurring)] = blurring
    offsets = np.arange(-radius - 2, radius + 3)
    rows, columns = y[:, None] + offsets, x[:, None] + offsets
    height, width = maps.shape[1:]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    m = np.arange(len(maps))[:, None, None]
    raw = maps[m, rows.clip(0, height - 1)[:, :, None], columns.clip(0, width - 1)[:, None, :]]
    return np.asarray(blur @ np.where(inside, np.maximum(raw, LOWEST), 0.0) @ blur.T)


# (maps [M, h, w], x [M], y [M], sigma, xy [M, 2] float32): move xy from the highest pixel, in place
Refinement = Callable[[Array, Array, Array, float, Array], None]
REFINEMENTS: dict[str, Refinement] = {"quarter": _quarter, "dark": _dark, "udp": _udp, "argmax": _stay}


def merge_flip(heatmaps: Array, flipped: Array, flip_order: Sequence[int]) -> Array:
    """[N, K, h, w] float32: the mean of the maps and of the mirrored image's maps, mirrored back.

    `flipped` are the maps of crops mirrored by x -> W - 1 - x; `flip_order` is `Skeleton.flip_order()`.
    With either grid a mirrored map lands on the same pixels, so no one-pixel shift is needed.
    """
    check_array("flipped", flipped, heatmaps.shape)
    if sorted(flip_order) != list(range(heatmaps.shape[1])):
        raise ValueError(f"flip_order: expected each of {heatmaps.shape[1]} joints once, got {list(flip_order)}")
    back = flipped[:, list(flip_order), :, ::-1]
    return np.asarray((heatmaps.astype(np.float32) + back) * np.float32(0.5))
