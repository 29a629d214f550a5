"""OKS and COCO AP/AR: equal to pycocotools on real labels and on random cases, and by hand."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepose.metrics import matching, oks, precision
from edgepose.pose.skeletons import SKELETONS

SIGMAS = np.array(SKELETONS["coco17"].sigmas)
Json = dict[str, Any]


def _people(labels: Json, ids: dict[int, int]) -> oks.People:
    """COCO annotations as People; ids: image id -> index, by rising id as pycocotools goes through them."""
    items = labels["annotations"]
    joints = np.array([item["keypoints"] for item in items], float).reshape(len(items), 17, 3)
    boxes = np.array([item["bbox"] for item in items], float).reshape(len(items), 4)
    boxes[:, 2:] += boxes[:, :2]
    return oks.People(
        image=np.array([ids[item["image_id"]] for item in items], int),
        xy_image=joints[..., :2],
        labeled=joints[..., 2] > 0,
        boxes_xyxy=boxes,
        area=np.array([item["area"] for item in items], float),
        crowd=np.array([item["iscrowd"] for item in items], bool),
    )


def _found(results: list[Json], ids: dict[int, int]) -> oks.Found:
    xy = np.array([item["keypoints"] for item in results], float).reshape(len(results), 17, 3)[..., :2]
    return oks.Found(
        image=np.array([ids[item["image_id"]] for item in results], int),
        xy_image=xy,
        score=np.array([item["score"] for item in results], float),
        area=oks.extent_px2(xy) if len(xy) else np.zeros(0),
    )


def _ours(labels: Json, results: list[Json]) -> list[float]:
    ids = {image: i for i, image in enumerate(sorted(item["id"] for item in labels["images"]))}
    summary = precision.summary(matching.match(_people(labels, ids), _found(results, ids), SIGMAS, len(ids)))
    values = [float(getattr(summary, field.name)[0]) for field in fields(summary)]
    return [-1.0 if np.isnan(value) else value for value in values]


def _reference(labels: Json, results: list[Json]) -> list[float]:
    coco = pytest.importorskip("pycocotools.coco").COCO
    cocoeval = pytest.importorskip("pycocotools.cocoeval").COCOeval
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco()
        truth.dataset = json.loads(json.dumps(labels))
        truth.createIndex()
        if results:
            found = truth.loadRes(json.loads(json.dumps(results)))
        else:
            found = coco()
            found.dataset = {**truth.dataset, "annotations": []}
            found.createIndex()
        run = cocoeval(truth, found, "keypoints")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return [float(value) for value in run.stats]


def _assert_equal(labels: Json, results: list[Json]) -> None:
    np.testing.assert_allclose(_ours(labels, results), _reference(labels, results), rtol=0, atol=1e-9)


def test_equals_pycocotools_on_published_predictions(data_root: Path) -> None:
    folder = data_root / "coco-reference"
    labels = json.loads((folder / "example_coco_val.json").read_text())
    results = json.loads((folder / "example_coco_preds.json").read_text())
    _assert_equal(labels, results)
    ap, ap50, ap75, ap_medium, ap_large, ar = _ours(labels, results)[:6]
    known = [0.861, 0.993, 0.911, 0.776, 0.937, 0.875]
    assert [ap, ap50, ap75, ap_medium, ap_large, ar] == pytest.approx(known, abs=6e-4)


@pytest.mark.parametrize("split", ["train2017", "val2017"])
@pytest.mark.parametrize("spread_px", [0, 4, 15, 60])
def test_equals_pycocotools_on_perturbed_labels(data_root: Path, split: str, spread_px: float) -> None:
    file = data_root / "coco-mini" / "annotations" / f"person_keypoints_{split}.json"
    labels = json.loads(file.read_text())
    random = np.random.default_rng(int(spread_px))
    results = [
        _result(item["image_id"], np.array(item["keypoints"], float), spread_px, random)
        for item in labels["annotations"]
        for _ in range(1 + int(random.random() < 0.3))
        if item["num_keypoints"] and random.random() < 0.9
    ]
    _assert_equal(labels, results)


def _result(image: int, joints: np.ndarray, spread_px: float, random: np.random.Generator) -> Json:  # type: ignore[type-arg]
    moved = np.array(joints, float).reshape(17, 3)
    moved[:, :2] += random.normal(0, spread_px * random.random(), (17, 2))
    score = float(np.round(random.random(), 1))  # rounded: equal scores happen
    return {"image_id": image, "category_id": 1, "keypoints": moved.ravel().tolist(), "score": score}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_equals_pycocotools_on_random_cases(seed: int) -> None:
    """Crowds, people with no joint, small and huge areas, over 20 people and predictions an image, equal scores."""
    labels, results = _random_case(np.random.default_rng(seed))
    _assert_equal(labels, results)


def _random_case(random: np.random.Generator, *, images: int = 4) -> tuple[Json, list[Json]]:
    annotations: list[Json] = []
    results: list[Json] = []
    for image in range(1, images + 1):
        crowded = random.random() < 0.1
        for _ in range(random.integers(21, 27) if crowded else random.integers(0, 6)):
            item = _person(random, image, len(annotations) + 1)
            annotations.append(item)
            spread = random.choice([0.0, 3.0, 30.0])
            joints = np.array(item["keypoints"])
            results += [_result(image, joints, spread, random) for _ in range(random.integers(0, 3))]
        if random.random() < 0.3:
            noise = random.uniform(0, 300, (random.integers(1, 30), 51))
            results += [_result(image, joints, 1.0, random) for joints in noise]
    random.shuffle(results)  # type: ignore[arg-type]
    return {
        "images": [{"id": image} for image in range(1, images + 1)],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": annotations,
    }, results


def _person(random: np.random.Generator, image: int, number: int) -> Json:
    size = random.choice([20.0, 50.0, 95.0, 100.0, 300.0])
    corner = random.uniform(0, 200, 2)
    joints = np.column_stack([corner + random.random((17, 2)) * size, random.integers(0, 3, 17)])
    crowd = bool(random.random() < 0.15)
    if crowd or random.random() < 0.2:
        joints[:, 2] = 0
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "iscrowd": int(crowd),
        "area": float(size**2 * random.uniform(0.5, 1)),
        "bbox": [*corner.tolist(), size, size],
        "num_keypoints": int((joints[:, 2] > 0).sum()),
        "keypoints": joints.ravel().tolist(),
    }


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_weights_equal_a_data_set_with_the_images_repeated(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels, results = _random_case(random)
    for item, score in zip(results, random.permutation(len(results)), strict=True):
        item["score"] = float(score)  # all different: see the note on equal scores in the module
    ids = {image: image - 1 for image in range(1, 5)}
    matches = matching.match(_people(labels, ids), _found(results, ids), SIGMAS, 4)
    copies = random.integers(0, 4, (3, 4))
    fast = precision.summary(matches, copies.astype(float))
    for row, repeats in enumerate(copies):
        slow = _ours(*_repeated(labels, results, repeats))
        got = [getattr(fast, field.name)[row] for field in fields(fast)]
        np.testing.assert_allclose(np.where(np.isnan(got), -1, got), slow, rtol=0, atol=1e-9)


def _repeated(labels: Json, results: list[Json], repeats: np.ndarray) -> tuple[Json, list[Json]]:  # type: ignore[type-arg]
    """The data set in which image i + 1 stands repeats[i] times, as images of their own."""
    copies = [(image, copy) for image in range(1, 5) for copy in range(repeats[image - 1])]
    number = {pair: i for i, pair in enumerate(copies)}
    return {
        "images": [{"id": i} for i in number.values()],
        "annotations": [
            {**item, "image_id": i}
            for (image, _), i in number.items()
            for item in labels["annotations"]
            if item["image_id"] == image
        ],
    }, [{**item, "image_id": i} for (image, _), i in number.items() for item in results if item["image_id"] == image]


def _one(xy: Any, *, area: float = 100.0, crowd: bool = False, labeled: Any = True) -> oks.People:
    xy = np.array(xy, float)[None]
    return oks.People(
        image=np.zeros(1, int),
        xy_image=xy,
        labeled=np.broadcast_to(labeled, xy.shape[:2]).copy(),
        boxes_xyxy=np.array([[0.0, 0, 10, 10]]),
        area=np.array([area]),
        crowd=np.array([crowd]),
    )


def test_similarity_by_hand() -> None:
    """Area 100, sigma 0.1: 2 * 100 * (0.2)^2 = 8. Off by 2 px: exp(-4 / 8) = 0.6065; by 0: 1; mean 0.8033."""
    people = _one([[0, 0], [5, 5]])
    found = np.array([[[0, 2], [5, 5]]], float)
    got = oks.oks(found, people, np.array([0.1, 0.1]))
    assert got[0, 0] == pytest.approx((np.exp(-0.5) + 1) / 2)


def test_a_joint_not_predicted_is_infinitely_far() -> None:
    """One of two joints missing: (0 + 1) / 2."""
    found = np.array([[[np.nan, np.nan], [5, 5]]])
    assert oks.oks(found, _one([[0, 0], [5, 5]]), np.array([0.1, 0.1]))[0, 0] == pytest.approx(0.5)


def test_no_labeled_joint_measures_to_the_grown_box() -> None:
    """Box 0..10 grows to -10..20. A joint at (19, -9) is in: 1. At (22, 0) it is 2 px out: exp(-4 / 8)."""
    found = np.array([[[19, -9], [22, 0]]], float)
    got = oks.oks(found, _one([[0, 0], [0, 0]], labeled=False), np.array([0.1, 0.1]))
    assert got[0, 0] == pytest.approx((1 + np.exp(-0.5)) / 2)


def test_average_precision_by_hand() -> None:
    """Two people found perfectly with scores 0.9 and 0.3, one wrong at 0.6 between them.

    Precision is 1, 1/2, 2/3 at recall 1/2, 1/2, 1. Recall points 0..0.50 (51 of 101) see precision 1, the
    other 50 see 2/3: AP = (51 + 50 * 2/3) / 101.
    """
    xy = np.array([[[0.0, 0], [50, 50]], [[0, 0], [50, 50]]])
    people = oks.People(
        image=np.array([0, 1]),
        xy_image=xy,
        labeled=np.ones((2, 2), bool),
        boxes_xyxy=np.zeros((2, 4)),
        area=np.full(2, 50.0**2),
        crowd=np.zeros(2, bool),
    )
    found = oks.Found(
        image=np.array([0, 1, 1]),
        xy_image=np.concatenate([xy, xy[:1] + 1000]),
        score=np.array([0.9, 0.3, 0.6]),
        area=np.full(3, 50.0**2),
    )
    summary = precision.summary(matching.match(people, found, np.array([0.1, 0.1]), 2))
    assert summary.ap[0] == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert summary.ar[0] == 1
    assert np.isnan(summary.ap_large[0])  # 2500 square pixels is medium


def test_extent_is_of_the_predicted_joints() -> None:
    xy = np.array([[[0, 0], [3, 4], [np.nan, np.nan]], [[np.nan, np.nan]] * 3])
    np.testing.assert_array_equal(oks.extent_px2(xy), [12, 0])


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match="sigmas: expected shape"):
        found = oks.Found(image=np.zeros(0, int), xy_image=np.zeros((0, 2, 2)), score=np.zeros(0), area=np.zeros(0))
        matching.match(_one([[0, 0], [1, 1]]), found, np.ones(3), 1)
