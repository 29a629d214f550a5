"""`evaluate`: the JSON's shape, every metric, shared joints, what is skipped, what is retained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepose._checks import Array
from edgepose._files import write_json
from edgepose.datasets.samples import Sample
from edgepose.errors import DataError
from edgepose.measure.accuracy import evaluate
from edgepose.measure.predictions import Detected, Engine, Predictions
from edgepose.measure.results import EngineAccuracy
from edgepose.metrics import registered_metrics
from edgepose.pose.skeletons import SKELETONS, Skeleton

LSP, COCO = SKELETONS["lsp14"], SKELETONS["coco17"]
PCK = [
    "pck@0.2", "pck@0.1", "pck_oc@0.2", "pdj@0.2", "pdj_auc", "pck_box@0.2", "pck_box@0.1",
    "pckh@0.5", "pckh@0.1", "pckh_auc",
]  # fmt: skip
PCP = ["pcp@0.5", "pcp_loose@0.5", "pcp_oc@0.5"]
AP = ["oks_ap", "oks_ap50", "oks_ap75", "oks_ap_medium", "oks_ap_large"]
AR = ["oks_ar", "oks_ar50", "oks_ar75", "oks_ar_medium", "oks_ar_large"]
ALL = [*PCK, *PCP, *AP, *AR, "epe"]


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
        labeled=np.ones(len(xy), bool),
        occluded=np.zeros(len(xy), bool),
        box_xyxy=np.concatenate([low, high]).astype(np.float32),
        area=float((high - low).prod()),
    )
    return replace(made, **changes)


def _people(n: int, skeleton: Skeleton = LSP, seed: int = 0) -> People:
    random = np.random.default_rng(seed)
    samples = (_sample(i, random.uniform(0, 60 + 200 * (i % 2), (len(skeleton), 2))) for i in range(n))
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
    return Predictions(engine=_engine(skeleton), xy_image=xy, scores=scores)


def _engine(skeleton: Skeleton) -> Engine:
    return Engine(path="e/fp32", precision="fp32", backend="openvino", onnx_sha256="0" * 64, skeleton=skeleton)


def assert_best(engine: EngineAccuracy) -> None:
    """Every metric has the value of perfect predictions."""
    for name, metric in engine.metrics.items():
        assert metric.interval.value == pytest.approx(registered_metrics()[name].best), name


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
        assert 0 <= metric["low"] <= metric["value"] <= metric["high"], name
        assert metric["unit"] == "pixels" or metric["high"] <= 1, name
    assert value["format"] == 1
    pck = first["metrics"]["pck@0.2"]
    assert set(pck["per_joint"]) == set(pck["per_joint_interval"]) == set(LSP.joints)
    assert pck["n"] == 280
    assert set(pck["row"]) == {"head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "mean", "pooled"}
    for joint, wide in pck["per_joint_interval"].items():
        assert wide["low"] <= pck["per_joint"][joint] <= wide["high"]
        assert wide["n"] == 20
    assert len(first["metrics"]["pcp@0.5"]["per_limb"]) == 10
    assert first["retention"] == {}
    assert list(second["retention"]) == ALL
    kept = second["retention"]["pck@0.2"]
    assert {"value", "low", "high", "detectable", "per_joint"} == set(kept)
    assert set(kept["per_joint"]["left_wrist"]) == {"value", "low", "high", "detectable"}
    assert len(second["retention"]["pcp@0.5"]["per_limb"]) == 10
    assert set(first["curves"]) == {"pdj", "pckh"}
    assert len(first["curves"]["pdj"]["pooled"]) == len(first["curves"]["pdj"]["thresholds"]) == 51
    assert set(first["curves"]["pdj"]["per_joint"]) == set(LSP.joints)
    assert first["curves"]["pdj"]["pooled"][20] == pytest.approx(first["metrics"]["pdj@0.2"]["value"])
    assert first["joints"] == list(LSP.joints)
    assert first["skipped"] == {}
    assert set(first["notes"]) == set(ALL)


def test_perfect_predictions_score_one_everywhere() -> None:
    data = _people(6)
    (engine,) = evaluate([_predictions(data)], data, n_boot=20).engines
    assert list(engine.metrics) == ALL
    for name, metric in engine.metrics.items():
        best = registered_metrics()[name].best
        assert metric.interval.value == pytest.approx(best), name
        assert metric.interval.low == pytest.approx(best), name


def test_retention_is_the_ratio_to_the_first_engine_also_joint_by_joint() -> None:
    data = _people(40)
    evaluation = evaluate([_predictions(data, spread_px=6), _predictions(data, spread_px=10)], data, n_boot=100)
    first, second = evaluation.engines
    for name in ALL:
        base, other = (first, second) if name != "epe" else (second, first)  # lower is better: first / second
        ratio = other.metrics[name].interval.value / base.metrics[name].interval.value
        kept = second.retention[name].kept
        assert kept.interval.value == pytest.approx(ratio)
        assert kept.interval.low <= ratio <= kept.interval.high
        assert 0 < kept.detectable < 1
        for part, whole in second.retention[name].parts.items():
            values = [engine.metrics[name].parts[part].interval.value for engine in (base, other)]
            assert whole.interval.value == pytest.approx(values[1] / values[0]), (name, part)
    assert set(second.retention["pck@0.2"].parts) == set(LSP.joints)


def test_an_engine_against_its_copy_shows_nothing_below_four_hits() -> None:
    """20 people of 14 joints, all hit: no spread, and the detectable loss is 4 of 280."""
    data = _people(20)
    _, second = evaluate([_predictions(data), _predictions(data)], data, n_boot=50).engines
    assert second.retention["pck@0.2"].kept.detectable == pytest.approx(4 / 280)
    assert second.retention["pck@0.2"].parts["left_wrist"].detectable == pytest.approx(4 / 20)
    assert second.retention["oks_ap"].kept.detectable == pytest.approx(4 / 20)


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
    assert found.metrics["pck@0.2"].parts["left_wrist"].interval.value == 0.5
    assert found.metrics["pck@0.2"].parts["right_wrist"].interval.value == 1
    assert found.metrics["pck@0.2"].row["wrist"] == pytest.approx(0.75)
    assert found.metrics["pdj_auc"].interval.value == pytest.approx(27 / 28)
    assert found.metrics["pcp@0.5"].interval.value == pytest.approx(19 / 20)
    assert found.metrics["pcp@0.5"].parts["left_lower_arm"].interval.value == 0.5


def test_a_coco_network_is_measured_on_the_joints_lsp_shares() -> None:
    data = _people(6)
    (engine,) = evaluate([_predictions(data, COCO)], data, n_boot=20).engines
    assert len(engine.joints) == 12
    assert set(engine.joints) == set(LSP.joints) - {"neck", "head_top"}
    assert len(engine.metrics["pcp@0.5"].parts) == 9
    assert set(engine.metrics["pck@0.2"].parts) == set(engine.joints)
    assert_best(engine)


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
    small = {name for name in [*AP, *AR] if engine.skipped.get(name) == "no labeled person is of that size"}
    assert set(engine.metrics) == {"pck_box@0.2", "pck_box@0.1", *AP, *AR, "epe"} - small == set(engine.notes)
    assert set(engine.curves) == set()
    assert "as given with skeleton bare" in engine.notes["oks_ap"]
    (engine,) = evaluate([_predictions(data)], data, n_boot=20).engines
    assert "no OKS sigmas" in engine.skipped["oks_ar"]
    assert set(engine.metrics) == {"pck_box@0.2", "pck_box@0.1", "epe"}


def test_nobody_of_a_size_is_a_skip() -> None:
    data = _people(3)
    data = replace(data, samples=tuple(replace(sample, area=50.0**2) for sample in data.samples))
    (engine,) = evaluate([_predictions(data)], data, n_boot=20).engines
    assert engine.metrics["oks_ap_medium"].interval.value == pytest.approx(1)
    assert engine.skipped == dict.fromkeys(["oks_ap_large", "oks_ar_large"], "no labeled person is of that size")


def test_pckh_takes_head_boxes_where_labels_have_them() -> None:
    """Head size 10 px: within 5 is a hit. A wrist off by 6 px is lost, though the head segment is far longer."""
    data = _people(2)
    boxed = replace(data, samples=tuple(replace(sample, head_px=10.0) for sample in data.samples))
    engine = _predictions(data)
    engine.xy_image[0, LSP.index("left_wrist")] += (6, 0)
    for labels, hit, note in ((data, 1.0, "head_top to neck"), (boxed, 27 / 28, "head box's diagonal")):
        (found,) = evaluate([engine], labels, n_boot=20).engines
        assert found.metrics["pckh@0.5"].interval.value == pytest.approx(hit)
        assert note in found.notes["pckh@0.5"]


def test_mpiis_mean_leaves_pelvis_and_thorax_out() -> None:
    mpii = SKELETONS["mpii16"]
    data = _people(3, mpii)
    engine = _predictions(data)
    engine.xy_image[:, mpii.index("pelvis")] += 5000
    (found,) = evaluate([engine], data, n_boot=20).engines
    for name in PCK:
        assert found.metrics[name].interval.value == pytest.approx(1), name
        assert found.metrics[name].parts["pelvis"].interval.value == 0
    assert found.metrics["pck@0.2"].n == 3 * 14
    assert found.curves["pdj"].pooled[20] == 1
    assert found.curves["pdj"].parts[20, mpii.index("pelvis")] == 0


def test_observer_centric_forgives_a_back_taken_for_a_front() -> None:
    data = _people(1)
    xy = data.samples[0].xy_image.copy()
    for part in ("shoulder", "hip"):
        xy[[LSP.index(f"left_{part}"), LSP.index(f"right_{part}")], 0] = (10, 40)
    data = replace(data, samples=(replace(data.samples[0], xy_image=xy),))
    engine = _predictions(data)
    engine.xy_image[:] = engine.xy_image[:, list(LSP.flip_order())]
    (found,) = evaluate([engine], data, n_boot=20).engines
    assert found.metrics["pcp@0.5"].interval.value < 0.5
    assert found.metrics["pcp_oc@0.5"].interval.value == 1
    assert found.metrics["pck@0.2"].interval.value < 0.5
    assert found.metrics["pck_oc@0.2"].interval.value == 1
    assert "observer-centric" in found.notes["pck_oc@0.2"]
    bare = COCO.only([joint for joint in COCO.joints if joint != "left_hip"])
    (found,) = evaluate([_predictions(data, bare)], data, n_boot=20).engines
    assert "shoulders and hips" in found.skipped["pck_oc@0.2"]
    assert "shoulders and hips" in found.skipped["pcp_oc@0.5"]


def test_the_observers_torso_runs_between_the_exchanged_joints() -> None:
    """From behind: left shoulder (0, 0), right (40, 0), left hip (10, 30), right (40, 60).

    The person's own torso, left shoulder to right hip, is 72.1 long, and 20 % of it 14.4. Exchanged, it runs from the
    person's right shoulder to the left hip: 42.4 long, 20 % of it 8.5. A wrist off by 10 px is a hit of the one, a
    miss of the other.
    """
    data = _people(1)
    xy = data.samples[0].xy_image.copy()
    for joint, place in {
        "left_shoulder": (0, 0), "right_shoulder": (40, 0), "left_hip": (10, 30), "right_hip": (40, 60),
    }.items():  # fmt: skip
        xy[LSP.index(joint)] = place
    data = replace(data, samples=(replace(data.samples[0], xy_image=xy),))
    engine = _predictions(data)
    engine.xy_image[0, LSP.index("left_wrist"), 0] += 10
    (found,) = evaluate([engine], data, n_boot=20).engines
    assert found.metrics["pck@0.2"].interval.value == 1
    assert found.metrics["pck_oc@0.2"].interval.value == pytest.approx(13 / 14)
    assert found.metrics["pck_oc@0.2"].parts["right_wrist"].interval.value == 0


def test_a_torso_nobody_has_labeled_is_a_skip_not_a_zero() -> None:
    data = _people(3)
    labeled = np.ones(14, bool)
    labeled[LSP.index("left_shoulder")] = False
    data = replace(data, samples=tuple(replace(sample, labeled=labeled) for sample in data.samples))
    (engine,) = evaluate([_predictions(data)], data, n_boot=20).engines
    assert "nobody" in engine.skipped["pck@0.2"]
    assert engine.metrics["pckh@0.5"].interval.value == 1
    assert "left_shoulder" not in engine.metrics["pckh@0.5"].parts


def test_ignored_and_unlabeled_people_do_not_count() -> None:
    """Two of four people are neither hit nor miss, whatever is predicted for them."""
    data = _people(4)
    a, b, c, d = data.samples
    nothing = np.zeros(14, bool)
    data = replace(data, samples=(a, b, replace(c, ignore=True), replace(d, labeled=nothing)))
    engine = _predictions(data)
    engine.xy_image[2:] = np.nan
    (found,) = evaluate([engine], data, n_boot=20).engines
    assert found.n == 2
    assert_best(found)


def test_a_first_engine_that_finds_nothing_leaves_no_retention() -> None:
    data = _people(4)
    lost = replace(_predictions(data), xy_image=np.full((4, 14, 2), np.nan))
    first, second = evaluate([lost, _predictions(data)], data, n_boot=20).engines
    assert all(metric.interval.value == 0 for metric in first.metrics.values())
    assert second.retention == {}
    assert "nothing to keep" in second.skipped["retention of oks_ap"]
    assert first.skipped["epe"] == "56 labeled joints were not predicted, so their error is undefined"
    assert second.skipped["retention of epe"] == "the first engine has no value"


def test_an_error_that_doubles_is_a_retention_of_half() -> None:
    """Joints 3 px off against 6 px off: the error's retention is 50 %, of every joint too; and 200 % the other way."""
    data = _people(10)
    near, far = _predictions(data), _predictions(data)
    near.xy_image[..., 0] += 3
    far.xy_image[..., 0] += 6
    first, second = evaluate([near, far], data, n_boot=20).engines
    assert first.metrics["epe"].interval.value == pytest.approx(3)
    assert second.metrics["epe"].parts["neck"].interval.value == pytest.approx(6)
    kept = second.retention["epe"]
    assert kept.kept.interval.value == kept.kept.interval.high == pytest.approx(0.5)
    assert kept.parts["neck"].interval.value == pytest.approx(0.5)
    assert kept.kept.detectable == pytest.approx(4 / 140)  # no spread: four joints, each off by as much as the mean
    _, better = evaluate([far, near], data, n_boot=20).engines
    assert better.retention["epe"].kept.interval.value == pytest.approx(2)


def test_an_engine_without_error_has_no_retention_of_it() -> None:
    data = _people(4)
    off = _predictions(data)
    off.xy_image[:] += 1
    _, second = evaluate([off, _predictions(data)], data, n_boot=20).engines
    assert "epe" not in second.retention
    assert "the error of this engine is 0" in second.skipped["retention of epe"]


def test_errors_say_what_to_do() -> None:
    data = _people(2)
    other = Skeleton(name="hand", joints=("thumb",))
    thumb = Predictions(engine=_engine(other), xy_image=np.zeros((2, 1, 2)), scores=np.zeros((2, 1)))
    with pytest.raises(DataError, match="shares no joint with hand; choose data"):
        evaluate([thumb], data)
    ignored = replace(data, samples=tuple(replace(sample, ignore=True) for sample in data.samples))
    with pytest.raises(DataError, match="nobody has a label"):
        evaluate([_predictions(data)], ignored)
    with pytest.raises(ValueError, match=r"e/fp32: xy_image: expected shape \[2, 14, 2\]"):
        evaluate([_predictions(_people(3))], data)
    with pytest.raises(ValueError, match="at least one"):
        evaluate([], data)


def test_people_whom_a_network_finds_by_itself_are_matched_for_metrics_of_single_people() -> None:
    """In any order, and without the last one: his joints count as wrong. AP is over all who are found."""
    data = _people(10)
    single = _predictions(data)
    order = np.random.default_rng(2).permutation(9)
    found = Detected(
        engine=single.engine, boxes="the network itself", image=order.astype(np.int64),
        xy_image=single.xy_image[order], scores=np.full((9, 14), 0.5), box_scores=np.linspace(0.9, 0.5, 9),
        area=np.full(9, 100.0), grouped=True,
    )  # fmt: skip
    (got,) = evaluate([found], data, n_boot=10).engines
    assert got.metrics["pck@0.2"].interval.value == pytest.approx(0.9)
    assert got.metrics["pcp@0.5"].interval.value == pytest.approx(0.9)
    assert "a person not found counts as wrong" in got.notes["pck@0.2"]
    assert got.metrics["oks_ar"].interval.value == pytest.approx(0.9) and "matched" not in got.notes["oks_ap"]
    assert "14 labeled joints were not predicted" in got.skipped["epe"]
    (by_detector,) = evaluate([replace(found, grouped=False)], data, n_boot=10).engines
    assert "pck@0.2" in by_detector.skipped and "oks_ap" in by_detector.metrics
