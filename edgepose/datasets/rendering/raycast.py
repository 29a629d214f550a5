"""Exact ray casting of rounded, flattened cones and ellipsoids into a small G-buffer, with numpy.

A figure is some forty solids. Each is cast over its own bounding box: the ray-surface equations are
quadratics in the pixel, so a solid costs a few dozen array operations. The rounded cone follows I. Quilez,
"Rounded cone: intersection" (iquilezles.org, 2018), extended by a metric that flattens it. Surfaces that
meet are blended by the polynomial smooth minimum, which turns capsules into flesh.

Space: `xyz_px`, x and y in image pixels (centers at integers), z the depth in the same unit, growing away
from the camera: f ln(Z) for a perspective camera, so that a solid keeps its shape and every ray is parallel
to z. Test alone: `pytest tests/datasets/rendering/test_scenes.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Bytes = NDArray[np.uint8]

Window = tuple[int, int, int, int]  # x0, y0, x1, y1 in the image, the ends excluded

FAR = 1e6  # the depth of nothing


@dataclass(frozen=True)
class Solids:
    """P solids; a solid with a and b in one place is an ellipsoid."""

    a_xyz_px: NDArray[np.float64]  # [P, 3] center of the first ball
    b_xyz_px: NDArray[np.float64]  # [P, 3] center of the second
    radius_a_px: NDArray[np.float64]  # [P] as the metric measures it
    radius_b_px: NDArray[np.float64]  # [P]
    reach_px: NDArray[np.float64]  # [P] how far from its axis the solid may be seen
    metric: NDArray[np.float64]  # [P, 3, 3] symmetric; identity for a round solid
    blend_px: NDArray[np.float64]  # [P] width of the blend into what is drawn before
    part: Bytes  # [P]
    material: Bytes  # [P, 2] before and after `split`
    split: NDArray[np.float64]  # [P] along the axis, 0..1
    hem: NDArray[np.bool_]  # [P] cut square at b, without a ball, as a sleeve or a skirt is

    def bounds(self) -> NDArray[np.float64]:
        """Boxes around each solid: [P, 4] x0, y0, x1, y1 in pixels."""
        low = np.minimum(self.a_xyz_px, self.b_xyz_px)[:, :2] - self.reach_px[:, None]
        high = np.maximum(self.a_xyz_px, self.b_xyz_px)[:, :2] + self.reach_px[:, None]
        return np.concatenate([low, high], axis=1)


@dataclass(frozen=True)
class Surface:
    """What the rays of a window hit first; part 0 is nothing."""

    left: int  # the window's first pixel in the image
    top: int
    depth_px: Float  # [h, w], FAR where nothing is
    part: Bytes  # [h, w]
    material: Bytes  # [h, w]


def cast(
    solids: Solids,
    size: tuple[int, int],  # the image's (height, width)
) -> Surface | None:
    """The surface of all solids inside the image, or None where all of them are outside it."""
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
    with np.errstate(invalid="ignore"):  # a miss is the root of a negative number
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
    """The scalars of every solid's equations, a row each, computed at once: the loop over solids then has
    only array work.
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
    """The nearer root of a t^2 + 2 b t + c = 0, NaN where there is none: `fmin` passes over it, and no
    comparison holds.
    """
    root = b * b
    root -= a * c
    np.sqrt(root, out=root)
    root += b
    root *= -1.0 / a
    return root


def _cast_one(surface: Surface, row: list[float], window: Window, part: int, material: tuple[int, int]) -> None:
    """Cast one solid over `window` and merge it into `surface`. In place where it can be: this is the hot
    loop.
    """
    ax, ay, az, ra, rb, length, ux, uy, uz, g00, g01, g11, g20, g21, g22, ball, blend, split, hem = row
    x: Float = np.arange(window[0], window[2], dtype=np.float32)[None, :] - np.float32(ax)
    y: Float = np.arange(window[1], window[3], dtype=np.float32)[:, None] - np.float32(ay)
    # How the ray's direction and the pixel's offset from a measure in the metric; the square is less the
    # first ball's.
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
    """Keep the nearer surface, rounding the seam over `blend` pixels of depth (the polynomial smooth
    minimum).
    """
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
    """Unit normals from the slope of the depth, [3, h, w], z < 0 toward the camera. Each slope is the
    gentler of its two sides', so edges do not smear.
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
    """A pinhole camera in `xyz_world`; its own axes are right, down and away."""

    rotation: NDArray[np.float64]  # [3, 3] world to camera
    xyz_world: NDArray[np.float64]  # [3] where it stands
    focal_px: float
    center_xy_image: NDArray[np.float64]  # [2] where the axis meets the image

    def away_m(self, xyz_world: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distance along the axis: [..., 3] -> [...], no less than a decimetre."""
        return np.asarray(np.maximum((xyz_world - self.xyz_world) @ self.rotation[2], 0.1))

    def project(self, xyz_world: NDArray[np.float64]) -> NDArray[np.float64]:
        """`xyz_world` to `xyz_px`, [..., 3]: exact image coordinates, and depth in the pixels of that
        depth.
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
    """The rotation [3, 3] from world to the camera that stands at `eye` and looks at `target`."""
    away = target_xyz_world - eye_xyz_world
    away = away / np.linalg.norm(away)
    right = np.cross(away, (0.0, 1.0, 0.0))
    right /= np.linalg.norm(right)
    down = np.cross(away, right)
    c, s = np.cos(np.deg2rad(roll_deg)), np.sin(np.deg2rad(roll_deg))
    return np.stack([c * right + s * down, c * down - s * right, away])
