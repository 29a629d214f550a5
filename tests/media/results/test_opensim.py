"""TRC and MOT: a file per person, with every frame from the first to the last that shows them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgepose.errors import UsageError
from edgepose.media.results import trajectories
from edgepose.media.results.angles import ANGLES, angles_of, measure
from edgepose.media.results.trc import marker_name
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import SKELETONS


def people(ids: list[int], x: float = 0.0) -> Poses:
    """People of halpe26, whose joints lie at (x + 10 id + j, 2 j)."""
    layout = SKELETONS["halpe26"]
    j = np.arange(len(layout))
    xy = np.array([np.stack([x + 10 * number + j, 2.0 * j], axis=-1) for number in ids])
    return Poses(
        skeleton=layout,
        xy_image=xy.astype(np.float32).reshape(-1, 26, 2),
        scores=np.full((len(ids), 26), 0.9, np.float32),
        boxes_xyxy=np.tile(np.array([0, 0, 50, 90], np.float32), (len(ids), 1)),
        box_scores=np.ones(len(ids), np.float32),
        track_ids=np.array(ids, np.int64),
    )


def table(path: Path, skipped: int) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text().splitlines()[skipped:]]


@pytest.mark.parametrize("chunk", [2, 1024])
def test_trc(chunk, opened, frame, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(trajectories, "CHUNK", chunk)
    shown = [[1], [], [1, 2], [2], [2, -1]]
    with opened("trc", skeleton=SKELETONS["halpe26"]) as sink:
        for i, ids in enumerate(shown):
            sink.write(frame(i), people(ids, x=100 * i))
    assert {path.name for path in (tmp_path / "out").glob("*.trc")} == {"clip_px_person01.trc", "clip_px_person02.trc"}
    first, second = (tmp_path / "out" / f"clip_px_person0{i}.trc" for i in (1, 2))
    head = table(first, 0)
    assert head[0][:3] == ["PathFileType", "4", "(X/Y/Z)"]
    assert dict(zip(head[1], head[2], strict=True)) == {
        "DataRate": "10", "CameraRate": "10", "NumFrames": "3", "NumMarkers": "26", "Units": "px",
        "OrigDataRate": "10", "OrigDataStartFrame": "0", "OrigNumFrames": "3",
    }  # fmt: skip
    assert head[3][:2] == ["Frame#", "Time"] and head[3][2::3][:26] == [
        marker_name(joint) for joint in SKELETONS["halpe26"].joints
    ]
    rows = table(first, 5)
    assert [row[:2] for row in rows] == [["0", "0.000000"], ["1", "0.100000"], ["2", "0.200000"]]
    assert rows[0][2:8] == ["10.000", "0.000", "0", "11.000", "2.000", "0"]
    assert rows[1][2:] == [""] * 78 and all(len(row) == 80 for row in rows)  # a frame in which nobody was seen
    assert rows[2][2:5] == ["210.000", "0.000", "0"]
    assert [row[0] for row in table(second, 5)] == ["2", "3", "4"]


def test_unsure_joints_are_empty(opened, frame, tmp_path) -> None:
    one = people([0])
    one.scores[0, :2] = 0.2, 0.0
    with opened("trc", skeleton=one.skeleton) as sink:
        sink.write(frame(0), one)
    (row,) = table(tmp_path / "out" / "clip_px_person00.trc", 5)
    assert row[2:8] == [""] * 6 and row[8] == "2.000"


@pytest.mark.parametrize("name", ["trc", "mot"])
def test_without_tracking_one_person_is_one_file_and_two_are_an_error(name, opened, frame, tmp_path) -> None:
    untracked = replace(people([0, 1]), track_ids=None)
    with opened(name, skeleton=untracked.skeleton) as sink:
        sink.write(frame(0), untracked[0])
        sink.write(frame(1), untracked[1])
    assert len(list((tmp_path / "out").glob(f"*_person00.{name}"))) == 1
    with (
        pytest.raises(UsageError, match=r"clip-000000 shows 2 people.*--track"),
        opened(name, tmp_path / "other", skeleton=untracked.skeleton) as sink,
    ):
        sink.write(frame(0), untracked)


def test_marker_names_are_those_of_pose2sim() -> None:
    names = ("right_knee", "left_big_toe", "nose", "pelvis", "head_top", "neck", "left_hip")
    assert [marker_name(name) for name in names] == ["RKnee", "LBigToe", "Nose", "Hip", "Head", "Neck", "LHip"]
    for skeleton in SKELETONS.values():
        assert len({marker_name(joint) for joint in skeleton.joints}) == len(skeleton)


STANDING = {
    "nose": (50, 12), "neck": (50, 20), "head_top": (50, 5), "pelvis": (50, 60),
    "right_shoulder": (50, 20), "right_elbow": (50, 35), "right_wrist": (50, 50),
    "right_hip": (50, 60), "right_knee": (50, 80), "right_ankle": (50, 98),
    "right_heel": (48, 100), "right_big_toe": (58, 100),
}  # fmt: skip


def measured(**moved: tuple[float, float]) -> dict[str, float]:
    """The angles of a person who stands and looks to the right of the picture, with some joints elsewhere."""
    layout = SKELETONS["halpe26"]
    xy = np.full((1, len(layout), 2), np.nan)
    for joint, place in {**STANDING, **moved}.items():
        xy[0, layout.index(joint)] = place
    return dict(zip(angles_of(layout), measure(xy, layout)[0].tolist(), strict=True))


def test_angles() -> None:
    upright = measured()
    for joint in ("ankle", "knee", "hip", "shoulder", "elbow"):
        assert upright[f"right_{joint}"] == pytest.approx(0, abs=1e-9)
    for segment in ("right_shank", "right_thigh", "right_arm", "right_forearm", "trunk", "head"):
        assert upright[segment] == pytest.approx(90)
    assert upright["right_foot"] == pytest.approx(0)
    assert all(math.isnan(upright[name]) for name in upright if name.startswith("left_"))
    seated = measured(right_knee=(70, 60), right_ankle=(70, 80))
    assert seated["right_knee"] == pytest.approx(90) and seated["right_hip"] == pytest.approx(90)
    assert measured(right_wrist=(65, 35))["right_elbow"] == pytest.approx(90)
    assert measured(right_elbow=(50, 5))["right_shoulder"] == pytest.approx(180)
    assert measured(right_big_toe=(58, 110))["right_ankle"] == pytest.approx(-45)  # on tiptoe
    assert measured(neck=(70, 40))["trunk"] == pytest.approx(45)


def test_angles_do_not_depend_on_the_side_of_view() -> None:
    mirrored = {joint: (100 - x, y) for joint, (x, y) in {**STANDING, "right_knee": (60, 78)}.items()}
    seen, turned = measured(right_knee=(60, 78)), measured(**mirrored)
    for joint in ("ankle", "knee", "hip", "shoulder", "elbow"):
        assert seen[f"right_{joint}"] == pytest.approx(turned[f"right_{joint}"])


def test_which_angles_a_skeleton_has() -> None:
    assert set(angles_of(SKELETONS["halpe26"])) == set(ANGLES)
    assert {"right_knee", "trunk", "pelvis"} <= set(angles_of(SKELETONS["coco17"]))
    assert not {"right_ankle", "head"} & set(angles_of(SKELETONS["coco17"]))


def test_mot(opened, frame, tmp_path) -> None:
    with opened("mot", skeleton=SKELETONS["halpe26"]) as sink:
        for i, ids in enumerate([[1], [], [1]]):
            sink.write(frame(i), people(ids))
    text = (tmp_path / "out" / "clip_angles_person01.mot").read_text()
    head, _, rows = text.partition("endheader\n")
    names, *values = [line.split("\t") for line in rows.splitlines()]
    assert {"version=1", "nRows=3", f"nColumns={len(names)}", "inDegrees=yes"} <= set(head.splitlines())
    assert names == ["time", *ANGLES]
    assert [row[0] for row in values] == ["0.000000", "0.100000", "0.200000"]
    assert values[1][1:] == ["nan"] * len(ANGLES)
    assert float(values[0][1 + list(ANGLES).index("right_knee")]) == pytest.approx(0, abs=1e-3)


def test_a_face_has_no_angles(opened) -> None:
    with pytest.raises(UsageError, match="face68"):
        opened("mot", skeleton=SKELETONS["face68"])
