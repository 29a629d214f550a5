"""COCO JSON, COCO results and JSON Lines: what stands in them."""

from __future__ import annotations

import json
import os
import threading

import numpy as np
import pytest

from edgepose.errors import EdgeposeError
from edgepose.runtime.finders.boxes_file import BoxesFile

IMAGE = np.zeros((100, 120, 3), np.uint8)


def test_coco_json(opened, frame, tracked, nobody, tmp_path) -> None:
    with opened("json") as sink:
        sink.write(frame(3), tracked)
        sink.write(frame(4), nobody)
        assert not (tmp_path / "out").exists()
    found = json.loads((tmp_path / "out").read_text())
    assert found["format"] == 1
    image = {"id": 4, "file_name": "clip-000004", "index": 4, "time_s": 0.4, "width": 120, "height": 100}
    assert [entry["id"] for entry in found["images"]] == [3, 4] and found["images"][1] == image
    (category,) = found["categories"]
    assert category["keypoints"] == list(tracked.skeleton.joints)
    assert [category["keypoints"][j - 1] for j in category["skeleton"][0]] == list(tracked.skeleton.limbs[0])
    first, second = found["annotations"]
    assert (first["id"], first["image_id"], first["category_id"], second["id"]) == (1, 3, 1, 2)
    assert (first["track_id"], second["track_id"]) == (7, None)
    assert first["bbox"] == [10, 20, 50, 70] and first["area"] == 3500 and first["score"] == pytest.approx(0.9)
    points = np.reshape(first["keypoints"], (14, 3))
    assert np.allclose(points[:, :2], tracked.xy_image[0], atol=1e-3) and set(points[:, 2]) == {2}
    assert np.allclose(second["keypoint_scores"], tracked.scores[1])


def test_joints_that_were_not_found_are_not_visible(opened, frame, tracked, tmp_path) -> None:
    tracked.scores[0, 3] = 0
    with opened("json") as sink:
        sink.write(frame(0), tracked)
    first = json.loads((tmp_path / "out").read_text())["annotations"][0]
    assert first["keypoints"][2::3] == [2, 2, 2, 0] + [2] * 10 and first["num_keypoints"] == 13


def test_pycocotools_reads_it(opened, frame, tracked, nobody, tmp_path, capsys) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    for name, place in (("json", tmp_path / "all.json"), ("coco_results", tmp_path / "results.json")):
        with opened(name, place) as sink:
            sink.write(frame(0), tracked)
            sink.write(frame(1), nobody)
    labels = coco.COCO(str(tmp_path / "all.json"))
    assert labels.getImgIds() == [0, 1] and len(labels.getAnnIds(imgIds=[0])) == 2
    assert len(labels.getAnnIds(imgIds=[1])) == 0
    results = labels.loadRes(str(tmp_path / "results.json"))
    assert len(results.getAnnIds()) == 2


def test_without_people_and_frames(opened, tmp_path) -> None:
    for name in ("json", "coco_results", "jsonl"):
        with opened(name, tmp_path / name):
            pass
    found = json.loads((tmp_path / "json").read_text())
    assert (found["images"], found["annotations"]) == ([], [])
    assert json.loads((tmp_path / "coco_results").read_text()) == []
    assert (tmp_path / "jsonl").read_text() == ""


def test_coco_results(opened, frame, tracked, nobody, tmp_path) -> None:
    with opened("coco_results") as sink:
        sink.write(frame(3), tracked)
        sink.write(frame(4), nobody)
    entries = json.loads((tmp_path / "out").read_text())
    assert set(entries[0]) == {"image_id", "category_id", "keypoints", "score", "bbox", "frame", "track_id"}
    assert [entry["track_id"] for entry in entries] == [7, None]
    points = np.reshape(entries[0]["keypoints"], (14, 3))
    assert np.allclose(points[:, 2], 0.9)
    assert (entries[0]["frame"], entries[0]["image_id"]) == ("clip-000003", 3)


@pytest.mark.parametrize("name", ["json", "coco_results"])
def test_a_second_run_takes_it_as_boxes(name, opened, frame, tracked, tmp_path) -> None:
    with opened(name, tmp_path / "poses.json") as sink:
        sink.write(frame(3), tracked)
    found, scores = BoxesFile(tmp_path / "poses.json")(IMAGE, "clip-000003")
    assert np.allclose(found, tracked.boxes_xyxy)
    assert scores.tolist() == pytest.approx([0.9, 0.45])


def test_lines_are_there_at_once(opened, frame, tracked, nobody, tmp_path) -> None:
    (tmp_path / "out").write_text("old\n")
    with opened("jsonl") as sink:
        assert (tmp_path / "out").read_text() == "old\n"  # nothing was found yet
        sink.write(frame(0), tracked)
        line = json.loads((tmp_path / "out").read_text())
        sink.write(frame(1), nobody)
        assert len((tmp_path / "out").read_text().splitlines()) == 2
    facts = {"frame": "clip-000000", "index": 0, "image_id": 0, "time_s": 0.0, "width": 120, "height": 100}
    assert {key: line[key] for key in facts} == facts
    assert line["format"] == 1 and line["joints"] == list(tracked.skeleton.joints)
    assert [person["track_id"] for person in line["people"]] == [7, None]
    assert set(line["people"][0]) == {"track_id", "score", "bbox", "keypoints", "keypoint_scores"}


def test_lines_go_through_a_pipe_frame_by_frame(opened, frame, tracked, tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe")
    seen: list[int] = []
    first = threading.Event()

    def read() -> None:
        with (tmp_path / "pipe").open() as pipe:
            for line in pipe:
                seen.append(json.loads(line)["index"])
                first.set()

    reader = threading.Thread(target=read)
    reader.start()
    while True:
        try:
            sink = opened("jsonl", tmp_path / "pipe")
            break
        except EdgeposeError as error:
            assert "nobody reads" in str(error)
    with sink:
        sink.write(frame(0), tracked)
        assert first.wait(10)  # before the run ends
        sink.write(frame(1), tracked)
    reader.join(10)
    assert seen == [0, 1]
