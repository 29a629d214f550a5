"""The motions of rendered figures in a clip: walking and jogging around an ellipse, waving, jumping jacks.

Motions are closed-form functions of time, so they are smooth. A slow sway of every joint makes them less mechanical.
"""

from __future__ import annotations

import numpy as np

from edgepose.datasets.rendering.figures import (
    FREEDOMS,
    REST,
    SIDES,
    Angles,
    Array,
    Pose,
    Proportions,
    clamp,
    on_floor,
    pack,
    turn,
)
from edgepose.datasets.rendering.poses import arm, both, gait, leg, mirror, one
from edgepose.errors import UsageError

MOVES: tuple[str, ...] = ("walk", "wave", "jumping_jack", "jog")


def _sway(rng: np.random.Generator, seconds: Array, size: float) -> Array:
    """Return slow smooth noise for every freedom, [frames, freedoms], degrees."""
    out = np.zeros((len(seconds), len(FREEDOMS)))
    for hz in (0.23, 0.51, 0.87):
        out += rng.normal(0, size / (1 + 2 * hz), len(FREEDOMS)) * np.sin(
            2 * np.pi * (hz * seconds[:, None] + rng.random(len(FREEDOMS)))
        )
    return out


def _round_walk(
    rng: np.random.Generator, body: Proportions, seconds: Array, center_xz: tuple[float, float], speed: float
) -> tuple[Angles, Array, Array]:
    """Return gait angles, yaw [frames] and root [frames, 3] of a figure that walks around an ellipse."""
    stride_m = 2.0 * body.height_m * (0.38 + 0.42 * speed)
    rx, rz = (1.0 + 0.3 * speed) * np.array([rng.uniform(1.25, 1.6), rng.uniform(0.7, 0.9)])
    # The speed is uniform in the angle of the ellipse, so the figure slows down in tight turns. The phase of the gait
    # follows the arc length, so that the feet do not slide on the ground.
    per_s = stride_m * (0.9 + 0.35 * speed) / (0.5 * (rx + rz))
    hand, start = rng.choice([-1.0, 1.0]), rng.uniform(0, 2 * np.pi)
    fine = np.arange(0.0, max(per_s * float(seconds[-1]), 0.0) + 0.02, 0.001)
    arc = np.concatenate(
        [[0.0], np.cumsum(np.hypot(rx * np.sin(fine + start), rz * np.cos(fine + start))[1:] * np.diff(fine))]
    )
    around = start + per_s * seconds
    root = np.stack(
        [
            center_xz[0] + rx * np.cos(around),
            np.zeros_like(around),
            center_xz[1] + hand * rz * np.sin(around),
        ],
        axis=-1,
    )
    yaw = np.rad2deg(np.arctan2(-rx * np.sin(around), hand * rz * np.cos(around)))
    return gait(2 * np.pi * np.interp(per_s * seconds, fine, arc) / stride_m, speed), yaw, root


def move(
    rng: np.random.Generator,
    body: Proportions,
    kind: str,  # one of MOVES
    frames: int,
    fps: float,
    center_xz: tuple[float, float] = (0.0, 0.0),  # meters on the floor
) -> Pose:
    """Create a motion whose lowest point is on the floor except in jumps.

    Args:
        rng: The source of randomness.
        body: The person's proportions.
        kind: One of MOVES.
        frames: The number of frames.
        fps: Frames per second.
        center_xz: Where the figure stands, or the center of its ellipse, meters on the floor.

    Returns:
        Poses with a leading axis [frames].

    Raises:
        UsageError: The kind is unknown.
    """
    seconds = np.arange(frames) / fps
    root = np.tile(np.array([center_xz[0], 0.0, center_xz[1]]), (frames, 1))
    yaw, lift = rng.normal(0, 25) + 8 * np.sin(2 * np.pi * 0.11 * seconds), np.zeros(frames)
    beat = 2 * np.pi * (rng.uniform(0.75, 1.05) * seconds + rng.random())
    if kind in ("walk", "jog"):
        angles, yaw, root = _round_walk(rng, body, seconds, center_xz, 0.1 if kind == "walk" else 0.6)
    elif kind == "wave":
        angles = {
            **both(leg(0, 6, 5)),
            **one("right", arm(10, 88, 70 + 16 * np.sin(2 * beat), 72 + 12 * np.sin(2 * beat))),
        }
        angles |= {"spine_side": 3 * np.sin(beat / 2), "neck_side": 5 * np.sin(beat / 2)}
        angles = mirror({**REST, **angles}) if rng.random() < 0.5 else angles
    elif kind == "jumping_jack":
        spread = 0.5 - 0.5 * np.cos(beat)
        angles = {**both(arm(8 * spread, 12 + 140 * spread, 14.0)), "spine_flex": 4.0 * spread}
        for side, _ in SIDES:
            angles |= {
                f"{side}_hip_abduct": 3 + 24 * spread,
                f"{side}_hip_flex": 8 * np.cos(2 * beat) ** 2,
                f"{side}_knee": 4 + 18 * np.cos(beat) ** 2,
                f"{side}_ankle": 22 * np.sin(beat) ** 2,
            }
        lift = 0.13 * np.sin(beat) ** 2
    else:
        raise UsageError(f"unknown motion {kind!r}: use one of {', '.join(MOVES)}")
    return on_floor(body, Pose(clamp(pack(angles) + _sway(rng, seconds, 2.0)), turn(yaw), root), lift)
