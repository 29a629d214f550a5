"""The solids that form the body and clothes of a figure, the colors of face and shirt, and the shading.

Sizes are fractions of stature, estimated from photographs and anthropometric tables, multiplied by the person's girth.
Features that distinguish front from back and left from right are drawn on purpose: eyes, nose, mouth, hairline,
neckline, feet that point forward, and thumbs.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgepose.datasets.rendering.figures import NODE, SIDES, Proportions, Skeleton
from edgepose.datasets.rendering.look import CLOTH, GLOSS, MATERIAL, Look
from edgepose.datasets.rendering.raycast import FAR, Camera, Solids, Surface, cast, normals

Array = NDArray[np.float64]
Bytes = NDArray[np.uint8]

_SIDED = ("upper_arm", "forearm", "hand", "thigh", "shin", "foot")
PARTS: tuple[str, ...] = (
    "nothing",
    "prop",
    "trunk",
    "neck",
    "head",
    *(f"{side}_{name}" for side, _ in SIDES for name in _SIDED),
)
PART: dict[str, int] = {name: i for i, name in enumerate(PARTS)}


# fmt: off
class _Flesh:
    """Collects solids given in the frames of a skeleton, and projects them all at once."""

    def __init__(self, body: Proportions, bones: Skeleton) -> None:
        self.unit_m, self.girth, self.bones = body.height_m, body.girth, bones
        self._ends: list[Array] = []
        self._rows: list[tuple[float, ...]] = []
        self._stretch: list[tuple[float, float, float]] = []

    def at(self, node: str, left: float = 0.0, up: float = 0.0, forward: float = 0.0) -> Array:
        """Return a point [3] in world space, given by offsets in a node's frame in units of stature."""
        i = NODE[node]
        return np.asarray(self.bones.xyz_world[i] + self.bones.frames[i] @ (self.unit_m * np.array((left,
            up, forward))))

    def cone(
        self,
        part: str,
        a: Array,
        b: Array,
        radius_a: float,
        radius_b: float,
        material: str,
        *,
        after: str = "",
        split: float = 1.0,
        frame: str = "pelvis",
        flat: tuple[float, float, float] = (1, 1, 1),
        blend: float = 0.014,
        girth: bool = True,
        hem: bool = False,
    ) -> None:
        """Add a tapered limb from a to b. Radii and blend are in units of stature.

        `flat` scales the limb along the left, up and forward axes of the frame. `hem` ends the limb with a flat cut
        at b.
        """
        scale = self.unit_m * (self.girth if girth else 1.0)
        reach = max(radius_a, radius_b) * scale * max(1.0, *flat)
        self._ends += [a, b]
        self._stretch.append(flat)
        self._rows.append((radius_a * scale, radius_b * scale, reach, blend * self.unit_m, PART[part],
            MATERIAL[material], MATERIAL[after or material], split, NODE[frame], hem))

    def ball(
        self,
        part: str,
        at: Array,
        radii: tuple[float, float, float],
        material: str,
        *,
        frame: str,
        blend: float = 0.008,
        girth: bool = False,
    ) -> None:
        """Add an ellipsoid, with radii along the left, up and forward axes of the frame in units of stature."""
        mean = sum(radii) / 3.0
        flat = (radii[0] / mean, radii[1] / mean, radii[2] / mean)
        self.cone(part, at, at, mean, mean, material, frame=frame, flat=flat, blend=blend, girth=girth)

    def solids(self, camera: Camera) -> Solids:
        """Return all solids in `xyz_px`."""
        ends, rows, stretch = np.stack(self._ends), np.array(self._rows), np.array(self._stretch)
        px = camera.project(ends)
        scale = camera.focal_px / camera.away_m(ends)
        axes = camera.rotation @ self.bones.frames[rows[:, 8].astype(int)]
        metric = np.einsum("pij,pj,pkj->pik", axes, stretch**-2, axes)
        return Solids(px[0::2], px[1::2], rows[:, 0] * scale[0::2], rows[:, 1] * scale[1::2], rows[:, 2] *
            np.maximum(scale[0::2], scale[1::2]), metric, np.maximum(rows[:, 3] * scale[0::2], 0.6), rows[:,
            4].astype(np.uint8), rows[:, 5:7].astype(np.uint8), rows[:, 7], rows[:, 9] > 0)


def _trunk(flesh: _Flesh, body: Proportions, look: Look) -> None:
    f, hips, wide = body.female, 0.054 * body.hips, body.shoulders
    at, slim = flesh.at, 1.0 - 0.10 * body.female
    bottom = "trousers"
    flesh.cone("trunk", at("right_hip", 0.010, 0.006), at("left_hip", -0.010, 0.006), 0.058, 0.058, bottom,
        frame="pelvis", flat=(1, 1.1, 0.98))
    flesh.cone("trunk", at("pelvis", 0, 0.018), at("chest", 0, 0.0, 0.006), 0.086 * slim * (0.6 + 0.4 * hips
        / 0.054), 0.084 * slim, bottom, after="shirt", split=look.waist, frame="spine", flat=(1, 1, 0.74),
        blend=0.02)
    flesh.cone("trunk", at("chest", 0, -0.004, 0.003), at("chest", 0, 0.058, -0.002), 0.087 * slim, 0.101 *
        wide * (1 - 0.07 * f), "shirt", frame="chest", flat=(1, 1, 0.70), blend=0.02)
    for side, s in SIDES:
        flesh.ball("trunk", at("pelvis", s * 0.040, -0.010, -0.030), (0.046, 0.048, 0.042), bottom,
            frame="pelvis", blend=0.02, girth=True)
        flesh.cone("trunk", at("neck", s * 0.012, 0.012, -0.008), at(f"{side}_shoulder", -s * 0.01, -0.004),
            0.031, 0.034, "shirt", frame="chest", blend=0.026)
        bust = (0.026 + 0.006 * f, 0.027, 0.015 + 0.019 * f)
        flesh.ball("trunk", at("chest", s * 0.040, 0.045 - 0.01 * f, 0.046 + 0.012 * f), bust, "shirt",
            frame="chest", blend=0.026, girth=True)
# fmt: on


def _upper(cover: float) -> float:
    """Return the clothed share of an upper bone when clothes cover `cover` bones.

    The share exceeds 1 where the cloth continues on the next bone; otherwise the last pixels would show skin.
    """
    return cover if cover < 1.0 else 2.0


_NAMES = (*_SIDED, "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "heel", "toe")


# fmt: off
def _limbs(flesh: _Flesh, look: Look) -> None:
    at = flesh.at
    for side, s in SIDES:
        n, sleeve = {name: f"{side}_{name}" for name in _NAMES}, look.sleeve
        wide = look.loose if sleeve > 1 else 1.0
        flesh.cone(n["upper_arm"], at(n["shoulder"], -s * 0.004), at(n["elbow"]), 0.0365 * (1 + 0.3 * (wide
            - 1)), 0.0250 * wide, "shirt", after="skin", split=_upper(sleeve))
        flesh.cone(n["forearm"], at(n["elbow"]), at(n["wrist"]), 0.0255 * wide, 0.0165 * wide, "shirt",
            after="skin", split=sleeve - 1.0)
        if 0.2 < sleeve <= 1.0:  # the wide end of a short sleeve
            flesh.cone(n["upper_arm"], at(n["shoulder"], -s * 0.004), at(n["shoulder"], 0, -0.180 * sleeve),
                0.038, 0.0285 * look.loose, "shirt", blend=0.003, hem=True)
        palm = n["wrist"]
        flesh.cone(n["hand"], at(n["wrist"], 0, -0.008), at(n["wrist"], 0, -0.050), 0.016, 0.0235, "skin",
            flat=(0.5, 1, 1), blend=0.008, frame=palm, girth=False)
        flesh.cone(n["hand"], at(n["wrist"], 0, -0.050), at(n["wrist"], -s * 0.012, -0.088), 0.0215, 0.013,
            "skin", flat=(0.5, 1, 1), blend=0.006, frame=palm, girth=False)
        flesh.cone(n["hand"], at(n["wrist"], 0, -0.018, 0.008), at(n["wrist"], -s * 0.004, -0.052, 0.031),
            0.009, 0.006, "skin", blend=0.004, frame=palm, girth=False)
        _leg(flesh, look, side, s)


def _leg(flesh: _Flesh, look: Look, side: str, s: float) -> None:
    n, at, long = {name: f"{side}_{name}" for name in _NAMES}, flesh.at, look.leg > 1.0 and not look.skirt
    wide = look.loose if long else 1.0
    cover = 0.0 if look.skirt else look.leg
    flesh.cone(n["thigh"], at(n["hip"], s * 0.004, -0.012), at(n["knee"], 0, 0.0, 0.0), 0.0555, 0.0335 *
        wide, "trousers", after="skin", split=_upper(cover))
    flesh.cone(n["shin"], at(n["knee"]), at(n["ankle"]), 0.0325 * wide, 0.0200 * (1 + 1.6 * (wide - 1)),
        "trousers", after="skin", split=cover - 1.0)
    flesh.cone(n["shin"], at(n["knee"], 0, -0.045, -0.011), at(n["knee"], 0, -0.120, -0.008), 0.029 * wide,
        0.021, "trousers" if long else "skin")
    if not long and not look.skirt:
        edge = at(n["hip"], 0, -0.245 * look.leg)
        flesh.cone(n["thigh"], at(n["hip"], s * 0.004, -0.010), edge, 0.0575, (0.0555 - 0.02 * look.leg) *
            look.loose * 1.06, "trousers", blend=0.003, hem=True)
    if look.skirt:
        edge = at(n["hip"], -s * 0.012, -0.245 * look.leg)
        flesh.cone(n["thigh"], at(n["hip"], -s * 0.006, 0.0), edge, 0.066, 0.066 + 0.04 * (look.loose - 1.0)
            * 5 * look.leg, "trousers", blend=0.05, hem=True)
    shoe = n["ankle"]
    flesh.cone(n["foot"], at(n["ankle"], 0, -0.004), at(n["heel"], 0, 0.010, 0.020), 0.0215, 0.022, "shoes",
        blend=0.008, frame=shoe, girth=False)
    flesh.cone(n["foot"], at(n["ankle"], 0, -0.012, 0.012), at(n["toe"], 0, 0.002, -0.022), 0.0195, 0.017,
        "shoes", blend=0.012, frame=shoe, girth=False)
    flesh.cone(n["foot"], at(n["heel"], 0, 0.004, 0.008), at(n["toe"], 0, 0.002, -0.006), 0.0205, 0.0195,
        "shoes", flat=(1, 0.85, 1), blend=0.012, frame=shoe, girth=False)


def _head(flesh: _Flesh, body: Proportions, look: Look) -> None:
    k = body.head

    def at(left: float, up: float, forward: float) -> Array:
        return flesh.at("skull", k * left, k * up, k * forward)

    flesh.cone("neck", flesh.at("neck", 0, -0.012, -0.004), at(0, 0.030, -0.002), 0.035, 0.032, "skin",
        blend=0.014)
    flesh.ball("head", at(0, 0.074, 0.008), (0.043 * k, 0.062 * k, 0.054 * k), "skin", frame="skull",
        blend=0.006)
    flesh.cone("head", at(0, 0.048, 0.016), at(0, 0.015, 0.036), 0.036 * k, 0.017 * k, "skin", blend=0.012,
        frame="skull", girth=False)
    flesh.cone("head", at(0, 0.076, 0.059), at(0, 0.058, 0.067), 0.006 * k, 0.0085 * k, "skin", blend=0.006,
        frame="skull", girth=False)
    for s in (-1.0, 1.0):
        flesh.ball("head", at(s * 0.0435, 0.066, 0.004), (0.006 * k, 0.017 * k, 0.010 * k), "skin",
            frame="skull", blend=0.003)
    if look.hair == "long":
        flesh.cone("head", at(0, 0.080, -0.014), flesh.at("neck", 0, -0.03, -0.040), 0.047 * k, 0.040 * k,
            "hair", flat=(1, 1, 0.8), blend=0.02, frame="skull", girth=False)
    elif look.hair == "tail":
        flesh.cone("head", at(0, 0.094, -0.046), at(0, 0.006, -0.075), 0.018 * k, 0.011 * k, "hair",
            frame="skull", girth=False)
    elif look.hair == "bun":
        flesh.ball("head", at(0, 0.116, -0.040), (0.024 * k, 0.024 * k, 0.024 * k), "hair", frame="skull")
    elif look.hair == "volume":
        flesh.ball("head", at(0, 0.090, -0.012), (0.054 * k, 0.056 * k, 0.056 * k), "hair", frame="skull",
            blend=0.004)
    elif look.hair == "cap":
        flesh.cone("head", at(0, 0.097, 0.030), at(0, 0.095, 0.070), 0.036 * k, 0.030 * k, "accent",
            flat=(1, 0.18, 1), blend=0.004, frame="skull", girth=False)


def _seat(flesh: _Flesh, seat_m: float) -> None:
    """Add a stool under the pelvis."""
    where = flesh.bones.xyz_world[NODE["pelvis"]]
    h = flesh.unit_m
    top = np.array([where[0], seat_m - 0.03, where[2]])
    for dx, dz in ((-0.15, -0.15), (0.15, -0.15), (-0.15, 0.15), (0.15, 0.15)):
        foot = np.array([where[0] + 1.2 * dx, 0.02, where[2] + 1.2 * dz])
        flesh.cone("prop", top + np.array([dx, 0, dz]), foot, 0.02 / h, 0.016 / h, "prop", blend=0.002,
            girth=False)
    half = np.array([0.07, 0.0, 0.0])
    flesh.cone("prop", top - half, top + half, 0.19 / h, 0.19 / h, "prop", frame="pelvis", flat=(1, 0.22,
        1), blend=0.002, girth=False)
# fmt: on


def _local(
    surface: Surface, bones: Skeleton, camera: Camera, node: str, at: tuple[slice, slice]
) -> tuple[NDArray[np.float32], ...]:
    """Return meters to the left of, above and in front of a node for every surface point in a window: three [h, w]."""
    i = NODE[node]
    center = camera.project(bones.xyz_world[i])
    axes = camera.rotation @ bones.frames[i] * (camera.away_m(bones.xyz_world[i]) / camera.focal_px)
    x = np.arange(surface.left + at[1].start, surface.left + at[1].stop, dtype=np.float32)[None, :] - np.float32(
        center[0]
    )
    y = np.arange(surface.top + at[0].start, surface.top + at[0].stop, dtype=np.float32)[:, None] - np.float32(
        center[1]
    )
    z = surface.depth_px[at] - np.float32(center[2])
    return tuple(x * right + y * down + z * away for right, down, away in axes.T.tolist())


def _window(surface: Surface, part: str) -> tuple[slice, slice] | None:
    """Return the bounding window of a part, or None if the surface does not show it."""
    mask = surface.part == PART[part]
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)) if len(rows) else None


def _paint_head(surface: Surface, bones: Skeleton, body: Proportions, look: Look, camera: Camera) -> None:
    """Paint hair, eyes, brows, lips and beard on the bare head, in place."""
    at = _window(surface, "head")
    if at is None:
        return
    k = body.height_m * body.head
    left, up, forward = _local(surface, bones, camera, "skull", at)
    u, v, w = left / (0.043 * k), (up - 0.074 * k) / (0.062 * k), (forward - 0.008 * k) / (0.054 * k)
    material = surface.material[at]
    bare = (surface.part[at] == PART["head"]) & (material == MATERIAL["skin"])
    front, side = bare & (w > 0.25), np.abs(u)
    ear = (side > 0.95) & (np.abs(v + 0.13) < 0.3) & (np.abs(w + 0.07) < 0.25)
    line = np.full_like(w, {"bald": 2.0, "cap": 0.35}.get(look.hair, -0.75))
    if look.hair not in ("bald", "cap"):
        line = np.maximum(line, 0.84 * w - 0.02)
    if look.beard:
        material[front & (v < -0.32) & ~((side < 0.3) & (np.abs(v + 0.52) < 0.07))] = MATERIAL["beard"]
    material[bare & (v > line) & ~ear] = MATERIAL["accent" if look.hair == "cap" else "hair"]
    if look.hair == "cap":
        material[bare & (v <= 0.35) & (v > 0.84 * w - 0.02) & (w < 0.2) & ~ear] = MATERIAL["hair"]
    eyes = ((side - 0.40) / 0.20) ** 2 + ((v - 0.04) / 0.085) ** 2
    material[front & (eyes < 1.0)] = MATERIAL["white"]
    material[front & (((side - 0.40) / 0.12) ** 2 + ((v - 0.045) / 0.1) ** 2 < 1.0)] = MATERIAL["eye"]
    material[front & (np.abs(side - 0.42) < 0.23) & (np.abs(v - 0.22 + 0.1 * (side - 0.4) ** 2) < 0.045)] = MATERIAL[
        "beard"
    ]
    material[front & ((u / 0.34) ** 2 + ((v + 0.53) / 0.07) ** 2 < 1.0)] = MATERIAL["lips"]


def _paint_shirt(surface: Surface, bones: Skeleton, body: Proportions, look: Look, camera: Camera) -> None:
    """Paint the pattern and the neckline of the shirt, in place."""
    at = _window(surface, "trunk")
    if at is None:
        return
    material, part = surface.material[at], surface.part[at]
    left, up, forward = _local(surface, bones, camera, "neck", at)
    shirt = (material == MATERIAL["shirt"]) & (part == PART["trunk"])
    rows, columns = (up / look.period_m) % 1.0 < 0.5, (left / look.period_m) % 1.0 < 0.5
    panel = (np.abs(left) < 0.07) & (up < -0.12) & (up > -0.26) & (forward > 0)
    pattern = {"rows": rows, "columns": columns, "checks": rows ^ columns, "panel": panel}.get(look.pattern)
    if pattern is not None:
        material[shirt & pattern] = MATERIAL["accent"]
    k = body.height_m / 1.75
    reach = (look.neckline_m + 0.03 * np.clip(forward / 0.05, 0, 1.3)) * k
    material[shirt & (left**2 + (up - 0.02 * k) ** 2 < reach**2)] = MATERIAL["skin"]


@dataclass(frozen=True)
class Light:
    """A lamp or the sun, and the light of the sky around it.

    Attributes:
        toward: Unit vector from the figure to the lamp, [3] float, camera axes.
        lamp: The color of the lamp, [3] linear BGR.
        sky: The color of the light from above, [3] linear BGR.
        bounce: The color of the light from the floor, [3] linear BGR.
    """

    toward: Array  # [3] unit, camera axes, from the figure to the lamp
    lamp: NDArray[np.float32]  # [3] BGR
    sky: NDArray[np.float32]  # [3] BGR from above
    bounce: NDArray[np.float32]  # [3] BGR from the floor


def _folds(rng: np.random.Generator, shape: tuple[int, int], cell: int) -> NDArray[np.float32]:
    """Return smooth noise [h, w] of unit standard deviation, with bumps of about `cell` pixels."""
    grid = rng.standard_normal((max(2, shape[0] // cell), max(2, shape[1] // cell)), np.float32)
    return np.asarray(cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def shade(rng: np.random.Generator, surface: Surface, look: Look, light: Light) -> Bytes:
    """Compute the colors of a surface under a light.

    Args:
        rng: The source of randomness, for folds in the cloth.
        surface: The surface, [h, w].
        look: The person's colors and clothes.
        light: The light.

    Returns:
        [h, w, 3] uint8 BGR, meaningful where the surface shows a part.
    """
    shape = (surface.part.shape[0], surface.part.shape[1])
    body = np.flatnonzero(surface.part)
    n = normals(surface).reshape(3, -1).take(body, axis=1)
    material = surface.material.ravel().take(body)
    across, down = (_folds(rng, shape, cell).ravel().take(body) for cell in (5, 7))
    cloth = (CLOTH * np.float32(look.wrinkle)).take(material)
    n[0] += cloth * across
    n[1] += 0.7 * cloth * down
    n *= 1.0 / np.sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2])
    toward = light.toward.astype(np.float32)
    diffuse = np.clip(0.22 + 0.78 * (toward @ n), 0.0, 1.0)
    half = toward - np.array([0, 0, 1], np.float32)
    shine = np.maximum((half / np.linalg.norm(half)) @ n, 0.0)
    shine *= shine
    shine *= shine
    gloss = GLOSS.take(material) * (shine * shine * shine)
    # A point that is deeper than its surroundings gets less light from the sky: folds, armpits, the far arm.
    near = np.minimum(surface.depth_px, surface.depth_px.ravel().take(body).max())
    span = max(3, shape[0] // 18)
    open_sky = 1.0 - np.clip((near - cv2.blur(near, (span, span))).ravel().take(body) * (1.6 / span), 0.0, 0.55)
    above, mottle = 0.5 - 0.5 * n[1], 1.0 + 0.05 * down
    out = np.zeros((shape[0] * shape[1], 3), np.uint8)
    for i in range(3):
        lit = light.lamp[i] * diffuse + light.bounce[i] + (light.sky[i] - light.bounce[i]) * above
        lit *= look.albedo[:, i].take(material) * mottle
        lit += gloss * light.lamp[i]
        lit *= open_sky
        out[body, i] = 255.0 * np.sqrt(np.clip(lit, 0.0, 1.0, out=lit))
    return out.reshape(*shape, 3)


def flesh_out(
    body: Proportions,
    bones: Skeleton,
    look: Look,
    camera: Camera,
    size: tuple[int, int],
    seat_m: float | None = None,
) -> Surface | None:
    """Build and paint the surface of one figure.

    Args:
        body: The person's proportions.
        bones: The solved skeleton.
        look: The person's colors and clothes.
        camera: The camera.
        size: The (height, width) of the image, pixels.
        seat_m: The height of the seat above the floor, meters; None without a seat.

    Returns:
        The surface, or None if the figure is outside the image.
    """
    flesh = _Flesh(body, bones)
    _trunk(flesh, body, look)
    _limbs(flesh, look)
    _head(flesh, body, look)
    if seat_m is not None:
        _seat(flesh, seat_m)
    surface = cast(flesh.solids(camera), size)
    if surface is None or not (surface.depth_px < FAR).any():
        return None
    _paint_head(surface, bones, body, look, camera)
    _paint_shirt(surface, bones, body, look, camera)
    return surface
