"""How a heatmap's highest pixel is refined: 'quarter', 'dark', 'udp', or 'argmax' for not at all.

'quarter' is Newell et al., ECCV 2016, section 3.2; 'dark' is Zhang et al., CVPR 2020, "Distribution-aware
coordinate representation", section 3.2; 'udp' is Huang et al., CVPR 2020, "The devil is in the details", with its
published code. All of it is part of the written definition of `codecs.heatmap`, in plain numpy.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgepose._checks import Array

FLOOR = 1e-10  # the lowest value whose logarithm is taken
LOWEST = np.finfo(np.float32).min


def bell(grid: Array, center: Array, sigma: float) -> Array:
    """Evaluate exp(-(grid - center)^2 / (2 sigma^2)).

    Args:
        grid: [n] float, the places.
        center: [...] float.
        sigma: The standard deviation, in units of the grid.

    Returns:
        [..., n], in the type of grid and center.
    """
    away = (grid - center[..., None]) * grid.dtype.type(1 / sigma)
    return np.asarray(np.exp(grid.dtype.type(-0.5) * away * away))


def starts(maps: Array) -> Array:
    """Return [M], the index of each map's first pixel among all pixels.

    Args:
        maps: [M, h, w].
    """
    return np.asarray(np.arange(len(maps)) * (maps.shape[1] * maps.shape[2]))


def _stay(maps: Array, x: Array, y: Array, sigma: float, xy: Array) -> None:
    """The highest pixel as it is."""


def _quarter(maps: Array, x: Array, y: Array, sigma: float, xy: Array) -> None:
    """A quarter pixel toward the higher neighbor on each axis; none at the border of that axis."""
    height, width = maps.shape[1:]
    pixels, at = maps.ravel(), starts(maps) + y * width + x
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
    """Return the Gaussian that 'dark' and 'udp' blur with, of sum 1: [2 * radius + 1] float64.

    Args:
        sigma: The standard deviation, heatmap pixels; 2 gives the paper's 11 taps, 3 gives 17.
    """
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
