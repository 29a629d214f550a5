"""Random poses of rendered figures in a still image.

A pose is a template of named angles (degrees, as in `figures.LIMITS_DEG`) with noise, mirrored half of the time.
Walking and running share one gait with a speed. `sample_pose` draws several candidates and keeps the one whose limbs
penetrate the body least.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepose.datasets.rendering.figures import (
    FREEDOMS,
    NODE,
    REST,
    SIDES,
    Angles,
    Array,
    Pose,
    Proportions,
    Skeleton,
    clamp,
    lowest_m,
    pack,
    solve,
    turn,
)

KINDS: dict[str, float] = {
    "standing": 0.30,
    "walking": 0.17,
    "running": 0.15,
    "sitting": 0.12,
    "sporty": 0.26,
}
_CANDIDATES = 3
_SEAT_GAP_M = 0.135  # from the hip joints down to the seat


@dataclass(frozen=True)
class Sample:
    """One random pose.

    Attributes:
        kind: A key of KINDS.
        pose: The joint angles and the root.
        bones: The solved skeleton.
        seat_m: The height of the seat above the floor, meters; None without a seat.
    """

    kind: str
    pose: Pose
    bones: Skeleton
    seat_m: float | None = None


def arm(flex: float | Array, abduct: float | Array, elbow: float | Array, twist: float | Array = 0.0) -> Angles:
    """Return the angles of an arm.

    Args:
        flex: Forward swing, degrees.
        abduct: Lift to the side, degrees.
        elbow: Flexion of the elbow, degrees.
        twist: Twist of the upper arm, degrees.
    """
    f, a = np.deg2rad(flex), np.deg2rad(abduct)
    out, down, forward = (
        np.sin(a),
        np.cos(a) * np.cos(f),
        np.cos(a) * np.sin(f),
    )  # a unit vector: the swing's cone, then the lift
    elevation = np.rad2deg(np.arccos(np.clip(down, -1.0, 1.0)))
    return {
        "plane": np.rad2deg(np.arctan2(forward, out)),
        "elevation": elevation,
        "elbow": elbow,
        "twist": twist,
    }


# fmt: off
ARMS: dict[str, Angles] = {
    "hanging": arm(3, 8, 14),
    "hip": arm(-12, 46, 98, -72),
    "folded": arm(28, 12, 112, -48),
    "phone": arm(32, 16, 128, -8),
    "forward": arm(85, 6, 12),
    "side": arm(5, 84, 12),
    "up": arm(12, 158, 14),
    "wave": arm(10, 88, 85, 72),
    "bent": arm(20, 14, 85, -10),
    "behind": arm(-26, 14, 60, -70),
    "point": arm(62, 38, 6),
    "head": arm(20, 118, 128, 45),
    "lap": arm(26, 10, 52, -22),
    "pocket": arm(-8, 22, 48, -30),
}
# fmt: on


def both(part: Angles) -> Angles:
    """Return angles for both sides from angles without a side."""
    return {f"{side}_{name}": value for side, _ in SIDES for name, value in part.items()}


def one(side: str, part: Angles) -> Angles:
    """Return angles for one side ("left" or "right") from angles without a side."""
    return {f"{side}_{name}": value for name, value in part.items()}


def leg(flex: float, abduct: float, knee: float, ankle: float = 0.0, twist: float = 8.0) -> Angles:
    """Return the angles of a leg, degrees: flexion, abduction, knee, ankle and twist of the thigh."""
    return {"hip_flex": flex, "hip_abduct": abduct, "knee": knee, "ankle": ankle, "hip_twist": twist}


# Weight, angles, meters above the floor, and (roll, pitch) of the whole body in degrees.
# fmt: off
SPORTY: dict[str, tuple[float, Angles, float, tuple[float, float]]] = {
    "arms_up": (1.6, {**both(arm(10, 160, 12)), **both(leg(2, 8, 6))}, 0.0, (0, 0)),
    "star_jump": (1.0, {**both(arm(12, 128, 8)), **both(leg(2, 36, 8, 30))}, 0.30, (0, 0)),
    "lunge": (1.6, {**one("right", leg(78, 6, 82, -4)), **one("left", leg(-14, 4, 40, -20)),
        **both(arm(10, 30, 50)), "spine_flex": 8}, 0.0, (0, 6)),
    "squat": (1.0, {**both(leg(104, 18, 118, -22, 20)), **both(arm(75, 12, 20)), "spine_flex": 30,
        "neck_flex": -20}, 0.0, (0, 18)),
    "tuck_jump": (0.7, {**both(leg(92, 12, 105, 25)), **both(arm(60, 25, 30)), "spine_flex": 25}, 0.40,
        (0, 0)),
    "kick": (1.5, {**one("right", leg(80, 8, 16, 25)), **one("left", leg(2, 4, 12)), **one("left",
        arm(55, 40, 25)), **one("right", arm(-35, 45, 30)), "spine_twist": 18}, 0.0, (0, -12)),
    "throw": (1.5, {**one("right", arm(5, 98, 88, 74)), **one("left", arm(85, 18, 20)), **one("left",
        leg(35, 6, 22)), **one("right", leg(-14, 10, 28, 20)), "spine_twist": -26, "neck_twist": 24},
        0.0, (0, -4)),
    "serve": (1.2, {**one("right", arm(30, 150, 60, 30)), **one("left", arm(120, 30, 10)),
        **one("left", leg(20, 6, 25)), **one("right", leg(-8, 8, 30, 25)), "spine_side": 14,
        "neck_flex": -30, "spine_flex": -12}, 0.10, (0, 0)),
    "swing": (1.3, {**one("right", arm(35, 40, 35)), **one("left", arm(70, 2, 25, -20)), "spine_twist":
        -30, "spine_flex": 22, **both(leg(32, 16, 36, -8))}, 0.0, (0, 6)),
    "hurdle": (1.0, {**one("right", leg(88, 14, 22)), **one("left", leg(12, 45, 95, 20)), **one("left",
        arm(88, 12, 15)), **one("right", arm(-30, 24, 60)), "spine_flex": 30}, 0.45, (0, 15)),
    "reach_down": (0.8, {**both(leg(48, 12, 30, -10)), **both(arm(72, 10, 12)), "spine_flex": 48}, 0.0,
        (0, 14)),
    "kneel": (0.8, {**one("right", leg(88, 8, 92)), **one("left", leg(-4, 4, 88, 45)), **both(arm(30,
        16, 60))}, 0.0, (0, 2)),
    "crouch": (1.2, {**both(leg(58, 14, 64, -16, 14)), **both(arm(30, 28, 72)), "spine_flex": 36,
        "neck_flex": -22}, 0.0, (0, 16)),
    "balance": (0.6, {**one("right", leg(-22, 10, 8, 35)), **one("left", leg(70, 2, 8)),
        **both(arm(10, 85, 8)), "neck_flex": -30}, 0.0, (0, 66)),
    "handstand": (0.35, {**both(arm(160, 10, 4)), **both(leg(4, 16, 12, 35)), "spine_flex": -6}, 0.0,
        (0, 178)),
    "cartwheel": (0.35, {**both(arm(10, 150, 6)), **both(leg(4, 44, 8, 35))}, 0.0, (110, 0)),
}
# fmt: on


def _bump(phase: Array, center_turns: float, width: float) -> Array:
    """Return a smooth bump of height 1 at a point of the cycle; the phase is in radians."""
    away = (phase - 2.0 * np.pi * center_turns + np.pi) % (2.0 * np.pi) - np.pi
    return np.asarray(np.exp(-((away / width) ** 2)))


# fmt: off
def gait(
    phase: float | Array,  # [...] radians; 0 is the right heel's strike
    speed: float,  # 0 walks, 1 runs
) -> Angles:
    """Return the angles of a walking or running figure.

    Args:
        phase: [...] float, radians; 0 is the strike of the right heel.
        speed: 0 for walking, 1 for running.
    """

    def mix(walk: float, run: float) -> float:
        return walk + (run - walk) * speed

    angles: Angles = {"spine_flex": mix(3.0, 13.0), "spine_twist": -mix(5.0, 13.0) * np.cos(phase),
        "neck_flex": mix(0.0, -8.0)}
    for side, shift in (("right", 0.0), ("left", np.pi)):
        p = np.asarray(phase, dtype=np.float64) + shift
        load, off, swing = _bump(p, 0.13, 0.5), _bump(p, 0.55, 0.6), _bump(p, 0.71, mix(0.75, 0.95))
        lower = {"hip_flex": mix(7.0, 22.0) + mix(22.0, 40.0) * np.cos(p), "hip_abduct": 2.5 + 0.0 * p,
            "hip_twist": 6.0 + 0.0 * p, "knee": mix(5.0, 16.0) + mix(52.0, 88.0) * swing + mix(9.0, 20.0) *
            load, "ankle": mix(15.0, 30.0) * off - 6.0 * load}
        back = -np.cos(p)
        upper = arm(mix(0.0, 4.0) + mix(20.0, 42.0) * back, mix(7.0, 12.0), mix(16.0, 86.0) + mix(9.0, 14.0)
            * back, mix(0.0, -12.0))
        angles |= one(side, {**lower, **upper})
    return angles
# fmt: on


def _standing(rng: np.random.Generator) -> Angles:
    wide = rng.choice([3.0, 10.0, 20.0], p=[0.55, 0.33, 0.12])
    angles: Angles = {
        **both(leg(0, wide, 4)),
        "neck_twist": rng.normal(0, 22),
        "spine_twist": rng.normal(0, 6),
    }
    if rng.random() < 0.35:  # the weight on one leg
        angles |= {"right_knee": 24.0, "right_hip_flex": 16.0, "right_hip_abduct": 8.0, "spine_side": 5.0}
    return {**angles, **_random_arms(rng, {"hanging": 5, "hip": 2, "pocket": 1})}


def _random_arms(rng: np.random.Generator, favor: dict[str, float]) -> Angles:
    """Return angles of both arms from ARMS, often the same for both; `favor` holds weights other than 1."""
    names = list(ARMS)
    weights = np.array([favor.get(name, 1.0) * (0.5 if name in ("head", "behind") else 1.0) for name in names])
    right, left = rng.choice(names, size=2, p=weights / weights.sum())
    left = right if rng.random() < 0.45 else left
    return {**one("right", ARMS[right]), **one("left", ARMS[left])}


def _sitting(rng: np.random.Generator) -> Angles:
    angles: Angles = {"spine_flex": rng.uniform(0, 25), "neck_flex": rng.normal(4, 12)}
    for side, _ in SIDES:
        angles |= one(side, leg(rng.normal(84, 7), rng.uniform(2, 20), rng.normal(82, 16), rng.normal(0, 6)))
    if rng.random() < 0.15:  # one leg crossed over the other
        angles |= one("right", leg(100, -12, 70, 15))
    return {**angles, **_random_arms(rng, {"lap": 8, "folded": 2, "up": 0.3})}


def _template(rng: np.random.Generator, kind: str) -> tuple[Angles, float, tuple[float, float]]:
    """Return named angles, the lift in meters, and (roll, pitch) in degrees for one kind of pose."""
    if kind == "standing":
        return _standing(rng), 0.0, (0.0, 0.0)
    if kind == "sitting":
        return _sitting(rng), 0.0, (0.0, rng.uniform(-14, 4))
    if kind == "sporty":
        weights = np.array([row[0] for row in SPORTY.values()])
        _, angles, lift, tilt = SPORTY[list(SPORTY)[rng.choice(len(SPORTY), p=weights / weights.sum())]]
        return angles, lift * rng.uniform(0.3, 1.2), tilt
    speed = rng.uniform(0.0, 0.3) if kind == "walking" else rng.uniform(0.65, 1.1)
    angles = gait(rng.uniform(0, 2 * np.pi), speed)
    if kind == "walking" and rng.random() < 0.3:
        angles = {**angles, **one("right", ARMS[rng.choice(["phone", "bent", "pocket", "wave"])])}
    return (
        angles,
        rng.uniform(0, 0.12) if kind == "running" else 0.0,
        (0.0, rng.uniform(0, 10) if kind == "running" else 0.0),
    )


def mirror(angles: Angles) -> Angles:
    """Return the angles of the pose with left and right exchanged."""
    swap = {"right": "left", "left": "right"}
    out: Angles = {}
    for name, value in angles.items():
        side, _, rest = name.partition("_")
        flips = name.endswith(("_side", "_twist")) and side in ("spine", "neck")
        out[f"{swap[side]}_{rest}" if side in swap else name] = -value if flips else value
    return out


def _yaw(rng: np.random.Generator) -> float:
    """Return a random yaw in degrees, mostly toward the camera, sometimes sideways or away."""
    sort = rng.random()
    if sort < 0.62:
        return float(rng.normal(0, 32))
    return float(rng.choice([-90.0, 90.0]) + rng.normal(0, 22) if sort < 0.86 else 180.0 + rng.normal(0, 32))


_NOISE = np.array([9.0 if "plane" in n or "elevation" in n else 5.0 if "neck" in n else 6.0 for n in FREEDOMS])
_NOISE[[n.startswith("spine") or "hip_abduct" in n for n in FREEDOMS]] = 4.0


def _gap(p: Array, a: Array, b: Array) -> Array:
    """Return the distance of points [..., 3] from segments [..., 3], as [...]."""
    along = b - a
    t = np.clip(((p - a) * along).sum(-1) / np.maximum((along * along).sum(-1), 1e-12), 0.0, 1.0)
    return np.asarray(np.linalg.norm(p - a - t[..., None] * along, axis=-1))


def _clearances() -> tuple[tuple[str, str, str, float, float], ...]:
    """Return rows of (point, segment start, segment end, fixed meters, meters that scale with girth), at 1.75 m."""
    rows: list[tuple[str, str, str, float, float]] = []
    for side, _ in SIDES:
        for point in (f"{side}_elbow", f"{side}_wrist", f"{side}_hand"):
            rows += [
                (point, "pelvis", "chest", 0.0, 0.15),
                (point, "chest", "neck", 0.0, 0.16),
                (point, "skull", "crown", 0.12, 0.0),
            ]
            rows += [(point, f"{thigh}_hip", f"{thigh}_knee", 0.0, 0.09) for thigh, _ in SIDES]
    rows += [(f"right_{point}", "left_knee", "left_ankle", 0.085, 0.0) for point in ("knee", "ankle", "toe")]
    return (
        *rows,
        ("left_knee", "right_hip", "right_knee", 0.0, 0.10),
        ("right_knee", "left_hip", "left_knee", 0.0, 0.10),
    )


_POINTS, _STARTS, _ENDS = (np.array([NODE[str(row[i])] for row in _clearances()]) for i in range(3))
_FIXED_M, _FLESH_M = (np.array([row[i] for row in _clearances()], dtype=np.float64) for i in (3, 4))


def collisions(body: Proportions, bones: Skeleton) -> Array:
    """Measure how deep arms and hands penetrate trunk, head and thighs, and legs penetrate each other.

    Args:
        body: The person's proportions.
        bones: The solved skeleton, with any leading axes.

    Returns:
        [...] float64, the sum of depths, meters.
    """
    xyz = bones.xyz_world
    allowed_m = (_FIXED_M + _FLESH_M * body.girth) * body.height_m / 1.75
    depth_m = allowed_m - _gap(xyz[..., _POINTS, :], xyz[..., _STARTS, :], xyz[..., _ENDS, :])
    return np.asarray(np.maximum(0.0, depth_m).sum(-1))


def sample_pose(rng: np.random.Generator, body: Proportions) -> Sample:
    """Draw a random pose at x = z = 0: standing on the floor, sitting on a seat, or jumping.

    Args:
        rng: The source of randomness.
        body: The person's proportions.
    """
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    candidates = []
    for _ in range(_CANDIDATES):
        angles, lift, (roll, pitch) = _template(rng, kind)
        mirrored = rng.random() < 0.5
        packed = pack(mirror({**REST, **angles}) if mirrored else angles)
        candidates.append(
            (
                clamp(packed + rng.normal(0, 1, len(FREEDOMS)) * _NOISE),
                lift,
                -roll if mirrored else roll,
                pitch,
            )
        )
    yaw, lean = _yaw(rng), rng.normal(0, 4) if rng.random() < 0.85 else rng.normal(0, 14)
    angles_deg, lift_m, roll_deg, pitch_deg = (np.array(column) for column in zip(*candidates, strict=True))
    poses = Pose(angles_deg, turn(yaw, roll_deg + lean, pitch_deg + rng.normal(0, 3)), np.zeros((_CANDIDATES, 3)))
    bones = solve(body, poses)
    best = int(np.argmin(collisions(body, bones)))
    xyz, frames = bones.xyz_world[best], bones.frames[best]
    root = np.array([0.0, lift_m[best] - lowest_m(xyz), 0.0])
    pose = Pose(poses.angles_deg[best], poses.root_rotation[best], root)
    seat_m = float(root[1]) - _SEAT_GAP_M * body.height_m / 1.75 if kind == "sitting" else None
    return Sample(kind, pose, Skeleton(xyz + root, frames), seat_m)
