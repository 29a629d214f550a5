"""COCO's AP and AR of boxes: equal to pycocotools on real labels and on random cases, and by hand."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepose.datasets.open import open_data
from edgepose.measure.accuracy import evaluate
from edgepose.measure.boxes import CORNERS
from edgepose.measure.predictions import Detected, Engine
from edgepose.metrics import box_ap, oks, precision
from edgepose.metrics.box_ap import overlaps

Json = dict[str, Any]
# The field of the summary -> its place among the twelve numbers that pycocotools prints for boxes.
FIELDS = {
    "ap": 0, "ap50": 1, "ap75": 2, "ap_medium": 4, "ap_large": 5, "ar": 8, "ar_medium": 10, "ar_large": 11,
}  # fmt: skip


def _corners(boxes_xywh: list[list[float]]) -> np.ndarray:  # type: ignore[type-arg]
    boxes = np.array(boxes_xywh, float).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def _ours(labels: Json, results: list[Json]) -> dict[str, float]:
    ids = {image: i for i, image in enumerate(sorted(item["id"] for item in labels["images"]))}
    items = labels["annotations"]
    boxes = _corners([item["bbox"] for item in items])
    people = oks.People(
        image=np.array([ids[item["image_id"]] for item in items], int),
        xy_image=boxes.reshape(-1, 2, 2),
        labeled=np.ones((len(items), 2), bool),
        boxes_xyxy=boxes,
        area=np.array([item["area"] for item in items], float),
        crowd=np.array([item["iscrowd"] for item in items], bool),
    )
    corners = _corners([item["bbox"] for item in results]).reshape(-1, 2, 2)
    found = oks.Found(
        image=np.array([ids[item["image_id"]] for item in results], int),
        xy_image=corners,
        score=np.array([item["score"] for item in results], float),
        area=oks.extent_px2(corners),
    )
    summary = precision.summary(box_ap.match_boxes(people, found, len(ids)))
    values = {name: float(getattr(summary, name)[0]) for name in FIELDS}
    return {name: -1.0 if np.isnan(value) else value for name, value in values.items()}


def _reference(labels: Json, results: list[Json]) -> dict[str, float]:
    coco = pytest.importorskip("pycocotools.coco").COCO
    cocoeval = pytest.importorskip("pycocotools.cocoeval").COCOeval
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco()
        truth.dataset = json.loads(json.dumps(labels))
        truth.createIndex()
        found = truth.loadRes(json.loads(json.dumps(results))) if results else coco()
        if not results:
            found.dataset = {**truth.dataset, "annotations": []}
            found.createIndex()
        run = cocoeval(truth, found, "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return {name: float(run.stats[place]) for name, place in FIELDS.items()}


def _result(image: int, box: list[float], spread_px: float, random: np.random.Generator) -> Json:
    moved = np.array(box, float) + random.normal(0, spread_px, 4)
    moved[2:] = np.maximum(moved[2:], 1)
    score = float(np.round(random.random(), 1))  # rounded: equal scores happen
    return {"image_id": image, "category_id": 1, "bbox": moved.tolist(), "score": score}


@pytest.mark.parametrize("split", ["train2017", "val2017"])
@pytest.mark.parametrize("spread_px", [0, 3, 12])
def test_equals_pycocotools_on_perturbed_labels(data_root: Path, split: str, spread_px: float) -> None:
    labels = json.loads((data_root / "coco-mini" / "annotations" / f"person_keypoints_{split}.json").read_text())
    random = np.random.default_rng(int(spread_px))
    results = [
        _result(item["image_id"], item["bbox"], spread_px, random)
        for item in labels["annotations"]
        for _ in range(1 + int(random.random() < 0.3))
        if random.random() < 0.9
    ]
    ours = _ours(labels, results)
    assert ours == pytest.approx(_reference(labels, results), abs=1e-9)
    assert 0 < ours["ap"] < 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_equals_pycocotools_on_random_cases(seed: int) -> None:
    """Crowds, small and huge areas, over 100 predictions an image, equal scores, nobody."""
    random = np.random.default_rng(seed)
    annotations: list[Json] = []
    results: list[Json] = []
    for image in (1, 2, 3):
        many = random.random() < 0.1
        for _ in range(60 if many else random.integers(0, 6)):
            side = random.choice([20, 60, 300], size=2) * random.uniform(0.5, 1, 2)
            box = [*random.uniform(0, 300, 2).tolist(), *side.tolist()]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image, "category_id": 1, "bbox": box,
                 "area": float(side.prod() * 0.6), "iscrowd": int(random.random() < 0.15)}
            )  # fmt: skip
            for _ in range(random.integers(0, 4)):
                results.append(_result(image, box, float(random.choice([0.0, 2.0, 20.0])), random))
    labels = {
        "images": [{"id": i, "width": 640, "height": 640} for i in (1, 2, 3)],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": annotations,
    }
    assert _ours(labels, results) == pytest.approx(_reference(labels, results), abs=1e-9)


def test_a_part_of_a_crowd_overlaps_it_wholly() -> None:
    box, inside = [[0.0, 0, 10, 10]], [[2.0, 2, 4, 7]]
    boxes = np.array(inside), np.array(box)
    assert overlaps(*boxes, np.array([False])).tolist() == [0.1]
    assert overlaps(*boxes, np.array([True])).tolist() == [1.0]
    assert overlaps(np.full((1, 4), np.nan), np.array(box), np.array([False])).tolist() == [0.0]


def test_eval_of_a_detector_counts_people_without_joints_and_images_without_people(data_root: Path) -> None:
    """The boxes of all labels: perfect, then with a false box of a higher score in an image without people."""
    data = open_data(f"coco:{data_root}/coco-mini:val2017")
    samples = [data[i] for i in range(len(data))]
    numbers: dict[tuple[int, str], int] = {}
    image = [numbers.setdefault((sample.image_id, sample.name), len(numbers)) for sample in samples]
    boxes = np.stack([sample.box_xyxy for sample in samples]).astype(float)
    people = [i for i, sample in enumerate(samples) if not sample.crowd]
    assert any(samples[i].ignore for i in people), "somebody has no labeled joint"

    def found(extra: bool) -> Detected:
        xy = np.concatenate([boxes[people], [[0.0, 0, 50, 50]]] if extra else [boxes[people]]).reshape(-1, 2, 2)
        return Detected(
            engine=Engine(path="e", precision="fp32", backend="b", onnx_sha256="", skeleton=CORNERS), boxes="itself",
            image=np.array([*(image[i] for i in people), *([len(numbers)] if extra else [])]), xy_image=xy,
            scores=np.ones(xy.shape[:2]), box_scores=np.array([0.5] * len(people) + [0.9] * extra),
            area=np.ones(len(xy)), grouped=True,
        )  # fmt: skip

    right, wrong = evaluate([found(False), found(True)], data, n_boot=20).engines
    assert set(right.metrics) == {"box_ap", "box_ap50", "box_ap75", "box_ar", "box_ar50"}
    assert right.n == len(people) == right.metrics["box_ap"].n
    assert {value.interval.value for value in right.metrics.values()} == {1.0}
    assert wrong.metrics["box_ap"].interval.value == pytest.approx(len(people) / (len(people) + 1), abs=1e-6)
    assert wrong.metrics["box_ar"].interval.value == 1.0
    assert wrong.retention["box_ap"].kept.interval.value < 1
