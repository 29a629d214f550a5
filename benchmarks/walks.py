"""Synthetic walks that cross and hide each other, with known identities, and what a detector and a pose network make of
them: for `tracking.py`.

The figures of `edgepose.datasets.rendering` walk and jog straight across the view of one camera at several depths,
without pixels: a person is hidden where the boxes of nearer people are. The detector misses people, more often hidden
ones, suppresses boxes that cover each other, moves boxes, and invents some. Joints are moved as OKS's annotators would
move them, and hidden ones are found at low scores, some of them on the person in front.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepose._checks import Array
from edgepose.codecs.onestage import suppress
from edgepose.datasets.rendering.figures import Pose as Figure
from edgepose.datasets.rendering.figures import clamp, on_floor, pack, sample_proportions, solve, turn
from edgepose.datasets.rendering.poses import gait
from edgepose.datasets.rendering.raycast import Camera, look_at
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import SKELETONS

SIZE = (720, 1280)
SKELETON = SKELETONS["lsp14"]
SEEN_SHARE = 0.25  # of a person that must be visible for the person to count


@dataclass(frozen=True)
class Walk:
    """A sequence of F frames with N people.

    Attributes:
        time_s: [F] float, seconds.
        xy_image: [F, N, 14, 2] float, pixels.
        boxes_xyxy: [F, N, 4] float, pixels, clipped to the image.
        visible: [F, N] float, the share of each person's box that is in the image and not behind others.
        hidden: [F, N, 14] bool, joints behind others or outside the image.
        found: The poses that the detector and the network report in each frame.
    """

    time_s: Array
    xy_image: Array
    boxes_xyxy: Array
    visible: Array
    hidden: Array
    found: list[Poses]

    def truth(self, frame: int) -> tuple[Array, Array]:
        """Return the ids, [M] from 1, and the boxes, [M, 4], of the people who count in a frame."""
        counted = np.flatnonzero(self.visible[frame] >= SEEN_SHARE)
        return counted + 1, self.boxes_xyxy[frame][counted]


def walk(seed: int, *, people: int = 8, frames: int = 300, fps: float = 25.0, uneven: bool = False) -> Walk:
    """Make a sequence.

    Args:
        seed: The seed.
        people: The number of people.
        frames: The number of frames.
        fps: Frames per second.
        uneven: Whether frames are dropped at random, so that the time between frames varies from 1 / fps to 5 / fps.
    """
    rng = np.random.default_rng(seed)
    steps = rng.choice([1, 2, 5], frames, p=[0.7, 0.2, 0.1]) if uneven else np.ones(frames)
    time_s = np.cumsum(steps) / fps
    eye = np.array([0.0, rng.uniform(1.5, 3.0), 9.0])
    camera = Camera(look_at(eye, np.array([0.0, 0.9, 0.0])), eye, 1000.0, np.array([SIZE[1] - 1, SIZE[0] - 1]) / 2)
    joints, depth = [], []
    for _ in range(people):
        world = _walker(rng, time_s)
        joints.append(camera.project(world)[..., :2])
        depth.append(camera.away_m(world).mean(axis=1))
    xy, away = np.stack(joints, axis=1), np.stack(depth, axis=1)
    low, high = xy.min(axis=2), xy.max(axis=2)
    margin = 0.06 * (high[..., 1:] - low[..., 1:])
    whole = np.concatenate([low - margin, high + margin], axis=-1)
    boxes = whole.clip(0, [SIZE[1] - 1, SIZE[0] - 1] * 2)
    visible, hidden = _visibility(whole, boxes, xy, away)
    found = [_found(rng, boxes[f], xy[f], visible[f], hidden[f], away[f]) for f in range(frames)]
    return Walk(time_s, xy, boxes, visible, hidden, found)


def _walker(rng: np.random.Generator, time_s: Array) -> Array:
    """Return the joints of one figure that walks across, [F, 14, 3], meters."""
    body = sample_proportions(rng)
    run = float(rng.choice([0.0, 0.5], p=[0.8, 0.2]))
    speed = rng.uniform(0.6, 1.5) * (1 + 1.2 * run)
    z = rng.uniform(-4.0, 3.0)
    reach = 0.6 * (9.0 - z) + 1.0
    heading = rng.choice([0.0, 180.0]) + rng.normal(0, 15)
    begin = rng.uniform(-reach, reach)
    # Back and forth between the edges of the view, slowing down and turning there.
    way = begin + speed * time_s
    place = reach * (2 / np.pi) * np.arcsin(np.sin(np.pi / 2 * way / reach))
    pause = rng.uniform(0, 2 * np.pi)
    place = place + 0.25 * np.sin(0.9 * time_s + pause)
    direction = np.sign(np.gradient(place, time_s))
    angle = np.deg2rad(heading)
    root = np.stack([place * np.cos(angle), np.zeros_like(place), z + place * np.sin(angle) * 0.3], axis=-1)
    yaw = 90.0 * direction
    phase = 2 * np.pi * np.abs(way) / (1.3 * (1 + run)) + rng.uniform(0, 6)
    pose = Figure(clamp(pack(gait(phase, run))), turn(yaw), root)
    return solve(body, on_floor(body, pose, np.zeros(len(time_s)))).lsp_xyz_world()


def _visibility(whole: Array, boxes: Array, xy: Array, away: Array) -> tuple[Array, Array]:
    frames, people = away.shape
    visible = np.zeros((frames, people))
    hidden = np.zeros(xy.shape[:3], bool)
    grid = (np.arange(12) + 0.5) / 12
    for f in range(frames):
        for i in range(people):
            x0, y0, x1, y1 = whole[f, i]
            x, y = np.meshgrid(x0 + grid * (x1 - x0), y0 + grid * (y1 - y0))
            clear = (x >= 0) & (x < SIZE[1]) & (y >= 0) & (y < SIZE[0])
            outside = (xy[f, i] < 0).any(axis=1) | (xy[f, i] >= SIZE[::-1]).any(axis=1)
            hidden[f, i] = outside
            for j in np.flatnonzero(away[f] < away[f, i]):
                a0, b0, a1, b1 = boxes[f, j]
                slim = 0.15 * (a1 - a0)  # a body fills the middle of its box
                clear &= ~((x > a0 + slim) & (x < a1 - slim) & (y > b0) & (y < b1))
                px, py = xy[f, i, :, 0], xy[f, i, :, 1]
                hidden[f, i] |= (px > a0 + slim) & (px < a1 - slim) & (py > b0) & (py < b1)
            visible[f, i] = clear.mean()
    return visible, hidden


def _found(rng: np.random.Generator, boxes: Array, xy: Array, visible: Array, hidden: Array, away: Array) -> Poses:
    size = boxes[:, 2:] - boxes[:, :2]
    scores = (0.25 + 0.7 * visible + rng.normal(0, 0.08, len(boxes))).clip(0.02, 0.98)
    there = (visible > 0.1) & (rng.random(len(boxes)) < 0.6 + 0.37 * visible) & (size > 8).all(axis=1)
    moved = boxes + rng.normal(0, 0.025, boxes.shape) * np.tile(size, 2)
    joints, sure = _poses(rng, xy, hidden, size, away)
    false = rng.poisson(0.25)
    center = rng.uniform(0, 1, (false, 2)) * SIZE[::-1]
    tall = rng.uniform(60, 300, (false, 1))
    half = np.concatenate([tall * rng.uniform(0.15, 0.35, (false, 1)), tall / 2], axis=1)
    wrong = np.concatenate([center - half, center + half], axis=1)
    dust = center[:, None] + rng.uniform(-1, 1, (false, 14, 2)) * half[:, None]
    every = np.concatenate([moved[there], wrong]).astype(np.float32)
    score = np.concatenate([scores[there], rng.uniform(0.1, 0.65, false)]).astype(np.float32)
    kept = suppress(every, score, 0.1, 0.65, 100)
    return Poses(
        skeleton=SKELETON,
        xy_image=np.concatenate([joints[there], dust]).astype(np.float32)[kept],
        scores=np.concatenate([sure[there], rng.uniform(0, 0.3, (false, 14))]).astype(np.float32)[kept],
        boxes_xyxy=every[kept],
        box_scores=score[kept],
    )


def _poses(rng: np.random.Generator, xy: Array, hidden: Array, size: Array, away: Array) -> tuple[Array, Array]:
    """Return the joints that the network reports, and their scores."""
    scale = np.sqrt(size.prod(axis=1))[:, None, None] * np.array(SKELETON.sigmas)[None, :, None]
    joints = xy + rng.normal(0, 0.6, xy.shape) * scale * np.where(hidden, 3, 1)[..., None]
    sure = np.where(hidden, rng.uniform(0.05, 0.5, hidden.shape), rng.uniform(0.5, 0.95, hidden.shape))
    for i in range(len(xy)):  # some hidden joints are found on the person in front
        front = [j for j in np.argsort(np.abs(xy[:, :, 0].mean(axis=1) - xy[i, :, 0].mean())) if away[j] < away[i]]
        if front:
            taken = hidden[i] & (rng.random(14) < 0.5)
            joints[i, taken] = xy[front[0], taken] + rng.normal(0, 2, (int(taken.sum()), 2))
    return joints, sure


def write_mot(folder: Path, name: str, rows: Iterator[tuple[int, int, Array, float]]) -> None:
    """Write identities in the format of the MOT challenge: frame from 1, id, x, y, width, height, score, -1, -1, -1."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for frame, person, (x0, y0, x1, y1), score in rows:
        lines.append(f"{frame + 1},{person},{x0:.2f},{y0:.2f},{x1 - x0:.2f},{y1 - y0:.2f},{score:.3f},-1,-1,-1\n")
    (folder / f"{name}.txt").write_text("".join(lines))
