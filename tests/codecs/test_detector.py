"""The codec of person detectors: suppression against a slow twin, thresholds, and outputs that cannot be right."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.artifacts.spec import ModelSpec, spec_from_dict
from edgepose.codecs.detector import CANDIDATES, DetectorCodec, iou, nms, people_of
from edgepose.errors import ModelError, SpecError
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import PERSON
from edgepose.runtime.host import poses_of


def boxes_of(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 60, (count, 2))
    return np.concatenate([low, low + rng.uniform(5, 40, (count, 2))], axis=1), rng.random(count)


def test_nms_is_its_slow_twin():
    boxes, scores = boxes_of(80)
    kept = []
    for i in np.argsort(-scores):
        if all(iou(boxes[i], boxes[j : j + 1])[0] <= 0.45 for j in kept):
            kept.append(i)
    assert nms(boxes, scores, 0.45).tolist() == kept
    assert 5 < len(kept) < 80
    assert nms(np.zeros((0, 4)), np.zeros(0), 0.45).shape == (0,)


def test_iou():
    boxes = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [5, 5, 6, 6], [4, 4, 4, 4]], float)
    assert iou(np.array([0, 0, 2, 2.0]), boxes).tolist() == pytest.approx([1, 1 / 7, 0, 0])


def test_people_are_above_the_threshold_apart_and_best_first():
    boxes, scores = boxes_of(200)
    rows = np.column_stack([boxes, scores]).astype(np.float32)
    codec = DetectorCodec(score_threshold=0.6, iou_threshold=0.3, max_people=4)
    found = people_of(rows, codec)
    assert found.shape == (4, 5)
    assert (np.diff(found[:, 4]) <= 0).all() and found[:, 4].min() > 0.6
    assert found[0, 4] == rows[:, 4].max()
    for i in range(4):
        assert (iou(found[i, :4], np.delete(found[:, :4], i, axis=0)) <= 0.3).all()
    every = people_of(rows, DetectorCodec(score_threshold=0.6, iou_threshold=1.0, max_people=CANDIDATES))
    assert len(every) == (rows[:, 4] > np.float32(0.6)).sum()
    assert people_of(rows, DetectorCodec(score_threshold=1.0)).shape == (0, 5)


def test_a_box_without_an_area_is_nobody():
    rows = np.array([[10, 10, 10, 20, 0.9], [10, 30, 20, 25, 0.9], [0, 0, 5, 5, 0.8]], np.float32)
    assert people_of(rows, DetectorCodec()).tolist() == rows[2:].tolist()


def test_an_overflow_is_refused_where_it_matters():
    rows = np.array([[0, 0, 5, 5, 0.9], [0, 0, np.inf, 5, 0.1]], np.float32)
    assert len(people_of(rows, DetectorCodec())) == 1
    with pytest.raises(ModelError, match="boxes hold NaN or infinity"):
        people_of(rows * np.array([1, 1, 1, 1, 9], np.float32), DetectorCodec())
    rows[1, 4] = np.nan
    with pytest.raises(ModelError, match="scores hold NaN or infinity"):
        people_of(rows, DetectorCodec())


def contract_of(**given: object) -> ModelSpec:
    value = {"name": "net", "skeleton": "person", "codec": {"type": "detector"}, "outputs": ["detections"]}
    return spec_from_dict(value | given, "net.toml")


def test_people_without_joints_are_poses():
    contract = contract_of()
    output = np.array([[[3, 4, 13, 24, 0.8], [40, 4, 50, 24, 0.9]]], np.float32)
    inverse = np.array([[[2, 0, 1], [0, 2, -1]]], float)
    poses = poses_of(contract, contract.codec.decode([output], None, inverse, contract), np.zeros((0, 4)))
    assert poses.boxes_xyxy.tolist() == [[81, 7, 101, 47], [7, 7, 27, 47]]
    assert poses.person_scores.tolist() == pytest.approx([0.9, 0.8])
    assert poses.xy_image.shape == (2, 0, 2)
    assert [entry["score"] for entry in poses.to_coco(image_id=1)] == [0.9, 0.8]
    assert len(Poses.empty(PERSON)) == 0


def test_only_a_detector_has_no_joints():
    with pytest.raises(SpecError, match="finds boxes without joints, and skeleton 'lsp14' has 14"):
        contract_of(skeleton="lsp14")
    for codec in ("heatmap", "regression", "simcc"):
        with pytest.raises(SpecError, match="has no joints, which only a person detector may have"):
            contract_of(codec={"type": codec}, outputs=["a", "b"])
    with pytest.raises(SpecError):
        contract_of(codec={"type": "paf"}, outputs=["a", "b"])
