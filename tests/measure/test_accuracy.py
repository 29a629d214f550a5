"""`evaluate`: the JSON's shape, shared joints, what is skipped, ignored people; AP against pycocotools."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepose._checks import Array
from edgepose._files import write_json
from edgepose.datasets.samples import Sample, SampleList
from edgepose.errors import DataError
from edgepose.measure.accuracy import Predictions, collect, evaluate
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import SKELETONS, Skeleton

LSP, COCO = SKELETONS["lsp14"], SKELETONS["coco17"]
ALL = ["pck@0.2", "pck@0.1", "pdj@0.2", "pckh@0.5", "pcp@0.5", "oks_ap", "oks_ap50", "oks_ap75", "oks_ar"]


@dataclass(frozen=True)
class People:
    """A data set held in memory."""

    name: str
    skeleton: Skeleton
    samples: tuple[Sample, ...]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


def _sample(number: int, xy: Array, **changes: Any) -> Sample:
    low, high = xy.min(axis=0), xy.max(axis=0)
    made = Sample(
        image_id=number,
        name=f"{number}.jpg",
        read=lambda: np.full((64, 64, 3), number, np.uint8),
        xy_image=xy.astype(np.float32),
        labelled=np.ones(len(xy), bool),
        occluded=np.zeros(len(xy), bool),
        box_xyxy=np.concatenate([low, high]).astype(np.float32),
        area=float((high - low).prod()),
    )
    return replace(made, **changes)


def _people(n: int, skeleton: Skeleton = LSP, seed: int = 0) -> People:
    random = np.random.default_rng(seed)
    samples = (_sample(i, random.uniform(0, 200, (len(skeleton), 2))) for i in range(n))
    return People("made", skeleton, tuple(samples))


def _predictions(data: People, skeleton: Skeleton | None = None, *, spread_px: float = 0) -> Predictions:
    """The labels, moved by noise, in another skeleton's order; joints the labels lack are at (0, 0)."""
    skeleton = skeleton or data.skeleton
    random = np.random.default_rng(1)
    xy = np.zeros((len(data), len(skeleton), 2))
    for joint in skeleton.shared(data.skeleton):
        for i, sample in enumerate(data.samples):
            xy[i, skeleton.index(joint)] = sample.xy_image[data.skeleton.index(joint)]
    xy += random.normal(0, spread_px, xy.shape) if spread_px else 0
    scores = random.uniform(0.1, 1, xy.shape[:2])
    return Predictions(
        path="e/fp32",
        precision="fp32",
        backend="openvino",
        onnx_sha256="0" * 64,
        skeleton=skeleton,
        xy_image=xy,
        scores=scores,
    )


def test_the_json_has_the_documented_shape(tmp_path: Path) -> None:
    data = _people(20)
    engines = [_predictions(data, spread_px=5), _predictions(data, spread_px=9)]
    value = evaluate(engines, data, n_boot=50).to_json()
    write_json(tmp_path / "eval.json", value)  # refuses NaN
    first, second = value["engines"]
    for key, expected in (("path", "e/fp32"), ("precision", "fp32"), ("backend", "openvino"), ("n", 20)):
        assert first[key] == expected
    assert list(first["metrics"]) == ALL
    for name, metric in first["metrics"].items():
        assert 0 <= metric["low"] <= metric["value"] <= metric["high"] <= 1, name
    assert set(first["metrics"]["pck@0.2"]["per_joint"]) == set(LSP.joints)
    assert len(first["metrics"]["pcp@0.5"]["per_limb"]) == 10
    assert first["retention"] == {}
    assert list(second["retention"]) == ALL
    assert set(second["retention"]["pck@0.2"]) == {"value", "low", "high"}
    assert first["joints"] == list(LSP.joints)
    assert first["skipped"] == {}


def test_perfect_predictions_score_one_everywhere() -> None:
    data = _people(5)
    (engine,) = evaluate([_predictions(data)], data, n_boot=20).engines
    for name, metric in engine.metrics.items():
        assert metric.interval.value == pytest.approx(1), name
        assert metric.interval.low == pytest.approx(1), name


def test_retention_is_the_ratio_to_the_first_engine() -> None:
    data = _people(40)
    evaluation = evaluate([_predictions(data, spread_px=12), _predictions(data, spread_px=20)], data, n_boot=100)
    first, second = evaluation.engines
    for name in ALL:
        ratio = second.metrics[name].interval.value / first.metrics[name].interval.value
        assert second.retention[name].value == pytest.approx(ratio)
        assert second.retention[name].low <= ratio <= second.retention[name].high


def test_pdj_equals_pck_and_thresholds_are_ordered() -> None:
    data = _people(30)
    (engine,) = evaluate([_predictions(data, spread_px=15)], data, n_boot=50).engines
    assert engine.metrics["pdj@0.2"].interval == engine.metrics["pck@0.2"].interval
    assert engine.metrics["pck@0.1"].interval.value < engine.metrics["pck@0.2"].interval.value


def test_one_miss_by_hand() -> None:
    """Two people, 28 joints, one wrist 1000 px off: PCK 27/28, that wrist 1/2.

    Of 20 limbs that lower arm is lost: PCP 19/20.
    """
    data = _people(2)
    engine = _predictions(data)
    engine.xy_image[0, LSP.index("left_wrist")] += 1000
    (found,) = evaluate([engine], data, n_boot=20).engines
    assert found.metrics["pck@0.2"].interval.value == pytest.approx(27 / 28)
    assert found.metrics["pck@0.2"].parts["left_wrist"] == 0.5
    assert found.metrics["pck@0.2"].parts["right_wrist"] == 1
    assert found.metrics["pcp@0.5"].interval.value == pytest.approx(19 / 20)
    assert found.metrics["pcp@0.5"].parts["left_lower_arm"] == 0.5


def test_a_coco_network_is_measured_on_the_joints_lsp_shares() -> None:
    data = _people(6)
    (engine,) = evaluate([_predictions(data, COCO)], data, n_boot=20).engines
    assert len(engine.joints) == 12
    assert set(engine.joints) == set(LSP.joints) - {"neck", "head_top"}
    assert len(engine.metrics["pcp@0.5"].parts) == 9
    assert set(engine.metrics["pck@0.2"].parts) == set(engine.joints)
    assert all(metric.interval.value == pytest.approx(1) for metric in engine.metrics.values())


def test_engines_of_two_skeletons_are_compared_on_the_same_joints() -> None:
    data = _people(6)
    first, second = evaluate([_predictions(data), _predictions(data, COCO)], data, n_boot=20).engines
    assert first.joints == second.joints
    assert len(first.joints) == 12


def test_what_the_labels_cannot_carry_is_skipped_with_the_reason() -> None:
    bare = Skeleton(name="bare", joints=("left_wrist", "right_wrist"))
    data = _people(4, bare)
    data_plus = replace(data, skeleton=replace(bare, sigmas=(0.06, 0.06)))
    (engine,) = evaluate([_predictions(data_plus)], data_plus, n_boot=20).engines
    assert "left_shoulder and no right_hip" in engine.skipped["pck@0.2"]
    assert "head_top" in engine.skipped["pckh@0.5"]
    assert "no limb of bare" in engine.skipped["pcp@0.5"]
    assert set(engine.metrics) == set(ALL[5:]) == set(engine.notes)
    (engine,) = evaluate([_predictions(data)], data, n_boot=20).engines
    assert "no OKS sigmas" in engine.skipped["oks_ar"]
    assert engine.metrics == {}


def test_a_torso_nobody_has_labelled_is_a_skip_not_a_zero() -> None:
    data = _people(3)
    labelled = np.ones(14, bool)
    labelled[LSP.index("left_shoulder")] = False
    data = replace(data, samples=tuple(replace(sample, labelled=labelled) for sample in data.samples))
    (engine,) = evaluate([_predictions(data)], data, n_boot=20).engines
    assert "nobody" in engine.skipped["pck@0.2"]
    assert engine.metrics["pckh@0.5"].interval.value == 1
    assert "left_shoulder" not in engine.metrics["pckh@0.5"].parts


def test_ignored_and_unlabelled_people_do_not_count() -> None:
    """Two of four people are neither hit nor miss, whatever is predicted for them."""
    data = _people(4)
    a, b, c, d = data.samples
    nothing = np.zeros(14, bool)
    data = replace(data, samples=(a, b, replace(c, ignore=True), replace(d, labelled=nothing)))
    engine = _predictions(data)
    engine.xy_image[2:] = np.nan
    (found,) = evaluate([engine], data, n_boot=20).engines
    assert found.n == 2
    assert all(metric.interval.value == pytest.approx(1) for metric in found.metrics.values())


def test_a_first_engine_that_finds_nothing_leaves_no_retention() -> None:
    data = _people(4)
    lost = replace(_predictions(data), xy_image=np.full((4, 14, 2), np.nan))
    first, second = evaluate([lost, _predictions(data)], data, n_boot=20).engines
    assert all(metric.interval.value == 0 for metric in first.metrics.values())
    assert second.retention == {}
    assert "nothing to keep" in second.skipped["retention of oks_ap"]


def test_errors_say_what_to_do() -> None:
    data = _people(2)
    other = Skeleton(name="hand", joints=("thumb",))
    thumb = replace(_predictions(data), skeleton=other, xy_image=np.zeros((2, 1, 2)), scores=np.zeros((2, 1)))
    with pytest.raises(DataError, match="shares no joint with hand; choose data"):
        evaluate([thumb], data)
    ignored = replace(data, samples=tuple(replace(sample, ignore=True) for sample in data.samples))
    with pytest.raises(DataError, match="nobody has a label"):
        evaluate([_predictions(data)], ignored)
    with pytest.raises(ValueError, match=r"e/fp32: xy_image: expected shape \[2, 14, 2\]"):
        evaluate([_predictions(_people(3))], data)
    with pytest.raises(ValueError, match="at least one"):
        evaluate([], data)


def test_labels_far_outside_their_image_are_refused() -> None:
    samples = (_sample(7, np.full((14, 2), 5000.0)),)
    data = SampleList(name="far", skeleton=LSP, samples=samples, image_ids=(7,))
    with pytest.raises(DataError, match="far outside"):
        collect(
            lambda image, boxes: pytest.fail("ran"),
            data,
            path="e",
            precision="fp32",
            backend="openvino",
            onnx_sha256="0" * 64,
            skeleton=LSP,
        )


def test_collect_runs_each_image_once_over_the_people_that_count() -> None:
    """Three people, two of them in image 7, and one ignored: two calls; the ignored one stays NaN."""
    xy = np.arange(28.0).reshape(14, 2)
    samples = (
        _sample(7, xy),
        _sample(7, xy + 1, ignore=True),
        _sample(7, xy + 2),
        _sample(9, xy + 3),
    )
    calls: list[tuple[int, int]] = []

    def run(image: Array, boxes: Array) -> Poses:
        calls.append((int(image[0, 0, 0]), len(boxes)))
        corner = boxes[:, None, :2]
        return Poses(
            skeleton=LSP,
            xy_image=np.broadcast_to(corner, (len(boxes), 14, 2)).astype(np.float32),
            scores=np.full((len(boxes), 14), 0.5, np.float32),
            boxes_xyxy=boxes,
            box_scores=np.ones(len(boxes), np.float32),
        )

    data = People("made", LSP, samples)
    got = collect(run, data, path="p", precision="int8", backend="openvino", onnx_sha256="0" * 64, skeleton=LSP)
    assert calls == [(7, 2), (9, 1)]
    np.testing.assert_array_equal(got.xy_image[[0, 2, 3], 0, 0], [0, 2, 3])
    assert np.isnan(got.xy_image[1]).all()
    assert (got.scores[[0, 2, 3]] == 0.5).all()


@pytest.mark.parametrize("split", ["train2017", "val2017"])
def test_ap_equals_pycocotools_on_coco(data_root: Path, split: str) -> None:
    """The labels moved by noise, predicted for the labelled people alone; crowds stay in the labels."""
    file = data_root / "coco-mini" / "annotations" / f"person_keypoints_{split}.json"
    labels = json.loads(file.read_text())
    items = sorted(labels["annotations"], key=lambda item: item["image_id"])
    data = People("coco", COCO, tuple(_coco_sample(item) for item in items))
    engine = _predictions(data, spread_px=6)
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
    names = ("oks_ap", "oks_ap50", "oks_ap75", "oks_ar")
    got = [found.metrics[name].interval.value for name in names]
    ap, ap50, ap75, _, _, ar = _pycocotools(file, results)[:6]
    np.testing.assert_allclose(got, [ap, ap50, ap75, ar], rtol=0, atol=1e-9)


def _coco_sample(item: dict[str, Any]) -> Sample:
    joints = np.array(item["keypoints"], float).reshape(17, 3)
    x, y, width, height = item["bbox"]
    return _sample(
        item["image_id"],
        joints[:, :2],
        labelled=joints[:, 2] > 0,
        box_xyxy=np.array([x, y, x + width, y + height]),
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
