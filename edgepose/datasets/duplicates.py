"""Duplicate photographs across the splits of a data set, which make a test set easier than it looks.

The fingerprint of an image is a hash of its pixels, and a difference hash of 256 bits: whether brightness rises or
falls between neighboring pixels of a 16 x 17 thumbnail (described by N. Krawetz in 2013). Copies of a photograph that
were scaled or recompressed differ in about 30 bits or fewer (LSP at half size and JPEG quality 50: 36 at most).
Different photographs differ in about half of the bits (at least 78 in 125,000 pairs). A cropped copy is not
recognized. Images with very little structure are compared by their pixels only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from edgepose._checks import Array

SIDE = 16
NEAR = 32  # largest number of differing bits, of 256, for two images to count as duplicates
PLAIN = 40  # An image with fewer brightness changes has too little structure to compare by its difference hash.
BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1)  # number of set bits per byte


class Fingerprint(NamedTuple):
    """The fingerprint of an image.

    Attributes:
        name: The name of the image.
        pixels: The SHA-256 hash of its pixels, hexadecimal.
        looks: The difference hash, [32] uint8; None if the image has too little structure.
    """

    name: str
    pixels: str
    looks: Array | None  # [32] uint8


class Duplicate(NamedTuple):
    """Two names for one photograph.

    Attributes:
        first: The name in the first set.
        second: The name in the second set.
        same_pixels: Whether the pixels are equal; otherwise only the difference hashes are close.
    """

    first: str
    second: str
    same_pixels: bool


def fingerprint(name: str, image: Array) -> Fingerprint:
    """Compute the fingerprint of an image.

    Args:
        name: The name of the image.
        image: [H, W, 3] uint8 BGR.
    """
    pixels = hashlib.sha256(str(image.shape).encode() + np.ascontiguousarray(image).data).hexdigest()
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(gray, (SIDE + 1, SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    steps = np.diff(small, axis=1)
    rises = steps > 0
    plain = np.count_nonzero(np.abs(steps) > 2) < PLAIN
    return Fingerprint(name, pixels, None if plain else np.packbits(rises))


def duplicates(first: Sequence[Fingerprint], second: Sequence[Fingerprint]) -> list[Duplicate]:
    """Find the images of one set that are also in another.

    Args:
        first: The fingerprints of the first set.
        second: The fingerprints of the second set.

    Returns:
        The pairs of equal images first, then the pairs of similar images.
    """
    by_pixels = {print_.pixels: print_.name for print_ in second}
    same = [Duplicate(a.name, by_pixels[a.pixels], True) for a in first if a.pixels in by_pixels]
    known = {(pair.first, pair.second) for pair in same}
    near = [Duplicate(a, b, False) for a, b in _near(first, second) if (a, b) not in known]
    return [*same, *near]


def _near(first: Sequence[Fingerprint], second: Sequence[Fingerprint]) -> list[tuple[str, str]]:
    """Return pairs of names of images with close difference hashes."""
    others = [print_ for print_ in second if print_.looks is not None]
    if not others:
        return []
    looks = np.stack([print_.looks for print_ in others if print_.looks is not None])
    found = []
    for print_ in first:
        if print_.looks is not None:
            away = BITS[looks ^ print_.looks].sum(axis=1)
            found += [(print_.name, others[i].name) for i in np.flatnonzero(away <= NEAR)]
    return found
