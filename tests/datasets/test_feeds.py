"""Feeds: what the batches hold, which people calibration picks, and what changes its hash."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest

from edgepose.artifacts.spec import CropSpec, InputSpec, ModelSpec
from edgepose.codecs.onestage import OnestageCodec
from edgepose.datasets.feeds import CalibrationFeed, crop_feed
from edgepose.datasets.lsp import load_lsp
from edgepose.datasets.samples import Sample
from edgepose.errors import DataError
from edgepose.kernels import warp_normalize
from edgepose.kernels.cropping import crop_matrices, cut, frame_box
from edgepose.media.images import read_image
from edgepose.pose.geometry import apply_affine
from edgepose.pose.skeletons import SKELETONS

SPEC = ModelSpec(name="test", skeleton=SKELETONS["lsp14"], input=InputSpec(size=(64, 48)))


def person(i, ignore=False):
    image = np.full((60, 80, 3), i, np.uint8)
    return Sample(
        image_id=i,
        name=f"{i:03d}.png",
        read=lambda: image,
        xy_image=np.full((14, 2), 30, np.float32),
        labeled=np.ones(14, bool),
        occluded=np.zeros(14, bool),
        box_xyxy=np.array([10, 5, 40, 55], np.float32),
        area=1500.0,
        ignore=ignore,
    )


@dataclass
class People:
    samples: list[Sample]
    name: str = "people"
    skeleton = SKELETONS["lsp14"]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


def test_crop_feed_is_every_person_in_order():
    people = People([person(i) for i in range(7)])
    batches = list(crop_feed(people, SPEC, batch=3))
    assert [len(batch.crops) for batch in batches] == [3, 3, 1]
    assert [s.image_id for batch in batches for s in batch.samples] == list(range(7))
    crops, inverse, samples = batches[1]
    expected = warp_normalize(samples[2].read(), crop_matrices(samples[2].box_xyxy[None], SPEC), SPEC.input)
    assert np.array_equal(crops[2], expected[0])
    corner = apply_affine(inverse[2], np.array([23.5, 31.5]))
    assert np.allclose(corner, [25, 30])  # the crop's middle is the box's


def test_cut_takes_nobody():
    crops, inverse = cut(np.zeros((60, 80, 3), np.uint8), np.zeros((0, 4)), SPEC)
    assert crops.shape == (0, 3, 64, 48)
    assert inverse.shape == (0, 2, 3)


def test_calibration_spreads_evenly_and_repeats():
    people = People([person(i, ignore=i % 10 == 0) for i in range(100)])
    feed = CalibrationFeed(people, SPEC, batch=4, limit=9)
    names = [name for _, part in feed for name in part]
    assert feed.count == len(names) == 9
    assert len(feed) == 3
    assert not any(int(name[:3]) % 10 == 0 for name in names)
    steps = np.diff([int(name[:3]) for name in names])
    assert steps.min() >= 10
    assert steps.max() <= 12
    assert names == [name for _, part in feed for name in part]  # again, from the start
    assert all(crops.dtype == np.float32 for crops, _ in feed)


def test_calibration_takes_everybody_when_there_are_few():
    feed = CalibrationFeed(People([person(i) for i in range(5)]), SPEC, limit=512)
    assert feed.count == 5
    assert [name for _, part in feed for name in part] == [f"{i:03d}.png" for i in range(5)]


def test_calibration_refuses_an_empty_set():
    with pytest.raises(DataError, match="people has no people"):
        CalibrationFeed(People([person(0, ignore=True)]), SPEC)


def test_hash_changes_with_names_boxes_and_pixels():
    people = [person(i) for i in range(5)]
    before = CalibrationFeed(People(people), SPEC).image_list_sha256
    assert before == CalibrationFeed(People([person(i) for i in range(5)]), SPEC, batch=1).image_list_sha256
    other = np.full((60, 80, 3), 3, np.uint8)
    other[59, 79, 2] += 1
    for changed in (
        {"name": "x.png"},
        {"box_xyxy": np.array([10, 5, 40, 55.5], np.float32)},
        {"read": lambda: other},
    ):
        edited = [*people[:3], replace(people[3], **changed), people[4]]
        assert CalibrationFeed(People(edited), SPEC).image_list_sha256 != before
    assert CalibrationFeed(People(people[:4]), SPEC).image_list_sha256 != before


def test_a_truncated_image_is_named(tmp_path):
    path = tmp_path / "half.jpg"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (99, 99, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:2000])
    broken = replace(person(1), read=lambda: read_image(path))
    with pytest.raises(DataError, match=r"half\.jpg is truncated"):
        list(crop_feed(People([person(0), broken]), SPEC))


def test_photographs(data_root):
    batch = next(crop_feed(load_lsp(data_root / "lsp", "val"), SPEC, batch=4))
    assert batch.crops.shape == (4, 3, 64, 48)
    for inverse, sample in zip(batch.inverse, batch.samples, strict=True):
        x0, y0, x1, y1 = sample.box_xyxy
        assert np.allclose(apply_affine(inverse, np.array([23.5, 31.5])), [(x0 + x1) / 2, (y0 + y1) / 2])


def test_a_network_that_finds_people_calibrates_on_whole_images() -> None:
    """Each image once, however many people it shows, and as the network will see it."""
    spec = replace(SPEC, codec=OnestageCodec(), crop=CropSpec(padding=1.0, place="top_left"), outputs=("people",))
    data = People([person(i) for i in (3, 3, 4, 5, 5, 5)])
    feed = CalibrationFeed(data, spec)
    ((crops, names),) = list(feed)
    assert names == ["003.png", "004.png", "005.png"] and feed.count == 3
    for crop, level in zip(crops, (3, 4, 5), strict=True):
        whole = cut(np.full((60, 80, 3), level, np.uint8), frame_box((60, 80)), spec)[0][0]
        np.testing.assert_array_equal(crop, whole)
    assert CalibrationFeed(data, SPEC).count == 6
