"""Reading images that are missing, cut short or none at all; labels that cannot belong to their image."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from made_people import person

from edgepose.datasets.samples import (
    Picture,
    SampleList,
    checked_sample,
    outside,
    pictures,
    read_image,
    refuse_outside,
    truncated,
)
from edgepose.errors import DataError
from edgepose.pose.skeletons import SKELETONS

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
    for content in (b"", b"text", bytes(5000)):
        path.write_bytes(content)
        with pytest.raises(DataError, match="no image OpenCV can decode"):
            read_image(path)


def people(*samples):
    return SampleList(name="people", skeleton=SKELETONS["lsp14"], samples=samples, image_ids=(4,))


def test_outside_is_measured_from_the_pixels_edge():
    xy = np.array([[0, 0], [-0.5, 59.5], [-3, 10], [79, 70], [82, -2]])
    assert outside(xy, (60, 80)).tolist() == [[0, 0], [0, 0], [2.5, 0], [0, 10.5], [2.5, 1.5]]


def checked(**changes):
    fields = {"xy": np.array([[10.0, 20], [40, 60], [np.nan, 0]]), "labeled": np.array([True, True, False])}
    return checked_sample("f.json: person 3", image_id=1, name="1.jpg", read=lambda: None, **(fields | changes))


def test_a_person_is_whole_with_what_labels_leave_out():
    made = checked()
    assert made.xy_image.tolist() == [[10, 20], [40, 60], [0, 0]]
    assert (made.box_xyxy.tolist(), made.area) == ([10, 20, 40, 60], 1200)
    assert (made.occluded.any(), made.ignore, made.crowd, np.isnan(made.head_px)) == (False, False, False, True)
    assert checked(labeled=np.zeros(3, bool)).ignore
    assert checked(crowd=True).ignore
    assert checked(occluded=np.ones(3, bool)).occluded.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"labeled": np.ones(3, bool)}, r"a labeled joint is at \(nan, 0\)"),
        ({"xy": np.full((3, 2), 2e6)}, "a labeled joint is at"),
        ({"box_xyxy": np.array([0, 0, np.inf, 1])}, r"a corner of the box is at \(inf, 1\)"),
        ({"box_xyxy": np.array([5.0, 0, 1, 1])}, "negative side"),
        ({"area": float("nan")}, "area is nan"),
        ({"area": -1.0}, "area is -1"),
        ({"head_px": 0.0}, "head size is 0"),
        ({"head_px": float("inf")}, "head size is inf"),
    ],
)
def test_numbers_that_are_no_place_are_refused(changes, says):
    with pytest.raises(DataError, match=rf"f\.json: person 3: .*{says}"):
        checked(**changes)


def test_pictures_are_every_image_once_the_empty_ones_last():
    data = people(person([[1, 1]]), person([[2, 2]]), person([[3, 3]], image_id=9, name="9.jpg"))
    empty = Picture(image_id=2, name="2.jpg", read=lambda: None)
    found = pictures(dataclasses.replace(data, empty=(empty,)))
    assert [(picture.image_id, picture.name) for picture in found] == [(4, "4.jpg"), (9, "9.jpg"), (2, "2.jpg")]


def test_labels_that_cannot_be_right():
    size = (60, 80)
    refuse_outside(person([[20, 20], [159, 119]]), size)  # as far as one more image: kept
    with pytest.raises(DataError, match=r"4\.jpg \(image 4, 80x60\): a joint is labeled at \(170, 20\)"):
        refuse_outside(person([[20, 20], [170, 20]]), size)
    with pytest.raises(DataError, match=r"labeled at \(20, -70\)"):
        refuse_outside(person([[20, -70]]), size)
    refuse_outside(person([], box=(-40, -40, 1, 1)), size)
    with pytest.raises(DataError, match=r"box \(90, 10\) to \(120, 50\) is outside"):
        refuse_outside(person([], box=(90, 10, 120, 50)), size)
    with pytest.raises(DataError, match="is outside the image"):
        refuse_outside(person([], box=(10, -30, 20, -2)), size)
    unlabeled = person([[20, 20]])
    unlabeled.xy_image[5] = 9999
    refuse_outside(unlabeled, size)
