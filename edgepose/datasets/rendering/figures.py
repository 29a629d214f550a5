"""Articulated 3-D human figures: the skeleton, its joint limits, random poses and smooth motion.

Pure numpy. A figure is `Proportions` (how long the bones are) and a `Pose` (joint angles, where the root
is); `solve` turns both into joint positions and bone frames. Every function takes any leading axes, so a
clip is one call over `[frames, ...]`. Segment lengths follow Drillis and Contini, "Body segment parameters"
(1966), as fractions of stature; shoulder angles are plane, elevation and twist, as in Wu et al., "ISB
recommendation on definitions of joint coordinate systems, part II" (2005).

Spaces: `xyz_body` and `xyz_world` are right-handed meters with y up; at yaw 0 the figure's left is +x and
it faces +z, where the camera stands, so its right hand is on the left of the image. The floor is y = 0.
Test alone: `pytest tests/datasets/rendering/test_figures.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Angles = dict[str, "float | Array"]  # a degree per named freedom; arrays share one leading shape

SIDES: tuple[tuple[str, float], ...] = (("right", -1.0), ("left", 1.0))  # the sign of x on that side

# fmt: off
_TRUNK = (("pelvis", ""), ("spine", "pelvis"), ("chest", "spine"), ("neck", "chest"), ("skull", "neck"),
    ("crown", "skull"))
_LIMBS = (("clavicle", "chest"), ("shoulder", "clavicle"), ("elbow", "shoulder"), ("wrist", "elbow"),
    ("hand", "wrist"), ("hip", "pelvis"), ("knee", "hip"), ("ankle", "knee"), ("heel", "ankle"), ("toe",
    "ankle"))
# fmt: on
_TREE: tuple[tuple[str, str], ...] = _TRUNK + tuple(
    (f"{side}_{name}", parent if parent in ("chest", "pelvis") else f"{side}_{parent}")
    for side, _ in SIDES
    for name, parent in _LIMBS
)
NODES: tuple[str, ...] = tuple(name for name, _ in _TREE)
NODE: dict[str, int] = {name: i for i, name in enumerate(NODES)}
PARENTS: tuple[int, ...] = tuple(NODE[parent] if parent else -1 for _, parent in _TREE)

# fmt: off
LSP_NODES: tuple[str, ...] = ("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee",
    "left_ankle", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow",
    "left_wrist", "neck", "crown")
# fmt: on
LSP_INDEX: tuple[int, ...] = tuple(NODE[name] for name in LSP_NODES)

# fmt: off
_TRUNK_LIMITS = {
    "spine_flex": (-25.0, 75.0),
    "spine_side": (-30.0, 30.0),
    "spine_twist": (-40.0, 40.0),
    "neck_flex": (-45.0, 50.0),
    "neck_side": (-35.0, 35.0),
    "neck_twist": (-70.0, 70.0),
}
_LIMB_LIMITS = {
    "clavicle": (-5.0, 35.0),
    "plane": (-90.0, 135.0),
    "elevation": (0.0, 175.0),
    "twist": (-85.0, 90.0),
    "elbow": (0.0, 145.0),
    "forearm": (-80.0, 85.0),
    "wrist": (-60.0, 70.0),
    "hip_flex": (-25.0, 125.0),
    "hip_abduct": (-25.0, 60.0),
    "hip_twist": (-40.0, 45.0),
    "knee": (0.0, 145.0),
    "ankle": (-25.0, 50.0),
}
# fmt: on
LIMITS_DEG: dict[str, tuple[float, float]] = {
    **_TRUNK_LIMITS,
    **{f"{side}_{name}": limits for side, _ in SIDES for name, limits in _LIMB_LIMITS.items()},
}
FREEDOMS: tuple[str, ...] = tuple(LIMITS_DEG)
_FREEDOM = {name: i for i, name in enumerate(FREEDOMS)}
_LOW, _HIGH = (np.array([limits[i] for limits in LIMITS_DEG.values()]) for i in (0, 1))

# fmt: off
REST: dict[str, float] = dict.fromkeys(FREEDOMS, 0.0)
# fmt: on
for _side, _ in SIDES:
    REST |= {
        f"{_side}_{k}": v
        for k, v in {
            "plane": 25.0,
            "elevation": 9.0,
            "elbow": 14.0,
            "forearm": 25.0,
            "wrist": 8.0,
            "hip_abduct": 3.0,
            "hip_twist": 8.0,
            "knee": 4.0,
        }.items()
    }


@dataclass(frozen=True)
class Proportions:
    """Bone lengths of one person in meters, and how heavy the flesh on them is."""

    height_m: float = 1.72
    legs: float = 1.0  # factors on the average segment
    arms: float = 1.0
    shoulders: float = 1.0
    hips: float = 1.0
    head: float = 1.0
    girth: float = 1.0  # thickness of limbs and trunk
    female: float = 0.0  # 0..1, moves flesh, not bones


@dataclass(frozen=True)
class Pose:
    """Joint angles and the root's place; the leading axes are free and shared."""

    angles_deg: Array  # [..., 30] in the order of FREEDOMS
    root_rotation: Array  # [..., 3, 3] body to world
    root_xyz_world: Array  # [..., 3] the point between the hips


@dataclass(frozen=True)
class Skeleton:
    """Where every node is, and the frame of the bone that starts there."""

    xyz_world: Array  # [..., 26, 3] in the order of NODES
    frames: Array  # [..., 26, 3, 3], columns: left, up, forward of the bone in its rest direction

    def lsp_xyz_world(self) -> Array:
        """The 14 LSP joints: [..., 14, 3]."""
        return self.xyz_world[..., LSP_INDEX, :]


# fmt: off
def _slots() -> tuple[tuple[tuple[int, int], ...], Array]:
    """The elementary rotations in order of application: (node, axis) each, and how each mixes the freedoms:
    [slots, freedoms].
    """
    slots: list[tuple[str, int, dict[str, float]]] = []
    for node in ("spine", "chest"):  # the back bends in two places, half in each
        slots += [(node, 1, {"spine_twist": 0.5}), (node, 2, {"spine_side": -0.5}), (node, 0, {"spine_flex":
            0.5})]
    for node, part in (("neck", 0.6), ("skull", 0.4)):
        slots += [(node, 1, {"neck_twist": part}), (node, 2, {"neck_side": -part}), (node, 0, {"neck_flex":
            part})]
    for side, s in SIDES:
        names: list[tuple[str, int, dict[str, float]]] = [
            ("clavicle", 2, {"clavicle": s}),
            # Turning back by the plane keeps the elbow's hinge facing forward whatever the plane of
            # elevation.
            ("shoulder", 1, {"plane": -s}),
            ("shoulder", 2, {"elevation": s}),
            ("shoulder", 1, {"plane": s, "twist": s}),
            ("elbow", 0, {"elbow": -1.0}),
            ("wrist", 1, {"forearm": -s}),
            ("wrist", 2, {"wrist": -s}),
            ("hip", 0, {"hip_flex": -1.0}),
            ("hip", 2, {"hip_abduct": s}),
            ("hip", 1, {"hip_twist": s}),
            ("knee", 0, {"knee": 1.0}),
            ("ankle", 0, {"ankle": 1.0}),
        ]
        slots += [(f"{side}_{node}", axis, {f"{side}_{k}": v for k, v in mix.items()}) for node, axis, mix
            in names]
    mixing = np.zeros((len(slots), len(FREEDOMS)))
    for row, (_, _, mix) in enumerate(slots):
        for name, part in mix.items():
            mixing[row, _FREEDOM[name]] = part
    return tuple((NODE[node], axis) for node, axis, _ in slots), mixing
# fmt: on


_SLOTS, _MIXING = _slots()
_SLOT_AXES = np.array([axis for _, axis in _SLOTS])
_SLOTS_OF = tuple(tuple(i for i, (node, _) in enumerate(_SLOTS) if node == n) for n in range(len(NODES)))


# fmt: off
def offsets(body: Proportions) -> Array:
    """Each node from its parent in the parent's frame, at rest, in meters: [26, 3]."""
    h, out = body.height_m, np.zeros((len(NODES), 3))
    out[NODE["spine"]] = (0.0, 0.055, -0.004)
    out[NODE["chest"]] = (0.0, 0.10, -0.006)
    out[NODE["neck"]] = (0.0, 0.138, 0.004)
    out[NODE["skull"]] = (0.0, 0.041, 0.010)
    out[NODE["crown"]] = (0.0, 0.136 * body.head, 0.004)
    for side, s in SIDES:
        rest = {"clavicle": (0.0, 0.125, 0.005), "shoulder": (s * 0.109 * body.shoulders, -0.006, -0.006),
            "elbow": (0.0, -0.180 * body.arms, 0.0), "wrist": (0.0, -0.148 * body.arms, 0.0), "hand": (0.0,
            -0.102 * body.arms, 0.0), "hip": (s * 0.054 * body.hips, 0.0, 0.0), "knee": (0.0, -0.245 *
            body.legs, 0.0), "ankle": (0.0, -0.240 * body.legs, 0.0), "heel": (0.0, -0.030, -0.022), "toe":
            (s * 0.006, -0.032, 0.098)}
        for name, xyz in rest.items():
            out[NODE[f"{side}_{name}"]] = xyz
    return out * h
# fmt: on


def _axis_rotations(
    degrees: Array,  # [..., slots]
    axes: NDArray[np.int_],  # [slots] 0, 1, 2 for x, y, z
) -> Array:
    """Right-handed rotations about coordinate axes: [..., slots, 3, 3]."""
    radians = np.deg2rad(degrees)
    cos, sin = np.cos(radians), np.sin(radians)
    out = np.zeros((*degrees.shape, 3, 3))
    slot = np.arange(len(axes))
    j, k = (axes + 1) % 3, (axes + 2) % 3
    out[..., slot, axes, axes] = 1.0
    out[..., slot, j, j] = cos
    out[..., slot, k, k] = cos
    out[..., slot, j, k] = -sin
    out[..., slot, k, j] = sin
    return out


def turn(yaw_deg: float | Array, roll_deg: float | Array = 0.0, pitch_deg: float | Array = 0.0) -> Array:
    """Body to world rotation, [..., 3, 3]: pitch forward first, then lean to the figure's right, then turn
    to its left.
    """
    degrees = np.stack(np.broadcast_arrays(yaw_deg, roll_deg, pitch_deg), axis=-1).astype(np.float64)
    r = _axis_rotations(degrees, np.array([1, 2, 0]))
    out: Array = r[..., 0, :, :] @ r[..., 1, :, :] @ r[..., 2, :, :]
    return out


def solve(body: Proportions, pose: Pose) -> Skeleton:
    """Forward kinematics: node positions [..., 26, 3] and frames [..., 26, 3, 3] in world space."""
    rotations = _axis_rotations(pose.angles_deg @ _MIXING.T, _SLOT_AXES)
    rest = offsets(body)
    frames: list[Array] = [pose.root_rotation]
    places: list[Array] = [pose.root_xyz_world]
    for node in range(1, len(NODES)):
        frame, place = frames[PARENTS[node]], places[PARENTS[node]]
        places.append(place + frame @ rest[node])
        for slot in _SLOTS_OF[node]:
            frame = frame @ rotations[..., slot, :, :]
        frames.append(frame)
    return Skeleton(np.stack(places, axis=-2), np.stack(frames, axis=-3))


def pack(angles: Mapping[str, float | Array]) -> Array:
    """Named angles over REST as one array [..., 30] in degrees, the collar bone lifted with the arm, inside
    the limits.
    """
    named: dict[str, float | Array] = {**REST, **angles}
    for side, _ in SIDES:
        if f"{side}_clavicle" not in angles:
            named[f"{side}_clavicle"] = 0.18 * np.maximum(0.0, np.asarray(named[f"{side}_elevation"]) - 35.0)
    out = np.empty((*np.broadcast_shapes(*(np.shape(value) for value in named.values())), len(FREEDOMS)))
    for i, name in enumerate(FREEDOMS):
        out[..., i] = named[name]
    return clamp(out)


def _reach_limit(angles_deg: Array, side: str) -> Array:
    """How far that arm may rise in its plane: behind the body a shoulder stops early. [...] degrees."""
    limit: Array = 175.0 - 1.3 * np.maximum(0.0, -angles_deg[..., _FREEDOM[f"{side}_plane"]])
    return limit


def clamp(angles_deg: Array) -> Array:
    """The nearest angles [..., 30] inside LIMITS_DEG and the shoulder's reach."""
    out = np.clip(angles_deg, _LOW, _HIGH)
    for side, _ in SIDES:
        index = _FREEDOM[f"{side}_elevation"]
        out[..., index] = np.minimum(out[..., index], _reach_limit(out, side))
    return out


def within_limits(angles_deg: Array) -> NDArray[np.bool_]:
    """Whether every angle is one a joint can take: [...] bool."""
    return np.asarray(np.all(np.abs(clamp(angles_deg) - angles_deg) < 1e-9, axis=-1))


_CLEARANCE_M = {
    "heel": 0.030,
    "toe": 0.028,
    "ankle": 0.05,
    "knee": 0.055,
    "hand": 0.02,
    "wrist": 0.035,
    "elbow": 0.045,
    "hip": 0.10,
}
_CLEARANCE = np.array([_CLEARANCE_M.get(name.split("_")[-1], 0.08) for name in NODES])


def lowest_m(xyz_world: Array) -> Array:
    """Height of the lowest flesh of nodes [..., 26, 3]: [...]."""
    return np.asarray((xyz_world[..., 1] - _CLEARANCE).min(axis=-1))


def on_floor(body: Proportions, pose: Pose, lift_m: float | Array = 0.0) -> Pose:
    """The same pose moved up or down until its lowest flesh is `lift_m` above the floor."""
    root = pose.root_xyz_world.copy()
    root[..., 1] += lift_m - lowest_m(solve(body, pose).xyz_world)
    return Pose(pose.angles_deg, pose.root_rotation, root)


def sample_proportions(rng: np.random.Generator) -> Proportions:
    """A random adult, now and then a child's build (short, large head)."""
    female = float(rng.random() < 0.45) * rng.uniform(0.6, 1.0)
    child = rng.random() < 0.08

    def near(mean: float, sd: float) -> float:
        return float(np.clip(rng.normal(mean, sd), mean - 2.5 * sd, mean + 2.5 * sd))

    return Proportions(
        height_m=near(1.35 if child else 1.77 - 0.12 * female, 0.07),
        legs=near(1.0, 0.03),
        arms=near(1.0, 0.035),
        shoulders=near(1.03 - 0.09 * female, 0.04),
        hips=near(1.0 + 0.04 * female, 0.05),
        head=near(1.15 if child else 1.0, 0.03),
        girth=near(1.0 - 0.07 * female, 0.09),
        female=female,
    )
