"""Training augmentation: where the crop is taken, and how its colors change.

The usual set of top-down pose training (Xiao et al., ECCV 2018, section 3; half body from Wang et al.,
2018): scale, rotation, shift, mirror with joint swap, half body, color. Every draw comes from the
generator that is passed in, so a sample is a function of (seed, epoch, index).
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
    """scale, shift: standard deviations (log2 of the size; share of the box). rotation_deg: likewise.

    Probabilities: rotate, mirror, half_body. color: gain of each channel, brightness and contrast (share).
    """

    scale: float = 0.25
    rotation_deg: float = 30.0
    rotate: float = 0.7
    shift: float = 0.04
    mirror: float = 0.5
    half_body: float = 0.25
    color: float = 0.2


def is_upper(skeleton: Skeleton) -> Array:
    """[K] bool: joints of the upper body."""
    bare = (joint.removeprefix("left_").removeprefix("right_") for joint in skeleton.joints)
    return np.array([joint in UPPER for joint in bare])


def _half_body(xy: Array, labeled: Array, upper: Array, rng: np.random.Generator) -> Array | None:
    """[4] box of a half of the body, or None where neither half has joints enough."""
    keep = labeled & (upper if rng.random() < 0.6 else ~upper)
    if keep.sum() < 4:
        return None
    return box_of_joints(xy, keep)


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
    """A random crop: ([2, 3] float64 image -> crop, whether it is mirrored)."""
    box = np.asarray(box_xyxy, np.float64)
    if rng.random() < options.half_body and labeled.sum() >= 10:
        half = _half_body(xy_image, labeled, is_upper(skeleton), rng)
        if half is not None:
            box, padding = half, padding * 1.2
    extent = max(box[2] - box[0], box[3] - box[1])
    shift = rng.normal(0, options.shift, 2).clip(-2 * options.shift, 2 * options.shift) * extent
    zoom = 2.0 ** float(np.clip(rng.normal(0, options.scale), -2 * options.scale, 2 * options.scale))
    rotated = rng.random() < options.rotate
    spread = 2 * options.rotation_deg
    angle = float(np.clip(rng.normal(0, options.rotation_deg), -spread, spread)) if rotated else 0.0
    mirror = bool(rng.random() < options.mirror)
    matrix = crop_affine(box + np.tile(shift, 2), size, padding=padding * zoom, rotation_deg=angle, mirror=mirror)
    return matrix, mirror


def jitter_color(image: Array, strength: float, rng: np.random.Generator) -> Array:
    """[H, W, 3] uint8: a gain for each channel, one contrast and one brightness, by a table look-up."""
    gain = (rng.normal(1, strength * 0.4, 3) * rng.normal(1, strength)).clip(0.4, 1.8)
    offset = rng.normal(0, strength * 40)
    ramp = np.arange(256, dtype=np.float32)[:, None]
    table = ((ramp - 128) * gain + 128 + offset).clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table.reshape(1, 256, 3)))
