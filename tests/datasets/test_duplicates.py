"""The same photograph under two names, stored again or not, and photographs that only look alike to a hash."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edgepose.datasets.duplicates import NEAR, duplicates, fingerprint
from edgepose.datasets.open import open_data
from edgepose.datasets.samples import pictures

AGAIN = {
    "recompressed": lambda image: cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 75])[1], 1),
    "larger": lambda image: cv2.resize(image, None, fx=1.7, fy=1.7, interpolation=cv2.INTER_CUBIC),
    "smaller": lambda image: cv2.resize(image, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA),
    "brighter": lambda image: np.clip(image * 1.1 + 5, 0, 255).astype(np.uint8),
}


@pytest.fixture(scope="module")
def photographs(data_root):
    data = open_data(f"lsp:{data_root}/lsp:test")
    return [(picture.name, picture.read()) for picture in pictures(data)[::25]]


def test_the_same_pixels(photographs):
    prints = [fingerprint(name, image) for name, image in photographs]
    again = [fingerprint(f"copy of {name}", image.copy()) for name, image in photographs]
    found = duplicates(prints, again)
    assert [(pair.first, pair.second) for pair in found] == [(name, f"copy of {name}") for name, _ in photographs]
    assert all(pair.same_pixels for pair in found)


@pytest.mark.parametrize("how", AGAIN)
def test_stored_again(photographs, how):
    prints = [fingerprint(name, image) for name, image in photographs]
    again = [fingerprint(name, AGAIN[how](image)) for name, image in photographs]
    found = duplicates(prints, again)
    assert all(pair.first == pair.second for pair in found)
    assert len(found) >= 0.95 * len(photographs)


def test_photographs_of_lsp_that_are_in_both_halves(data_root):
    """Four of them, looked at one by one: the same frame, cut a little differently."""
    prints = [
        [fingerprint(picture.name, picture.read()) for picture in pictures(open_data(f"lsp:{data_root}/lsp:{split}"))]
        for split in ("train", "test")
    ]
    assert {(pair.first, pair.second) for pair in duplicates(*prints)} == {
        ("im0371.jpg", "im1622.jpg"),
        ("im0492.jpg", "im1436.jpg"),
        ("im0535.jpg", "im1233.jpg"),
        ("im0550.jpg", "im1366.jpg"),
    }


def test_plain_pictures_are_compared_by_their_pixels_alone():
    gray, white = np.full((60, 80, 3), 128, np.uint8), np.full((60, 80, 3), 255, np.uint8)
    prints = [fingerprint("gray", gray)], [fingerprint("white", white), fingerprint("gray too", gray)]
    assert prints[0][0].looks is None
    assert duplicates(*prints) == [("gray", "gray too", True)]
    assert duplicates([], prints[1]) == duplicates(prints[0], []) == []


def test_equals_the_slow_twin(photographs):
    noise = np.random.default_rng(0)
    prints = [fingerprint(name, image) for name, image in photographs]
    others = []
    for print_ in prints:
        bits = np.unpackbits(print_.looks)
        flip = noise.choice(256, noise.integers(0, 2 * NEAR), replace=False)
        bits[flip] ^= 1
        others.append(print_._replace(pixels=print_.name, looks=np.packbits(bits)))
    slow = {
        (a.name, b.name)
        for a in prints
        for b in others
        if (np.unpackbits(a.looks) != np.unpackbits(b.looks)).sum() <= NEAR
    }
    assert {(pair.first, pair.second) for pair in duplicates(prints, others)} == slow
    assert 0 < len(slow) < len(prints)
