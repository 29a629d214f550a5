"""Ray casting of rounded, flattened cones and ellipsoids into a small G-buffer, with numpy.

A figure has about forty solids. Each solid is cast over its own bounding box. The ray-surface equations are quadratic
in the pixel, so a solid takes a few dozen array operations. The rounded cone follows I. Quilez, "Rounded cone:
intersection" (iquilezles.org, 2018), extended by a metric that flattens the cone. Surfaces that meet are blended with
the polynomial smooth minimum, so that the solids look like one body.

The space is `xyz_px`: x and y are image pixels (centers at integers), and z is the depth in the same unit, which grows
away from the camera. For a perspective camera, z = f ln(Z), so that a solid keeps its shape and every ray is parallel
to z.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Bytes = NDArray[np.uint8]

Window = tuple[int, int, int, int]  # x0, y0, x1, y1 in the image; x1 and y1 are excluded

FAR = 1e6  # depth of pixels without a surface


@dataclass(frozen=True)
class Solids:
    """P solids. A solid whose ends a and b coincide is an ellipsoid."""

    a_xyz_px: NDArray[np.float64]  # [P, 3] center of the first ball
    b_xyz_px: NDArray[np.float64]  # [P, 3] center of the second
    radius_a_px: NDArray[np.float64]  # [P] in the metric of the solid
    radius_b_px: NDArray[np.float64]  # [P]
    reach_px: NDArray[np.float64]  # [P] largest distance from the axis at which the solid is visible
    metric: NDArray[np.float64]  # [P, 3, 3] symmetric; identity for a round solid
    blend_px: NDArray[np.float64]  # [P] width of the blend with earlier solids
    part: Bytes  # [P]
    material: Bytes  # [P, 2] material before and after `split`
    split: NDArray[np.float64]  # [P] along the axis, 0..1
    hem: NDArray[np.bool_]  # [P] whether the solid ends with a flat cut at b, like a sleeve or a skirt

    def bounds(self) -> NDArray[np.float64]:
        """Return the bounding box of each solid, [P, 4] float64 (x0, y0, x1, y1), pixels."""
        low = np.minimum(self.a_xyz_px, self.b_xyz_px)[:, :2] - self.reach_px[:, None]
        high = np.maximum(self.a_xyz_px, self.b_xyz_px)[:, :2] + self.reach_px[:, None]
        return np.concatenate([low, high], axis=1)


@dataclass(frozen=True)
class Surface:
    """The first surface that the rays of a window hit; part 0 is no surface."""

    left: int  # the window's first pixel in the image
    top: int
    depth_px: Float  # [h, w], FAR without a surface
    part: Bytes  # [h, w]
    material: Bytes  # [h, w]


def cast(
    solids: Solids,
    size: tuple[int, int],  # the image's (height, width)
) -> Surface | None:
    """Cast all solids.

    Args:
        solids: The solids.
        size: The (height, width) of the image, pixels.

    Returns:
        The surface inside the image, or None if all solids are outside.
    """
    bounds = solids.bounds()
    height, width = size
    left, top = (max(0, int(np.floor(v))) for v in bounds[:, :2].min(axis=0))
    right, bottom = (
        min(limit, int(np.ceil(v)) + 1) for v, limit in zip(bounds[:, 2:].max(axis=0), (width, height), strict=True)
    )
    if left >= right or top >= bottom:
        return None
    shape = (bottom - top, right - left)
    surface = Surface(left, top, np.full(shape, FAR, np.float32), np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))
    rows = _coefficients(solids)
    with np.errstate(invalid="ignore"):  # A ray that misses takes the square root of a negative number.
        for i, (x0, y0, x1, y1) in enumerate(bounds.tolist()):
            window = (
                max(left, int(np.floor(x0))),
                max(top, int(np.floor(y0))),
                min(right, int(np.ceil(x1)) + 1),
                min(bottom, int(np.ceil(y1)) + 1),
            )
            if window[0] < window[2] and window[1] < window[3]:
                before, after = solids.material[i].tolist()
                _cast_one(surface, rows[i], window, int(solids.part[i]), (before, after))
    return surface


# fmt: off
def _coefficients(solids: Solids) -> list[list[float]]:
    """Return the scalars in each solid's equations, one row per solid.

    They are computed at once, so that the loop over solids does only array operations.
    """
    axis = solids.b_xyz_px - solids.a_xyz_px
    g = solids.metric
    g_axis = np.einsum("pij,pj->pi", g, axis)
    length = np.sqrt(np.maximum((axis * g_axis).sum(1), 1e-12))
    ball = length <= 1.001 * np.abs(solids.radius_a_px - solids.radius_b_px) + 1e-3
    columns = [solids.a_xyz_px, solids.radius_a_px[:, None], solids.radius_b_px[:, None], length[:, None],
        g_axis / length[:, None], g[:, 0, 0, None], g[:, 0, 1, None], g[:, 1, 1, None], g[:, 2], ball[:,
        None], solids.blend_px[:, None], solids.split[:, None], solids.hem[:, None]]
    rows: list[list[float]] = np.concatenate(columns, axis=1).tolist()
    return rows
# fmt: on


def _front(b: Float, c: Float, a: float) -> Float:
    """Return the nearer root of a t^2 + 2 b t + c = 0, or NaN, which `fmin` ignores, if there is none."""
    root = b * b
    root -= a * c
    np.sqrt(root, out=root)
    root += b
    root *= -1.0 / a
    return root


def _cast_one(surface: Surface, row: list[float], window: Window, part: int, material: tuple[int, int]) -> None:
    """Cast one solid over `window` and merge it into `surface`, mostly in place because this is the hot loop."""
    ax, ay, az, ra, rb, length, ux, uy, uz, g00, g01, g11, g20, g21, g22, ball, blend, split, hem = row
    x: Float = np.arange(window[0], window[2], dtype=np.float32)[None, :] - np.float32(ax)
    y: Float = np.arange(window[1], window[3], dtype=np.float32)[:, None] - np.float32(ay)
    # Products in the metric of the ray's direction and the pixel's offset from a; `square` is reduced by the squared
    # radius of the first ball.
    toward: Float = g20 * x + g21 * y
    square: Float = (g00 * x * x - ra * ra) + g11 * (y * y)
    if g01:
        square += (2.0 * g01 * x) * y
    t = _front(toward, square, g22)
    painted: int | Bytes = material[0]
    if not ball:
        slope = (ra - rb) / length
        c2 = 1.0 - slope * slope
        k2 = c2 * g22 - uz * uz
        k2 = k2 if abs(k2) > 1e-5 else 1e-5
        bent: Float = ux * x + (uy * y - slope * ra)
        k1: Float = (c2 * g20 - uz * ux) * x + ((c2 * g21 - uz * uy) * y + uz * slope * ra)
        k0: Float = c2 * square
        k0 -= bent * bent
        side = _front(k1, k0, k2)
        foot = uz * side
        foot += bent
        np.copyto(side, np.nan, where=(foot <= 0.0) | (foot >= length * c2))
        np.fmin(t, side, out=t)
        if not hem:
            end: Float = (-2.0 * length) * bent
            end += square
            end += length * length + ra * ra - rb * rb - 2.0 * length * slope * ra
            np.fmin(t, _front(toward - uz * length, end, g22), out=t)
        if material[0] != material[1]:
            painted = np.where(bent + uz * t < split * length * c2, np.uint8(material[0]), np.uint8(material[1]))
    t += np.float32(az)
    _merge(surface, window, t, blend, part, painted)


def _merge(surface: Surface, window: Window, new: Float, blend: float, part: int, material: int | Bytes) -> None:
    """Keep the nearer surface, and round the seam over `blend` pixels of depth (polynomial smooth minimum)."""
    top, left = surface.top, surface.left
    at = (slice(window[1] - top, window[3] - top), slice(window[0] - left, window[2] - left))
    old = surface.depth_px[at]
    won = new < old
    gap = np.abs(old - new)
    np.fmin(old, new, out=old)
    np.subtract(blend, gap, out=gap)
    np.fmax(gap, 0.0, out=gap)
    gap *= gap
    gap *= 0.25 / blend
    old -= gap
    np.copyto(surface.part[at], np.uint8(part), where=won)
    np.copyto(surface.material[at], material, where=won, casting="unsafe")


def normals(surface: Surface) -> Float:
    """Compute unit normals from the slope of the depth.

    The slope on each axis is the smaller of the slopes to both sides, so that edges stay sharp.

    Args:
        surface: The surface, [h, w].

    Returns:
        [3, h, w] float32; z < 0 points toward the camera.
    """
    depth = np.pad(surface.depth_px, 1, constant_values=FAR)
    out = np.empty((3, *surface.depth_px.shape), np.float32)
    for axis, channel in ((1, out[0]), (0, out[1])):
        step = np.diff(depth, axis=axis)
        step = step[1:-1, :] if axis == 1 else step[:, 1:-1]
        before, after = (step[:, :-1], step[:, 1:]) if axis == 1 else (step[:-1], step[1:])
        np.copyto(channel, np.where(np.abs(before) < np.abs(after), before, after))
    np.clip(out[:2], -6.0, 6.0, out=out[:2])
    out[2] = -1.0
    out /= np.sqrt(out[0] * out[0] + out[1] * out[1] + 1.0)
    return out


@dataclass(frozen=True)
class Camera:
    """A pinhole camera in `xyz_world`, whose own axes are right, down and away."""

    rotation: NDArray[np.float64]  # [3, 3] world to camera
    xyz_world: NDArray[np.float64]  # [3] position
    focal_px: float
    center_xy_image: NDArray[np.float64]  # [2] principal point

    def away_m(self, xyz_world: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the distance along the camera's axis, at least 0.1 m.

        Args:
            xyz_world: [..., 3] float, meters.

        Returns:
            [...] float64, meters.
        """
        return np.asarray(np.maximum((xyz_world - self.xyz_world) @ self.rotation[2], 0.1))

    def project(self, xyz_world: NDArray[np.float64]) -> NDArray[np.float64]:
        """Project points to image coordinates and depth in pixels.

        Args:
            xyz_world: [..., 3] float, meters.

        Returns:
            `xyz_px`, [..., 3] float64.
        """
        xyz = (xyz_world - self.xyz_world) @ self.rotation.T
        away = np.maximum(xyz[..., 2:], 0.1)
        return np.concatenate(
            [self.focal_px * xyz[..., :2] / away + self.center_xy_image, self.focal_px * np.log(10.0 * away)],
            axis=-1,
        )


def look_at(
    eye_xyz_world: NDArray[np.float64],  # [3]
    target_xyz_world: NDArray[np.float64],  # [3]
    roll_deg: float = 0.0,
) -> NDArray[np.float64]:
    """Return the rotation of a camera that looks at a point.

    Args:
        eye_xyz_world: The position of the camera, [3] float, meters.
        target_xyz_world: The point, [3] float, meters.
        roll_deg: The rotation about the camera's axis, degrees.

    Returns:
        The rotation world -> camera, [3, 3] float64.
    """
    away = target_xyz_world - eye_xyz_world
    away = away / np.linalg.norm(away)
    right = np.cross(away, (0.0, 1.0, 0.0))
    right /= np.linalg.norm(right)
    down = np.cross(away, right)
    c, s = np.cos(np.deg2rad(roll_deg)), np.sin(np.deg2rad(roll_deg))
    return np.stack([c * right + s * down, c * down - s * right, away])
