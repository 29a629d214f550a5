"""Training augmentation: a random crop around a person, and random changes of its colors.

The augmentations are the usual ones of top-down pose training (Xiao et al., ECCV 2018, section 3; half body from
Wang et al., 2018): scale, rotation, shift, left-right mirror, half body and color. Turns by
a quarter and to the upright are for people who lie or stand on their hands. Every random number comes from the
generator that the caller passes, so a sample depends only on (seed, epoch, index).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edgepose._checks import Array
from edgepose.pose.geometry import Size, box_of_joints, crop_affine
from edgepose.pose.skeletons import Skeleton

UPPER = frozenset({"shoulder", "elbow", "wrist", "neck", "head_top", "nose", "eye", "ear", "thorax"})


@dataclass(frozen=True, kw_only=True)
class AugmentOptions:
    """Strength of each augmentation.

    Attributes:
        scale: Standard deviation of log2 of the crop's size.
        rotation_deg: Standard deviation of the rotation, degrees.
        rotate: Probability of a rotation.
        shift: Standard deviation of the shift, as a fraction of the longer side of the bounding box.
        mirror: Probability of a left-right mirror.
        half_body: Probability of a crop of the upper or lower body alone.
        quarter_turn: Probability of a turn by 90, 180 or 270 degrees before the rotation.
        upright: Probability that a person is turned before the rotation so that the torso stands upright. A quarter
            turn takes precedence.
        color: Strength of the changes in channel gain, brightness and contrast, as a fraction.
    """

    scale: float = 0.25
    rotation_deg: float = 30.0
    rotate: float = 0.7
    shift: float = 0.04
    mirror: float = 0.5
    half_body: float = 0.25
    quarter_turn: float = 0.0
    upright: float = 0.0
    color: float = 0.2


def is_upper(skeleton: Skeleton) -> Array:
    """Return which joints belong to the upper body.

    Args:
        skeleton: The skeleton of K joints.

    Returns:
        [K] bool.
    """
    bare = (joint.removeprefix("left_").removeprefix("right_") for joint in skeleton.joints)
    return np.array([joint in UPPER for joint in bare])


def _half_body(xy: Array, labeled: Array, upper: Array, rng: np.random.Generator) -> Array | None:
    """Return the bounding box [4] of one half of the body.

    None if that half has fewer than four labeled joints, or if the skeleton is of a part alone, such as a hand.
    """
    if upper.all() or not upper.any():
        return None
    keep = labeled & (upper if rng.random() < 0.6 else ~upper)
    if keep.sum() < 4:
        return None
    return box_of_joints(xy, keep)


def _turned(
    box: Array, xy: Array, labeled: Array, skeleton: Skeleton, options: AugmentOptions, rng: np.random.Generator
) -> tuple[Array, float]:
    """Draw a quarter turn or an upright turn; return the box to crop [4], and the turn in degrees, 0 for none.

    A probability of 0 draws no random number, so that recipes without turns keep their crops.
    """
    if options.quarter_turn and rng.random() < options.quarter_turn:
        quarters = 90.0 * int(rng.integers(1, 4))
        return _box_after(quarters, box, box[[[0, 1], [2, 1], [2, 3], [0, 3]]]), quarters
    if options.upright and rng.random() < options.upright:
        inside = xy[labeled & (xy >= box[:2]).all(axis=1) & (xy <= box[2:]).all(axis=1)]
        turn = _to_upright(xy, labeled, skeleton)
        if turn is not None and len(inside) >= 4:
            return _box_after(turn, box, inside), turn
    return box, 0.0


def _to_upright(xy: Array, labeled: Array, skeleton: Skeleton) -> float | None:
    """Return the clockwise rotation in degrees after which the torso points up; None if it is not labeled."""
    ends = [[f"{side}_{part}" for side in ("left", "right")] for part in ("hip", "shoulder")]
    if not {*ends[0], *ends[1]} <= set(skeleton.joints):
        return None
    rows = np.array([[skeleton.index(joint) for joint in pair] for pair in ends])
    across, down = xy[rows[1]].mean(axis=0) - xy[rows[0]].mean(axis=0)
    if not labeled[rows].all() or (across == 0 and down == 0):
        return None
    turn = -90.0 - float(np.degrees(np.arctan2(down, across)))
    return (turn + 180.0) % 360.0 - 180.0


def _box_after(turn_deg: float, box: Array, points: Array) -> Array:
    """Return the box [4] whose crop, turned about the middle of the box, holds `points` [N, 2] tightly."""
    middle = (box[:2] + box[2:]) / 2
    cos, sin = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    turn = np.array([[cos, -sin], [sin, cos]])
    turned = (points - middle) @ turn.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    center = middle + turn.T @ ((low + high) / 2)
    return np.concatenate([center - (high - low) / 2, center + (high - low) / 2])


def draw_crop(
    box_xyxy: Array,  # [4]
    xy_image: Array,  # [K, 2]
    labeled: Array,  # [K] bool
    skeleton: Skeleton,
    size: Size,
    padding: float,
    options: AugmentOptions,
    rng: np.random.Generator,
) -> tuple[Array, bool]:
    """Draw a random crop around a person.

    Args:
        box_xyxy: The person's bounding box, [4] float, image pixels.
        xy_image: The person's joints, [K, 2] float, image pixels.
        labeled: Which joints are labeled, [K] bool.
        skeleton: The skeleton of K joints.
        size: The (height, width) of the crop, pixels.
        padding: The factor by which the bounding box is enlarged.
        options: Strength of each augmentation.
        rng: The source of randomness.

    Returns:
        The matrix image -> crop, [2, 3] float64, and whether it mirrors the image.
    """
    box = np.array(box_xyxy, np.float64)
    if rng.random() < options.half_body and labeled.sum() >= 10:
        half = _half_body(xy_image, labeled, is_upper(skeleton), rng)
        if half is not None:
            box, padding = half, padding * 1.2
    box, turn = _turned(box, xy_image, labeled, skeleton, options, rng)
    extent = max(box[2] - box[0], box[3] - box[1])
    shift = rng.normal(0, options.shift, 2).clip(-2 * options.shift, 2 * options.shift) * extent
    zoom = 2.0 ** float(np.clip(rng.normal(0, options.scale), -2 * options.scale, 2 * options.scale))
    rotated = rng.random() < options.rotate
    spread = 2 * options.rotation_deg
    angle = float(np.clip(rng.normal(0, options.rotation_deg), -spread, spread)) if rotated else 0.0
    mirror = bool(rng.random() < options.mirror)
    box += np.tile(shift, 2)
    matrix = crop_affine(box, size, padding=padding * zoom, rotation_deg=turn + angle, mirror=mirror)
    return matrix, mirror


def jitter_color(image: Array, strength: float, rng: np.random.Generator) -> Array:
    """Apply a random gain per channel, one random contrast and one random brightness to an image.

    Args:
        image: [H, W, 3] uint8.
        strength: Strength of the changes, as a fraction (`AugmentOptions.color`).
        rng: The source of randomness.

    Returns:
        [H, W, 3] uint8.
    """
    gain = (rng.normal(1, strength * 0.4, 3) * rng.normal(1, strength)).clip(0.4, 1.8)
    offset = rng.normal(0, strength * 40)
    ramp = np.arange(256, dtype=np.float32)[:, None]
    table = ((ramp - 128) * gain + 128 + offset).clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table.reshape(1, 256, 3)))
