"""Articulated 3-D human figures: skeleton, joint limits and forward kinematics, in pure numpy.

A figure has `Proportions` (bone lengths) and a `Pose` (joint angles and the place of the root). `solve` computes the
positions of the joints and the frames of the bones. Functions accept any leading axes, so one call handles a whole clip
[frames, ...]. Segment lengths are fractions of stature from Drillis and Contini, "Body segment parameters" (1966).
Shoulder angles are plane, elevation and twist, as in Wu et al., "ISB recommendation on definitions of joint coordinate
systems, part II" (2005).

The spaces `xyz_body` and `xyz_world` are right-handed, in meters, with y up. At yaw 0, +x is the figure's left and the
figure faces +z, where the camera stands, so its right hand is on the left of the image. The floor is y = 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Angles = dict[str, "float | Array"]  # degrees by the name of a degree of freedom; arrays have the same shape

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
    """The bone lengths and build of one person.

    Attributes:
        height_m: Stature, meters.
        legs: Factor on the average length of the leg segments.
        arms: Factor on the average length of the arm segments.
        shoulders: Factor on the average shoulder width.
        hips: Factor on the average hip width.
        head: Factor on the average size of the head.
        girth: Factor on the average thickness of limbs and trunk.
        female: 0..1; changes the shape of the body, not the bones.
    """

    height_m: float = 1.72
    legs: float = 1.0
    arms: float = 1.0
    shoulders: float = 1.0
    hips: float = 1.0
    head: float = 1.0
    girth: float = 1.0
    female: float = 0.0


@dataclass(frozen=True)
class Pose:
    """Joint angles and the place of the root, for any leading axes.

    Attributes:
        angles_deg: [..., 30] float64, degrees, in the order of FREEDOMS.
        root_rotation: The rotation body -> world, [..., 3, 3] float64.
        root_xyz_world: The point between the hips, [..., 3] float64, meters.
    """

    angles_deg: Array  # [..., 30]
    root_rotation: Array  # [..., 3, 3]
    root_xyz_world: Array  # [..., 3]


@dataclass(frozen=True)
class Skeleton:
    """The positions of all nodes, and the frames of the bones that start there.

    Attributes:
        xyz_world: [..., 26, 3] float64, meters, in the order of NODES.
        frames: [..., 26, 3, 3] float64; the columns are left, up and forward of the bone in its rest direction.
    """

    xyz_world: Array  # [..., 26, 3]
    frames: Array  # [..., 26, 3, 3]

    def lsp_xyz_world(self) -> Array:
        """Return the 14 LSP joints, [..., 14, 3] float64, meters."""
        return self.xyz_world[..., LSP_INDEX, :]


# fmt: off
def _slots() -> tuple[tuple[tuple[int, int], ...], Array]:
    """Return the elementary rotations (node, axis) in order, and the weights of the freedoms: [slots, freedoms]."""
    slots: list[tuple[str, int, dict[str, float]]] = []
    for node in ("spine", "chest"):  # The back bends at two nodes, half of the angle at each.
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
    """Return the offset of each node from its parent at rest, in the parent's frame.

    Args:
        body: The person's proportions.

    Returns:
        [26, 3] float64, meters.
    """
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
    """Return right-handed rotations about coordinate axes, [..., slots, 3, 3]."""
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
    """Return rotations body -> world: first pitch forward, then roll to the figure's right, then yaw to its left.

    Args:
        yaw_deg: [...] float, degrees.
        roll_deg: [...] float, degrees.
        pitch_deg: [...] float, degrees.

    Returns:
        [..., 3, 3] float64.
    """
    degrees = np.stack(np.broadcast_arrays(yaw_deg, roll_deg, pitch_deg), axis=-1).astype(np.float64)
    r = _axis_rotations(degrees, np.array([1, 2, 0]))
    out: Array = r[..., 0, :, :] @ r[..., 1, :, :] @ r[..., 2, :, :]
    return out


def solve(body: Proportions, pose: Pose) -> Skeleton:
    """Compute the positions and frames of all nodes (forward kinematics).

    Args:
        body: The person's proportions.
        pose: The joint angles and the root, with any leading axes.
    """
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
    """Return named angles as one array, with REST for missing names, within the joint limits.

    The clavicle rises with the arm unless its angle is given.

    Args:
        angles: Degrees by the name of a degree of freedom.

    Returns:
        [..., 30] float64, degrees.
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
    """Return the largest elevation of an arm in its plane, [...] degrees; it is smaller behind the body."""
    limit: Array = 175.0 - 1.3 * np.maximum(0.0, -angles_deg[..., _FREEDOM[f"{side}_plane"]])
    return limit


def clamp(angles_deg: Array) -> Array:
    """Return the nearest angles within LIMITS_DEG and the reach of the shoulders.

    Args:
        angles_deg: [..., 30] float, degrees.

    Returns:
        [..., 30] float64, degrees.
    """
    out = np.clip(angles_deg, _LOW, _HIGH)
    for side, _ in SIDES:
        index = _FREEDOM[f"{side}_elevation"]
        out[..., index] = np.minimum(out[..., index], _reach_limit(out, side))
    return out


def within_limits(angles_deg: Array) -> NDArray[np.bool_]:
    """Return whether all angles are within the joint limits, [...] bool.

    Args:
        angles_deg: [..., 30] float, degrees.
    """
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
    """Return the height of the lowest point of the body, including flesh.

    Args:
        xyz_world: The nodes, [..., 26, 3] float, meters.

    Returns:
        [...] float64, meters.
    """
    return np.asarray((xyz_world[..., 1] - _CLEARANCE).min(axis=-1))


def on_floor(body: Proportions, pose: Pose, lift_m: float | Array = 0.0) -> Pose:
    """Return the pose moved vertically so that its lowest point is `lift_m` above the floor.

    Args:
        body: The person's proportions.
        pose: The pose, with any leading axes.
        lift_m: [...] float, meters.
    """
    root = pose.root_xyz_world.copy()
    root[..., 1] += lift_m - lowest_m(solve(body, pose).xyz_world)
    return Pose(pose.angles_deg, pose.root_rotation, root)


def sample_proportions(rng: np.random.Generator) -> Proportions:
    """Draw the proportions of a random adult, or in 8 % of cases of a child (short, with a large head).

    Args:
        rng: The source of randomness.
    """
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
