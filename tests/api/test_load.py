"""`edgepose.load`: three lines give poses, the same ones as the parts it is made of."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import edgepose
from edgepose._files import sha256_file
from edgepose.backends.engine import open_engine
from edgepose.backends.session import OpenOptions
from edgepose.errors import DataError, EngineError, UsageError
from edgepose.media.images import read_image
from edgepose.runtime.pipeline import open_pipeline


@pytest.fixture
def pose(cache: Path) -> Iterator[edgepose.PoseModel]:
    with edgepose.load("lite", precision="fp32", cache_dir=cache) as model:
        yield model


def test_a_file_an_array_and_a_batch(pose: edgepose.PoseModel, picture: Path) -> None:
    people = pose(picture)
    image = read_image(picture)
    assert isinstance(people, edgepose.Poses)
    assert people.xy_image.shape == (1, 14, 2)
    others = [pose(str(picture)), pose(image), *pose([picture, image]), *pose(np.stack([image, image]))]
    assert len(others) == 6
    for other in others:
        np.testing.assert_array_equal(other.xy_image, people.xy_image)
    assert pose([]) == []


def test_boxes_give_what_the_pipeline_gives(pose: edgepose.PoseModel, picture: Path) -> None:
    boxes = np.array([[10, 10, 60, 100], [0, 5, 95, 127]], np.float32)
    found = pose(picture, boxes=boxes)
    session, manifest = open_engine(pose.path, OpenOptions())
    with session:
        expected = open_pipeline(session, manifest.spec)(read_image(picture), boxes)
    np.testing.assert_allclose(found.xy_image, expected.xy_image, atol=1e-3)
    (listed,) = pose([picture], boxes=[boxes.tolist()])
    np.testing.assert_array_equal(listed.xy_image, found.xy_image)
    assert len(pose(picture, boxes=np.zeros((0, 4), np.float32))) == 0


def test_wrong_images(pose: edgepose.PoseModel, picture: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.jpg"):
        pose(tmp_path / "nothing.jpg")
    with pytest.raises(ValueError, match=r"image: expected shape \[H, W, 3\], got \[4, 4\]"):
        pose(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="boxes: expected shape"):
        pose(picture, boxes=np.zeros((2, 3)))
    with pytest.raises(ValueError, match="one array for each of 2 images"):
        pose([picture, picture], boxes=[np.zeros((1, 4))])
    with pytest.raises(ValueError, match=r"x0 <= x1 and y0 <= y1, got \[50\.0, 60\.0, 20\.0, 90\.0\]"):
        pose(picture, boxes=[[0, 0, 9, 9], [50, 60, 20, 90]])  # x, y, width, height
    for image in (None, 3, iter([picture])):
        with pytest.raises(TypeError, match="image: expected a file, a BGR array or a list of them"):
            pose(image)
    assert len(pose(picture, boxes=[])) == 0


def test_a_stream(pose: edgepose.PoseModel, picture: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        shutil.copy(picture, folder / f"{i}.png")
    frames = list(pose.stream(folder))
    assert [frame.name for frame in frames] == ["0.png", "1.png", "2.png"]
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert frames[1].time_s == pytest.approx(0.1)
    assert frames[0].image.shape == (128, 96, 3)
    np.testing.assert_array_equal(frames[2].poses.xy_image, pose(picture).xy_image)
    first = next(iter(pose.stream(folder)))  # a loop may be left early
    assert len(first.poses) == 1
    boxes = tmp_path / "boxes.json"
    boxes.write_text('[{"frame": "1.png", "bbox": [1, 2, 30, 40], "score": 0.5}]')
    assert [len(frame.poses) for frame in pose.stream(folder, options=edgepose.StreamOptions(detector=str(boxes)))] == [
        0,
        1,
        0,
    ]
    every_second = edgepose.StreamOptions(every=2, max_people=1, roi="0,0,0.1,0.1")  # type: ignore[arg-type]
    assert [(frame.name, len(frame.poses)) for frame in pose.stream(folder, options=every_second)] == [
        ("0.png", 0),
        ("2.png", 0),
    ]
    with pytest.raises(DataError, match="no source"):
        next(pose.stream(tmp_path / "nothing"))
    with pytest.raises(TypeError, match=r"source: expected one file.*got list; use run for several"):
        next(pose.stream([folder, folder]))  # type: ignore[arg-type]


def test_what_a_model_says(pose: edgepose.PoseModel) -> None:
    assert repr(pose) == "<PoseModel simplebaseline-lite: openvino fp32, input 256x192, 14 joints (lsp14)>"
    assert pose.skeleton.name == "lsp14"
    assert pose.spec.input.size == (256, 192)
    assert not pose.finds_people
    assert pose.slowed_by == ""


def test_a_closed_model(cache: Path, picture: Path) -> None:
    model = edgepose.load("lite", precision="fp32", cache_dir=cache)
    model.close()
    model.close()
    assert "closed" in repr(model)
    with pytest.raises(EngineError, match="closed"):
        model(picture)
    with pytest.raises(EngineError, match="closed"):
        next(model.stream(picture))


def test_an_engine_folder_and_its_options(pose: edgepose.PoseModel, picture: Path) -> None:
    with edgepose.load(pose.path, threads=1, flip_test=True, detector="whole") as model:
        assert model(picture).xy_image.shape == (1, 14, 2)
    with pytest.raises(UsageError, match="stream"):
        edgepose.load(pose.path, detector="boxes.json")
    with pytest.raises(EngineError, match="no engine folder"):
        edgepose.load("nothing")


def test_compiled_code_that_was_kept_gives_the_same_poses(cache: Path, picture: Path) -> None:
    code = (
        "import sys, edgepose\n"
        "with edgepose.load('lite', precision='fp32', cache_dir=sys.argv[1]) as pose:\n"
        "    print(pose(sys.argv[2]).xy_image.tolist())\n"
    )
    command = [sys.executable, "-c", code, str(cache), str(picture)]
    runs = [subprocess.run(command, check=True, capture_output=True, text=True) for _ in range(2)]
    assert runs[0].stdout == runs[1].stdout
    assert runs[0].stderr == ""
    (blob,) = cache.glob(".compiled-*/lite-*/*.blob")
    blob.chmod(0o600)
    kept = blob.read_bytes()
    middle = len(kept) // 2  # among the weights
    blob.write_bytes(
        kept[:middle] + bytes(byte ^ 0x55 for byte in kept[middle : middle + 4000]) + kept[middle + 4000 :]
    )
    (blob.parent / "sha256.json").write_text(json.dumps({blob.name: "0"}))
    again = subprocess.run(command, check=True, capture_output=True, text=True)
    assert again.stdout == runs[0].stdout
    assert blob.read_bytes() == kept
    assert sha256_file(blob) in (blob.parent / "sha256.json").read_text()


def test_drawing(pose: edgepose.PoseModel, picture: Path) -> None:
    image = cv2.imread(str(picture))
    assert edgepose.draw_poses(image, pose(image), threshold=0).shape == image.shape


def test_wrong_options(cache: Path, tmp_path: Path) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"precision": "int4"}, "unknown precision 'int4'"),
        ({"threads": -1}, "threads = -1"),
        ({"spec": tmp_path / "no.toml"}, r"no contract at .*no\.toml"),
        ({"precision": "fp32", "calib": "images:photos"}, "calib is about int8"),
        ({"detector": "boxes.json"}, "belong to one source"),
    ]
    for options, message in wrong:
        with pytest.raises(UsageError, match=message):
            edgepose.load("lite", cache_dir=cache, **options)
    with pytest.raises(UsageError, match="unknown precision 'int4'"):
        edgepose.build("lite", out=tmp_path / "out", options=edgepose.BuildOptions(precisions=("int4",)))
    assert not (tmp_path / "out").exists()
