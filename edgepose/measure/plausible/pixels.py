"""mean, std and scale: the values that the network sees must be those of a known convention.

A network sees (pixel * scale - mean) / std for pixels 0..255. Known conventions map black and white to 0..1, -1..1,
about -2..2.6 (mean and standard deviation of ImageNet), 0..255, or -128..128. A mean and a standard deviation for
pixels 0..1 that meet pixels 0..255 map white to about 1100; the reverse maps all pixels to nearly the same value.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.spec import IMAGENET_MEAN, IMAGENET_STD, InputSpec
from edgepose.measure.plausible.finding import WARNING, Evidence, Finding

WHITE = 255.0
WIDEST = 300.0  # from black to white; 255 is that of pixels as they are
NARROWEST = 0.2  # from black to white; 1 is the least of the conventions
TINY = 0.02  # no standard deviation of pixels 0..1 is smaller; 1 / 255 is, which some take for a factor
FAR = 12.0  # gray levels; data sets of photographs have means that are nearer to that of ImageNet
CLOSE = 2.0  # gray levels between a mean and that of ImageNet


def check_pixels(evidence: Evidence) -> Iterator[Finding]:
    """Judge the values that black and white pixels become."""
    image = evidence.spec.input
    if image.dtype == "uint8":  # pixels as they are
        return
    finding = _units(image) or _channel_order(image)
    if finding is not None:
        yield finding


def _units(image: InputSpec) -> Finding | None:
    mean, std = np.array(image.mean), np.array(image.std)
    white = WHITE * image.scale
    black, full = -mean / std, (white - mean) / std
    span = white / std
    values = f"a black pixel becomes {_values(black)} and a white one {_values(full)}"
    given = f"mean = {_values(mean)}, std = {_values(std)}, scale = {image.scale:g}"
    unit = max(np.abs(mean).max(), std.max()) <= 1.5 and std.min() > TINY
    if span.max() > WIDEST and image.scale > 1:
        remedy = "scale multiplies the pixels: leave it out, or use 0.00392156862745098 (1 / 255) for pixels 0..1"
        return _finding(WARNING, f"{given}: {values}", remedy)
    if span.max() > WIDEST and (std < 1).any():
        remedy = (
            "the network's mean and std are for pixels 0..1: add scale = 0.00392156862745098 (1 / 255) to input, or "
            "multiply mean and std by 255"
            if unit
            else "std divides the pixels: for pixels 0..1 use std = [255, 255, 255], or scale = 0.00392156862745098"
        )
        return _finding(WARNING, f"{given}, but pixels are 0..{white:g}: {values}", remedy)
    if (unit and image.scale == 1.0 and np.abs(mean).max() > 0 and std.min() == std.max() == 1.0
            and np.abs(mean).max() <= 1.0):  # fmt: skip
        remedy = "if mean is for pixels 0..1, multiply it by 255 or add scale = 0.00392156862745098 (1 / 255) to input"
        return _finding(WARNING, f"{given}, but pixels are 0..{white:g}: {values}", remedy)
    if image.scale == 1.0 and 0 < np.abs(mean).max() <= 1 and std.min() > 10:
        remedy = "mean is for pixels 0..1 and std for pixels 0..255: multiply mean by 255"
        return _finding(WARNING, f"{given}, but pixels are 0..{white:g}: {values}", remedy)
    if span.max() < NARROWEST:
        remedy = (
            "mean and std are for pixels 0..255 while scale has made them 0..1: leave out scale, or divide mean and "
            "std by 255"
            if image.scale < 1
            else "std is far too large for pixels 0..255"
        )
        return _finding(WARNING, f"{given} leave almost nothing of the image: {values}", remedy)
    if (black > 0.25 * span).any() or (full < -0.25 * span).any():
        remedy = "mean lies outside the range of the pixels after scale; give it in the same units"
        return _finding(WARNING, f"{given}: {values}, so that every pixel has the same sign", remedy)
    if np.abs(std / image.scale - IMAGENET_STD).max() <= 1.0 and _far_from_imagenet(mean / image.scale):
        own = np.array(IMAGENET_MEAN if image.color == "rgb" else IMAGENET_MEAN[::-1]) * image.scale
        remedy = (
            "std is that of ImageNet, as it is where none is given, and mean is not: give the network's own std, or "
            f"use mean = {_values(own)}"
        )
        return _finding(WARNING, f"{given}: {values}", remedy)
    return None


def _far_from_imagenet(levels: Array) -> bool:
    """Whether a mean, in gray levels, is that of ImageNet in neither order of the colors."""
    return all(np.abs(levels - known).max() > FAR for known in (IMAGENET_MEAN, IMAGENET_MEAN[::-1]))


def _channel_order(image: InputSpec) -> Finding | None:
    """Doubt the mean of ImageNet in the order of the other color."""
    levels = np.array(image.mean) / image.scale
    own = np.array(IMAGENET_MEAN if image.color == "rgb" else IMAGENET_MEAN[::-1])
    if np.abs(levels - own[::-1]).max() > CLOSE or np.abs(levels - own).max() <= CLOSE:
        return None
    other = "bgr" if image.color == "rgb" else "rgb"
    return Finding(
        severity=WARNING,
        what=f'input.color = "{image.color}"',
        evidence=f"mean = {_values(np.array(image.mean))} is that of ImageNet in the order {other.upper()}",
        remedy=f'use color = "{other}", or reverse mean and std',
    )


def _finding(severity: str, evidence: str, remedy: str) -> Finding:
    return Finding(severity=severity, what="input.mean and input.std", evidence=evidence, remedy=remedy)


def _values(values: Array) -> str:
    """Return one number where all channels are equal to three digits, else all of them."""
    texts = [f"{value + 0.0:.4g}" for value in values]  # no -0
    return texts[0] if len(set(texts)) == 1 else f"[{', '.join(texts)}]"
