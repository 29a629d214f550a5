"""A folder of photographs: order, which files count, whole-image boxes, damaged and empty folders."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edgepose.datasets.images import load_images
from edgepose.datasets.samples import counted
from edgepose.errors import DataError


def put(folder, name, height=20, width=30, level=0):
    assert cv2.imwrite(str(folder / name), np.full((height, width, 3), level, np.uint8))


def test_natural_order_and_what_counts(tmp_path):
    for level, name in enumerate(["b10.jpg", "b9.PNG", "b1.bmp", "a.webp", "c.jpeg"]):
        put(tmp_path, name, level=10 * level)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "b2.jpg").mkdir()  # a folder of such a name is no image
    data = load_images(tmp_path)
    assert [sample.name for sample in data] == ["a.webp", "b1.bmp", "b9.PNG", "b10.jpg", "c.jpeg"]
    assert [sample.image_id for sample in data] == list(data.image_ids) == [0, 1, 2, 3, 4]
    assert data.name == f"images:{tmp_path}"
    assert abs(int(data[3].read().mean())) < 3


def test_one_unlabeled_sample_as_large_as_the_image(tmp_path):
    put(tmp_path, "x.png", height=20, width=30)
    sample = load_images(tmp_path)[0]
    assert sample.box_xyxy.tolist() == [-0.5, -0.5, 29.5, 19.5]
    assert sample.area == 600
    assert not sample.labeled.any()
    assert sample.labeled.shape == (14,)
    assert not sample.ignore  # calibration takes it


def test_nothing_is_decoded_to_count(tmp_path):
    put(tmp_path, "a.png")
    (tmp_path / "b.png").write_bytes(b"no image at all")
    data = load_images(tmp_path)
    assert len(data) == 2
    assert counted(data) == [0, 1]
    with pytest.raises(DataError, match=r"b\.png is no image"):
        data[1]
    with pytest.raises(IndexError):
        data[2]


def test_folders_that_cannot_serve(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing else")
    with pytest.raises(DataError, match="holds no image"):
        load_images(tmp_path)
    with pytest.raises(DataError, match="cannot read folder"):
        load_images(tmp_path / "missing")
    with pytest.raises(DataError, match="cannot read folder"):
        load_images(tmp_path / "notes.txt")
