"""One photograph under two names: across the splits of a data set, where it makes the test easier than it looks.

A picture's fingerprint is the hash of its pixels, and 256 bits of what it looks like: whether brightness rises or
falls between neighbors of a 16 x 17 miniature (a difference hash, as N. Krawetz described it in 2013). The bits
of the same photograph stored again, scaled or recompressed, differ in up to some 30 places (of LSP's at half size and
JPEG quality 50 in 36 at most), those of two photographs in about half (of 125,000 pairs in 78 at least). A photograph
cut differently is not recognized. Pictures with hardly any structure are compared by their pixels alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from edgepose._checks import Array

SIDE = 16
NEAR = 32  # of 256 bits
PLAIN = 40  # fewer rises or falls than this: too little structure to tell pictures apart
BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1)  # set bits of each byte


class Fingerprint(NamedTuple):
    """A picture of a data set by its pixels and its looks."""

    name: str
    pixels: str  # sha256, hex
    looks: Array | None  # [32] uint8, None without structure


class Duplicate(NamedTuple):
    """Two names for one photograph: the same pixels, or nearly the same looks."""

    first: str
    second: str
    same_pixels: bool


def fingerprint(name: str, image: Array) -> Fingerprint:
    """The fingerprint of an image [H, W, 3] uint8."""
    pixels = hashlib.sha256(str(image.shape).encode() + np.ascontiguousarray(image).data).hexdigest()
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(gray, (SIDE + 1, SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    steps = np.diff(small, axis=1)
    rises = steps > 0
    plain = np.count_nonzero(np.abs(steps) > 2) < PLAIN
    return Fingerprint(name, pixels, None if plain else np.packbits(rises))


def duplicates(first: Sequence[Fingerprint], second: Sequence[Fingerprint]) -> list[Duplicate]:
    """The photographs of `first` that are in `second` too."""
    by_pixels = {print_.pixels: print_.name for print_ in second}
    same = [Duplicate(a.name, by_pixels[a.pixels], True) for a in first if a.pixels in by_pixels]
    known = {(pair.first, pair.second) for pair in same}
    near = [Duplicate(a, b, False) for a, b in _near(first, second) if (a, b) not in known]
    return [*same, *near]


def _near(first: Sequence[Fingerprint], second: Sequence[Fingerprint]) -> list[tuple[str, str]]:
    """Names of pictures that look alike."""
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
