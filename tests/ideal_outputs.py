"""What ideal grouping networks answer for known people, and people to answer for.

Coordinates are cells of the maps. Each function writes the outputs of one codec for one image, `[1, ...]` each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepose._checks import Array
from edgepose.codecs import heatmap
from edgepose.pose.geometry import Size, apply_affine

REACH = 4.0  # cells around a joint in which vectors lead to it

# A person of height 1, arms and legs apart, for every joint that the grouping skeletons have.
BODY = {
    "nose": (0.0, -0.42), "neck": (0.0, -0.33), "head_top": (0.0, -0.5), "pelvis": (0.0, 0.02), "chest": (0.0, -0.15),
    "right_eye": (-0.05, -0.46), "right_ear": (-0.1, -0.43), "right_shoulder": (-0.14, -0.31),
    "right_elbow": (-0.22, -0.16), "right_wrist": (-0.29, -0.02), "right_hip": (-0.09, 0.03),
    "right_knee": (-0.12, 0.26), "right_ankle": (-0.13, 0.48), "right_big_toe": (-0.2, 0.5),
    "right_small_toe": (-0.27, 0.47), "right_heel": (-0.1, 0.54),
}  # fmt: skip
BODY |= {name.replace("right", "left"): (-x, y) for name, (x, y) in BODY.items() if "right" in name}


def people(joints: Sequence[str], places: Sequence[tuple[float, float, float]]) -> Array:
    """[M, K, 2]: a person around each (x, y) of a given height, each a little different."""
    random = np.random.default_rng(7)
    unit = np.array([BODY[joint] for joint in joints])
    return np.stack([(unit + random.normal(0, 0.008, unit.shape)) * height + (x, y) for x, y, height in places])


def bells(xy: Array, size: Size, sigma: float = 1.5) -> Array:
    """[K, h, w]: the highest Gaussian of all people."""
    return np.asarray(heatmap.encode(xy, np.ones(xy.shape[:2], bool), size, sigma).max(axis=0, initial=0))


def _nearest_person(points: Array, size: Size) -> tuple[Array, Array]:
    """(index [h, w] of the person whose point [M, 2] is nearest to each cell, the distance [h, w])."""
    y, x = np.mgrid[: size[0], : size[1]]
    away = np.hypot(x - points[:, 0, None, None], y - points[:, 1, None, None])
    return away.argmin(axis=0), away.min(axis=0)


def associative(xy: Array, size: Size, tags: Sequence[float]) -> tuple[Array, Array]:
    """Joint maps, and around each joint the tag of its person."""
    maps, out = bells(xy, size), np.zeros((xy.shape[1], *size), np.float32)
    for joint, target in enumerate(out):
        who, away = _nearest_person(xy[:, joint], size)
        target[:] = np.where(away < REACH, np.asarray(tags)[who], 0)
    return maps[None], out[None]


def offsets(xy: Array, size: Size, sign: int = 1) -> tuple[Array, Array]:
    """Joint maps with the centers last, and displacements from the cells around each center."""
    centers = xy.mean(axis=1)
    maps = bells(np.concatenate([xy, centers[:, None]], axis=1), size)
    who, away = _nearest_person(centers, size)
    y, x = np.mgrid[: size[0], : size[1]]
    cells = np.stack([x, y])
    vectors = xy[who].transpose(2, 3, 0, 1) - cells  # [K, 2, h, w]
    vectors = sign * np.where(away < REACH, vectors, 0)
    return maps[None], vectors.reshape(1, -1, *size).astype(np.float32)


def posenet(xy: Array, limbs: Array, size: Size, to_input: Array) -> tuple[Array, Array, Array, Array]:
    """Joint maps, offsets, and displacements forward and backward, y of all before x of all, in input pixels."""
    y, x = np.mgrid[: size[0], : size[1]]
    places = apply_affine(to_input, np.stack([x, y], axis=-1).astype(float))  # [h, w, 2]
    there = apply_affine(to_input, xy)
    short = np.zeros((2, xy.shape[1], *size), np.float32)
    for joint in range(xy.shape[1]):
        who, _ = _nearest_person(xy[:, joint], size)
        short[:, joint] = (there[who, joint] - places).transpose(2, 0, 1)[::-1]
    ways = []
    for order in (limbs, limbs[:, ::-1]):
        long = np.zeros((2, len(limbs), *size), np.float32)
        for limb, (a, b) in enumerate(order):
            who, _ = _nearest_person(xy[:, a], size)
            long[:, limb] = (there[who, b] - there[who, a]).transpose(2, 0, 1)[::-1]
        ways.append(long.reshape(1, -1, *size))
    return bells(xy, size)[None], short.reshape(1, -1, *size), ways[0], ways[1]


def pifpaf(xy: Array, limbs: Array, size: Size, scale: float = 1.5) -> tuple[Array, Array]:
    """Composite fields: 4x4 cells vote for each joint, and the cells within 1.5 of a limb for the limb."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    intensity = np.zeros((xy.shape[1], 5, *size), np.float32)
    intensity[:, 2], intensity[:, 3] = x, y
    for joint, field in enumerate(intensity):
        for person in xy[:, joint]:
            voters = (np.abs(x - person[0]) <= 2) & (np.abs(y - person[1]) <= 2)
            field[1, voters], field[4, voters] = 1, scale
            field[2, voters], field[3, voters] = person
    association = np.zeros((len(limbs), 8, *size), np.float32)
    association[:, [2, 4]], association[:, [3, 5]] = x, y
    for (a, b), field in zip(limbs, association, strict=True):
        for start, end in zip(xy[:, a], xy[:, b], strict=True):
            step = end - start
            share = np.clip(((x - start[0]) * step[0] + (y - start[1]) * step[1]) / (step @ step), 0, 1)
            near = np.hypot(x - start[0] - share * step[0], y - start[1] - share * step[1]) < 1.5
            field[1, near], field[6, near], field[7, near] = 1, scale, scale
            field[2, near], field[3, near] = start
            field[4, near], field[5, near] = end
    return intensity[None], association[None]


def matched(found: Array, scores: Array, truth: Array) -> Array:
    """[M] the largest distance of each true person's joints to those of the found person who is nearest.

    A joint that was not found is infinitely far.
    """
    away = np.where(scores[:, None] > 0, np.linalg.norm(found[:, None] - truth, axis=-1), np.inf)  # [P, M, K]
    return np.asarray(away.max(axis=-1).min(axis=0))
