"""Poses as COCO results, tables, `supervision` objects, and text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgepose.pose import SKELETONS, Poses

LSP = SKELETONS["lsp14"]


@pytest.fixture
def three() -> Poses:
    rng = np.random.default_rng(0)
    return Poses(
        skeleton=LSP,
        xy_image=rng.uniform(0, 100, (3, 14, 2)).astype(np.float32),
        scores=np.full((3, 14), 0.5, np.float32),
        boxes_xyxy=np.array([[0, 1, 10, 21], [5, 5, 50, 60], [1, 1, 2, 2]], np.float32),
        box_scores=np.array([1, 0.5, 0.1], np.float32),
        track_ids=np.array([7, -1, 3]),
    )


def test_parts(three: Poses) -> None:
    assert [len(person) for person in three] == [1, 1, 1]
    np.testing.assert_array_equal(three[-1].xy_image[0], three.xy_image[2])
    assert len(three[1:]) == 2 and len(three[[0, 2]]) == 2
    sure = three[three.person_scores > 0.2]
    assert len(sure) == 2 and sure.track_ids is not None and sure.track_ids.tolist() == [7, -1]
    with pytest.raises(IndexError):
        three[3]
    assert list(Poses.empty(LSP)) == []


def test_coco(three: Poses) -> None:
    entries = three.to_coco(image_id=4, frame="a.jpg")
    assert [entry["score"] for entry in entries] == [0.5, 0.25, 0.05]
    assert entries[0]["bbox"] == [0, 1, 10, 20]
    assert (entries[0]["image_id"], entries[0]["frame"], entries[0]["track_id"]) == (4, "a.jpg", 7)
    assert entries[1]["track_id"] is None
    keypoints = np.reshape(entries[1]["keypoints"], (14, 3))
    np.testing.assert_allclose(keypoints[:, :2], three.xy_image[1], atol=1e-4)
    plain = replace(three, track_ids=None).to_coco()
    assert set(plain[0]) == {"category_id", "keypoints", "score", "bbox"}


def test_dataframe(three: Poses) -> None:
    pytest.importorskip("pandas")
    table = three.to_dataframe()
    assert list(table.columns) == ["person", "track_id", "joint", "x", "y", "score"]
    assert len(table) == 3 * 14
    neck = table[(table.person == 1) & (table.joint == "neck")].iloc[0]
    assert (neck.x, neck.y) == tuple(three.xy_image[1, LSP.index("neck")])
    assert neck.track_id == -1
    assert "track_id" not in replace(three, track_ids=None).to_dataframe()
    nobody = Poses.empty(LSP).to_dataframe()
    assert len(nobody) == 0
    assert nobody.dtypes.to_dict() == replace(three, track_ids=None).to_dataframe().dtypes.to_dict()


@pytest.mark.filterwarnings("ignore")  # the package's own
def test_supervision(three: Poses) -> None:
    supervision = pytest.importorskip("supervision")
    points, boxes = three.to_supervision()
    assert isinstance(points, supervision.KeyPoints) and isinstance(boxes, supervision.Detections)
    np.testing.assert_array_equal(points.xy, three.xy_image)
    np.testing.assert_array_equal(points.keypoint_confidence, three.scores)
    np.testing.assert_array_equal(boxes.xyxy, three.boxes_xyxy)
    np.testing.assert_array_equal(boxes.confidence, three.person_scores)
    assert boxes.tracker_id is not None and boxes.tracker_id.tolist() == [7, -1, 3]
    canvas = np.zeros((100, 100, 3), np.uint8)
    drawn = supervision.VertexAnnotator(radius=2).annotate(canvas.copy(), points)
    assert drawn.any()
    nobody, none = Poses.empty(LSP).to_supervision()
    assert len(nobody) == len(none) == 0


def test_text(three: Poses) -> None:
    lines = repr(three).splitlines()
    assert lines[0] == "Poses: 3 people, 14 joints (lsp14)"
    assert lines[1] == "  person 0, track 7  score 0.50  14 joints found  box (0, 1) to (10, 21)"
    assert three._repr_html_().count("<tr>") == 3
    assert repr(Poses.empty(LSP)) == "Poses: 0 people, 14 joints (lsp14)"
