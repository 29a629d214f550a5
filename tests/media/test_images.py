"""Reading images that are missing, truncated or not images, and the order of files in a folder."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgepose.errors import DataError
from edgepose.media.folder import natural_key
from edgepose.media.images import read_image, truncated

FORMATS = {
    "baseline.jpg": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 90]),
    "progressive.jpg": (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    "restarts.jpg": (".jpg", [cv2.IMWRITE_JPEG_RST_INTERVAL, 3]),
    "plain.png": (".png", []),
    "plain.bmp": (".bmp", []),
    "lossy.webp": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 80]),
    "lossless.webp": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
}


def picture(height=60, width=90):
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2)


def encoded(kind) -> bytes:
    suffix, options = FORMATS[kind]
    return cv2.imencode(suffix, picture(), options)[1].tobytes()


@pytest.mark.parametrize("kind", FORMATS)
def test_reads(tmp_path, kind):
    path = tmp_path / kind
    path.write_bytes(encoded(kind))
    image = read_image(path)
    assert image.shape == (60, 90, 3)
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - picture()).mean() < 8


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.95, 0.999])
def test_cut_short_is_refused(tmp_path, kind, share):
    path, raw = tmp_path / kind, encoded(kind)
    path.write_bytes(raw[: int(share * len(raw))])
    with pytest.raises(DataError, match=kind):
        read_image(path)


@pytest.mark.parametrize("kind", ["baseline.jpg", "progressive.jpg", "restarts.jpg", "plain.png"])
def test_a_file_may_go_on_after_its_image(kind):
    """Phones append a clip to a JPEG; and every cut before the end is seen."""
    raw = np.frombuffer(encoded(kind), np.uint8)
    assert not truncated(np.concatenate([raw, np.zeros(100_000, np.uint8)]))
    ends = [cut for cut in range(16, len(raw)) if not truncated(raw[:cut])]
    assert min(ends, default=len(raw)) >= len(raw) - 4  # of a PNG the checksum of nothing may lack


def test_the_end_of_a_thumbnail_is_not_the_images(tmp_path):
    """A JPEG inside an APP1 segment, as cameras write it, then the file is cut behind it."""
    thumbnail, raw = cv2.imencode(".jpg", picture(16, 16))[1].tobytes(), encoded("baseline.jpg")
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    whole = raw[:2] + segment + raw[2:]
    path = tmp_path / "camera.jpg"
    path.write_bytes(whole)
    assert read_image(path).shape == (60, 90, 3)
    path.write_bytes(whole[: len(segment) + 200])
    with pytest.raises(DataError, match="truncated"):
        read_image(path)


def test_no_image_at_all(tmp_path):
    path = tmp_path / "x.jpg"
    with pytest.raises(DataError, match=r"cannot read image .*x\.jpg: No such file"):
        read_image(path)
    with pytest.raises(DataError, match="Is a directory"):
        read_image(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"x\.jpg is empty"):
        read_image(path)
    for content in (b"text", bytes(5000)):
        path.write_bytes(content)
        with pytest.raises(DataError, match="no image OpenCV can decode"):
            read_image(path)


@given(st.lists(st.text(alphabet="aB0129._-²", max_size=8)))
def test_natural_order_is_an_order(names):
    ordered = sorted(names, key=natural_key)
    ordered.reverse()
    assert sorted(ordered, key=natural_key) == ordered[::-1]


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_numbers_sort_by_value(a, b):
    assert (natural_key(f"im{a}.jpg") < natural_key(f"im{b}.jpg")) == (a < b)
