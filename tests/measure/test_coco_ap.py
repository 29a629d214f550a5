"""COCO's ten numbers out of `evaluate`: equal to pycocotools, on labeled boxes and on a detector's."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepose.datasets.samples import Picture, Sample, SampleList
from edgepose.errors import DataError
from edgepose.measure.accuracy import evaluate
from edgepose.measure.predictions import Detected, Engine, Predictions
from edgepose.pose.skeletons import SKELETONS

COCO = SKELETONS["coco17"]
ENGINE = Engine(path="e", precision="fp32", backend="openvino", onnx_sha256="0" * 64, skeleton=COCO)
# in the order that pycocotools prints them
NUMBERS = [
    "oks_ap", "oks_ap50", "oks_ap75", "oks_ap_medium", "oks_ap_large",
    "oks_ar", "oks_ar50", "oks_ar75", "oks_ar_medium", "oks_ar_large",
]  # fmt: skip


def _labeled(data: SampleList, spread_px: float) -> Predictions:
    """The labels, moved by noise."""
    random = np.random.default_rng(1)
    xy = np.stack([sample.xy_image for sample in data.samples]).astype(float)
    xy += random.normal(0, spread_px, xy.shape)
    return Predictions(engine=ENGINE, xy_image=xy, scores=random.uniform(0.1, 1, xy.shape[:2]))


@pytest.mark.parametrize("split", ["train2017", "val2017"])
def test_ap_equals_pycocotools_on_coco(data_root: Path, split: str) -> None:
    """The labels moved by noise, predicted for the labeled people alone; crowds stay in the labels."""
    file = data_root / "coco-mini" / "annotations" / f"person_keypoints_{split}.json"
    data, _ = _coco_data(file)
    items = sorted(json.loads(file.read_text())["annotations"], key=lambda item: item["image_id"])
    engine = _labeled(data, 6)
    (found,) = evaluate([engine], data, n_boot=10).engines
    results = [
        {
            "image_id": item["image_id"],
            "category_id": 1,
            "keypoints": np.column_stack([xy, np.ones(17)]).ravel().tolist(),
            "score": float(scores[scores > 0.2].mean()),
        }
        for item, xy, scores in zip(items, engine.xy_image, engine.scores, strict=True)
        if item["num_keypoints"] and not item["iscrowd"]
    ]
    assert found.n == len(results)
    got = [found.metrics[name].interval.value for name in NUMBERS]
    np.testing.assert_allclose(got, _pycocotools(file, results), rtol=0, atol=1e-9)


def _coco_sample(item: dict[str, Any]) -> Sample:
    joints = np.array(item["keypoints"], float).reshape(17, 3)
    x, y, width, height = item["bbox"]
    return Sample(
        image_id=item["image_id"],
        name=f"{item['image_id']}.jpg",
        read=lambda: np.zeros((9, 9, 3), np.uint8),
        xy_image=joints[:, :2].astype(np.float32),
        labeled=joints[:, 2] > 0,
        occluded=joints[:, 2] == 1,
        box_xyxy=np.array([x, y, x + width, y + height], np.float32),
        area=float(item["area"]),
        ignore=bool(item["iscrowd"]) or not item["num_keypoints"],
        crowd=bool(item["iscrowd"]),
    )


def _pycocotools(file: Path, results: list[dict[str, Any]]) -> list[float]:
    coco = pytest.importorskip("pycocotools.coco").COCO
    cocoeval = pytest.importorskip("pycocotools.cocoeval").COCOeval
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco(file)
        run = cocoeval(truth, truth.loadRes(results), "keypoints")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return [float(value) for value in run.stats]


def _detected(data: SampleList, *, images: int, seed: int = 0) -> Detected:
    """People found by a detector: some missed, some twice, some in images with nobody."""
    random = np.random.default_rng(seed)
    rows = [(i, sample.xy_image) for i, sample in enumerate(data.samples) for _ in range(random.integers(0, 3))]
    rows += [(int(random.integers(images)), random.uniform(0, 400, (17, 2))) for _ in range(20)]
    image_of = {(sample.image_id, sample.name): 0 for sample in data.samples}
    order = {key: i for i, key in enumerate(image_of)}
    image = [order[data[i].image_id, data[i].name] if k < len(rows) - 20 else i for k, (i, _) in enumerate(rows)]
    xy = np.stack([xy for _, xy in rows]) + random.normal(0, 4, (len(rows), 17, 2))
    return Detected(
        engine=ENGINE,
        boxes="boxes.json",
        image=np.array(image),
        xy_image=xy,
        scores=random.uniform(0.1, 1, (len(rows), 17)),
        box_scores=random.random(len(rows)),
        area=random.uniform(1e3, 1e5, len(rows)),
    )


def _coco_data(file: Path) -> tuple[SampleList, list[int]]:
    """The data set and COCO's ids of its images in the order of `pictures`."""
    labels = json.loads(file.read_text())
    items = sorted(labels["annotations"], key=lambda item: item["image_id"])
    populated = list(dict.fromkeys(item["image_id"] for item in items))
    empty = [image["id"] for image in labels["images"] if image["id"] not in populated]
    pictures = tuple(Picture(image_id=i, name=f"{i}.jpg", read=lambda: np.zeros((9, 9, 3), np.uint8)) for i in empty)
    samples = tuple(_coco_sample(item) for item in items)
    data = SampleList(name="coco", skeleton=COCO, samples=samples, image_ids=(*populated, *empty), empty=pictures)
    return data, [*populated, *empty]


@pytest.mark.parametrize("split", ["train2017", "val2017"])
def test_ap_of_detections_equals_pycocotools(data_root: Path, split: str) -> None:
    """Missed people, duplicates and finds in empty images, rescored and suppressed as the papers do."""
    file = data_root / "coco-mini" / "annotations" / f"person_keypoints_{split}.json"
    data, ids = _coco_data(file)
    detected = _detected(data, images=len(ids))
    (found,) = evaluate([detected], data, n_boot=10).engines
    results = [
        {
            "image_id": ids[detected.image[i]],
            "category_id": 1,
            "keypoints": np.column_stack([detected.xy_image[i], np.ones(17)]).ravel().tolist(),
            "score": float(detected.box_scores[i] * detected.scores[i][detected.scores[i] > 0.2].mean()),
        }
        for i in _slowly_suppressed(detected)
    ]
    assert len(results) < len(detected.image)
    got = [found.metrics[name].interval.value for name in NUMBERS]
    np.testing.assert_allclose(got, _pycocotools(file, results), rtol=0, atol=1e-9)
    assert found.boxes == "boxes.json"
    assert "one prediction of each labeled person" in found.skipped["pck@0.2"]


def test_ap_of_groups_equals_pycocotools(data_root: Path) -> None:
    """People that a network found itself: with its own scores, and none suppressed."""
    file = data_root / "coco-mini" / "annotations" / "person_keypoints_val2017.json"
    data, ids = _coco_data(file)
    detected = replace(_detected(data, images=len(ids)), grouped=True)
    (found,) = evaluate([detected], data, n_boot=10).engines
    results = [
        {
            "image_id": ids[image],
            "category_id": 1,
            "keypoints": np.column_stack([xy, np.ones(17)]).ravel().tolist(),
            "score": float(score),
        }
        for image, xy, score in zip(detected.image, detected.xy_image, detected.box_scores, strict=True)
    ]
    got = [found.metrics[name].interval.value for name in NUMBERS]
    np.testing.assert_allclose(got, _pycocotools(file, results), rtol=0, atol=1e-9)


def _slowly_suppressed(detected: Detected) -> list[int]:
    score = [b * s[s > 0.2].mean() for b, s in zip(detected.box_scores, detected.scores, strict=True)]
    variance = (2 * np.array(COCO.sigmas)) ** 2
    kept: list[int] = []
    for i in sorted(range(len(score)), key=lambda i: (detected.image[i], -score[i])):
        for j in kept:
            if detected.image[i] == detected.image[j]:
                away = ((detected.xy_image[i] - detected.xy_image[j]) ** 2).sum(axis=1)
                if np.exp(-away / variance / (detected.area[i] + detected.area[j])).mean() > 0.9:
                    break
        else:
            kept.append(i)
    return kept


def test_finds_in_empty_images_cost_precision(data_root: Path) -> None:
    data, ids = _coco_data(data_root / "coco-mini" / "annotations" / "person_keypoints_val2017.json")
    right = _detected(data, images=1)
    kept = slice(0, len(right.image) - 20)
    fields = {"image": right.image, "xy_image": right.xy_image, "scores": right.scores, "box_scores": right.box_scores}
    clean = replace(right, area=right.area[kept], **{name: value[kept] for name, value in fields.items()})
    wrong = replace(right, image=np.where(np.arange(len(right.image)) < kept.stop, right.image, len(ids) - 1))
    values = [
        evaluate([found], data, n_boot=10).engines[0].metrics["oks_ap"].interval.value for found in (clean, wrong)
    ]
    assert values[1] < values[0]


def test_detections_and_labeled_boxes_are_not_mixed(data_root: Path) -> None:
    data, ids = _coco_data(data_root / "coco-mini" / "annotations" / "person_keypoints_val2017.json")
    with pytest.raises(ValueError, match="all on labeled boxes or all on detections"):
        evaluate([_labeled(data, 0), _detected(data, images=len(ids))], data, n_boot=10)
    bare = replace(data, skeleton=replace(COCO, sigmas=()))
    with pytest.raises(DataError, match=r"no OKS sigmas.*nothing else measures detections"):
        evaluate([_detected(data, images=len(ids))], bare, n_boot=10)
