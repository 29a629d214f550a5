"""JSON and CSV: what stands in them, and that they are whole however the run ends."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from edgepose.errors import EdgeposeError
from edgepose.media.results import CsvWriter, JsonWriter
from edgepose.media.sources import Frame
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import SKELETONS
from edgepose.runtime.finders.boxes_file import BoxesFile

IMAGE = np.zeros((100, 100, 3), np.uint8)


def frame(i):
    return Frame(index=i, name=f"clip-{i:06d}", image_id=i, time_s=i / 10, image=IMAGE)


def test_person_scores(two_people):
    # the second person's unsure half does not count: 0.5 * 0.9
    assert two_people.person_scores.tolist() == pytest.approx([0.9, 0.45])
    unseen = replace(two_people, scores=np.zeros((2, 14), np.float32))
    assert unseen.person_scores.tolist() == [0, 0]


def test_json_is_coco(tmp_path, two_people):
    path = tmp_path / "poses.json"
    with JsonWriter(path) as writer:
        writer.write(frame(3), two_people)
        writer.write(frame(4), Poses.empty(SKELETONS["lsp14"]))
        writer.write(frame(5), replace(two_people, track_ids=np.array([7, -1])))
        assert not path.exists()
    entries = json.loads(path.read_text())
    assert [entry["image_id"] for entry in entries] == [3, 3, 5, 5]
    first = entries[0]
    assert set(first) == {"image_id", "category_id", "keypoints", "score", "bbox", "frame"}
    keypoints = np.array(first["keypoints"]).reshape(14, 3)
    assert np.allclose(keypoints[:, :2], two_people.xy_image[0], atol=1e-4)
    assert np.allclose(keypoints[:, 2], 0.9)
    assert first["bbox"] == [10, 20, 50, 70]
    assert (first["frame"], first["category_id"]) == ("clip-000003", 1)
    assert [entry.get("track_id") for entry in entries] == [None, None, 7, -1]


def test_json_without_people_is_an_empty_list(tmp_path):
    with JsonWriter(tmp_path / "poses.json"):
        pass
    assert json.loads((tmp_path / "poses.json").read_text()) == []


def test_results_are_valid_after_an_interrupt(tmp_path, two_people):
    with (
        pytest.raises(KeyboardInterrupt),
        JsonWriter(tmp_path / "poses.json") as poses,
        CsvWriter(tmp_path / "poses.csv", two_people.skeleton) as rows,
    ):
        poses.write(frame(0), two_people)
        rows.write(frame(0), two_people)
        raise KeyboardInterrupt
    assert len(json.loads((tmp_path / "poses.json").read_text())) == 2
    assert len((tmp_path / "poses.csv").read_text().splitlines()) == 3
    assert len(list(tmp_path.iterdir())) == 2
    poses.close()  # twice is fine


def test_json_feeds_a_second_run_as_boxes(tmp_path, two_people):
    with JsonWriter(tmp_path / "poses.json") as writer:
        writer.write(frame(3), two_people)
    found, scores = BoxesFile(tmp_path / "poses.json")(IMAGE, "clip-000003")
    assert np.allclose(found, two_people.boxes_xyxy)
    assert scores.tolist() == pytest.approx([0.9, 0.45])


def test_csv(tmp_path, two_people):
    path = tmp_path / "poses.csv"
    with CsvWriter(path, two_people.skeleton) as writer:
        writer.write(frame(3), two_people)
        writer.write(frame(4), replace(two_people, track_ids=np.array([7, -1])))
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == ["clip-000003"] * 2 + ["clip-000004"] * 2
    assert [row["track_id"] for row in rows] == ["", "", "7", "-1"]
    assert float(rows[1]["left_wrist_x"]) == pytest.approx(float(two_people.xy_image[1, 11, 0]), abs=1e-3)
    assert float(rows[0]["box_y1"]) == 90
    assert len(rows[0]) == 9 + 3 * 14


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgeposeError, match="cannot write"):
        JsonWriter(tmp_path / "file" / "poses.json")


@pytest.fixture
def small_disk():
    """No file can grow beyond 20 kB: what a full disk looks like from inside."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_a_full_disk_is_an_error_and_keeps_the_old_file(tmp_path, two_people, small_disk, kind):
    path = tmp_path / "poses"
    path.write_text("old")
    opened = JsonWriter(path) if kind == "json" else CsvWriter(path, two_people.skeleton)
    with pytest.raises(EdgeposeError, match=r"cannot write .*poses"), opened as writer:
        for i in range(100):
            writer.write(frame(i), two_people)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
