"""What every registered metric declares and keeps, with a metric of one file added to the registry."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from edgepose import metrics
from edgepose._files import write_json
from edgepose.cli.measure import print_accuracy
from edgepose.datasets.samples import Sample, SampleList
from edgepose.measure.accuracy import evaluate
from edgepose.measure.boxes import CORNERS
from edgepose.measure.labels import gather
from edgepose.measure.predictions import Detected, Engine, Predictions
from edgepose.measure.reading import read_evaluation
from edgepose.measure.results import EngineAccuracy
from edgepose.metrics import registered_metrics
from edgepose.metrics.metric import Direction, Kind, Metric, Skip
from edgepose.pose.skeletons import SKELETONS, Skeleton
from edgepose.report.page import write_page
from edgepose.report.tables import accuracy

LSP = SKELETONS["lsp14"]
BARE = Skeleton(name="bare", joints=("left_wrist", "right_wrist"))  # no torso, head, limbs or sigmas
NEEDS = {"torso", "head size", "limbs", "sigmas", "shoulders and hips", "boxes"}
N = 24
ORDER = tuple(range(N))
TOY = "toy_metric"


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry with one more line: all that adding a metric takes beside its file."""
    monkeypatch.setitem(metrics.MODULES, "toy", TOY)


def every_metric() -> list[str]:
    return [*registered_metrics(), "toy", "toy_person"]


def people(skeleton: Skeleton = LSP, order: tuple[int, ...] = ORDER) -> SampleList:
    """One person an image, half of them small and half of them large."""
    random = np.random.default_rng(0)
    samples = []
    for i in range(N):
        xy = random.uniform(0, 70 + 200 * (i % 2), (len(skeleton), 2)).astype(np.float32)
        low, high = xy.min(axis=0), xy.max(axis=0)
        xy = np.stack([low, high]) if skeleton == CORNERS else xy
        samples.append(
            Sample(
                image_id=i,
                name=f"{i}.jpg",
                read=lambda: np.zeros((4, 4, 3), np.uint8),
                xy_image=xy,
                labeled=np.ones(len(xy), bool),
                occluded=np.zeros(len(xy), bool),
                box_xyxy=np.concatenate([low, high]),
                area=float((high - low).prod()),
            )
        )
    return SampleList(
        name="made", skeleton=skeleton, samples=tuple(samples[i] for i in order), image_ids=tuple(range(N))
    )


def predictions(data: SampleList, spread_px: float, order: tuple[int, ...] = ORDER) -> Predictions | Detected:
    """The labels moved by noise that belongs to the person, whatever the order."""
    random = np.random.default_rng(1)
    noise = random.normal(0, spread_px, (N, len(data.skeleton), 2)) if spread_px else np.zeros((N, 1, 2))
    scores = random.uniform(0.3, 1, (N, len(data.skeleton)))
    xy = np.stack([sample.xy_image for sample in data.samples]) + noise[list(order)]
    engine = Engine(path="e", precision="fp32", backend="b", onnx_sha256="0" * 64, skeleton=data.skeleton)
    if data.skeleton != CORNERS:
        return Predictions(engine=engine, xy_image=xy, scores=scores[list(order)])
    ones, score = np.ones((N, 2)), scores[list(order)].mean(axis=1)
    return Detected(
        engine=engine, boxes="itself", image=np.arange(N), xy_image=xy, scores=ones, box_scores=score, area=ones[:, 0],
        grouped=True,
    )  # fmt: skip


def skeleton_of(name: str) -> Skeleton:
    """The joints that a metric is measured on: those of LSP, or the corners of boxes."""
    return CORNERS if metric_named(name).of_boxes else LSP


@functools.cache
def measured(spread_px: float, skeleton: Skeleton, order: tuple[int, ...] = ORDER) -> EngineAccuracy:
    data = people(skeleton, order)
    return evaluate([predictions(data, spread_px, order)], data, n_boot=5).engines[0]


@functools.cache
def compared(skeleton: Skeleton) -> tuple[EngineAccuracy, ...]:
    """An engine, itself, and a worse one."""
    data = people(skeleton)
    return evaluate([predictions(data, spread_px) for spread_px in (9, 9, 60)], data, n_boot=50).engines


def metric_named(name: str) -> Metric:
    return registered_metrics()[name]


@pytest.mark.parametrize("name", every_metric())
def test_it_declares_what_a_reader_needs(name: str) -> None:
    metric = metric_named(name)
    declared = metric.declared
    assert metric.name == name
    assert declared.kind in get_args(Kind) and declared.direction in get_args(Direction)
    assert declared.unit and 0 <= declared.decimals <= 6
    assert declared.unit == "fraction" or not declared.percent
    assert set(metric.needs) <= NEEDS
    assert type(metric).__doc__
    number, _, decimals = declared.text(0.5).partition(".")
    assert number == ("50" if declared.percent else "0") and len(decimals) == declared.decimals


@pytest.mark.parametrize("name", every_metric())
def test_perfect_predictions_have_the_best_value_and_worse_ones_none_better(name: str) -> None:
    metric = metric_named(name)
    skeleton = skeleton_of(name)
    values = [measured(spread_px, skeleton).metrics[name].interval.value for spread_px in (0, 6, 60)]
    assert values[0] == pytest.approx(metric.best)
    assert values == sorted(values, reverse=metric.declared.direction == "higher")
    assert values[2] != values[0]


@pytest.mark.parametrize("name", every_metric())
def test_the_order_of_people_does_not_matter(name: str) -> None:
    shuffled = tuple(np.random.default_rng(2).permutation(N).tolist())
    skeleton = skeleton_of(name)
    first, second = measured(9, skeleton).metrics[name], measured(9, skeleton, shuffled).metrics[name]
    assert second.interval.value == pytest.approx(first.interval.value, rel=1e-12)
    assert second.n == first.n
    for part, its in first.parts.items():
        assert second.parts[part].interval.value == pytest.approx(its.interval.value, rel=1e-12)


@pytest.mark.parametrize("name", every_metric())
def test_labels_without_what_it_needs_skip_it_with_the_reason(name: str) -> None:
    data = people(BARE)
    (found,) = evaluate([predictions(data, 3)], data, n_boot=5).engines
    if metric_named(name).of_boxes:
        assert name not in found.metrics and name not in found.skipped  # it is no metric of joints
    elif metric_named(name).needs:
        assert name not in found.metrics and len(found.skipped[name]) > 20
    else:
        assert name in found.metrics and name not in found.skipped


@pytest.mark.parametrize("name", every_metric())
def test_detections_are_measured_or_the_reason_is_given(name: str) -> None:
    plan = metric_named(name).plan(gather(people(skeleton_of(name)), skeleton_of(name).joints, detected=True))
    if metric_named(name).on_detections:
        assert not isinstance(plan, Skip)
    else:
        assert isinstance(plan, Skip) and "leave --detector out" in plan.reason


@pytest.mark.parametrize("name", every_metric())
def test_an_engine_retains_all_of_itself_and_less_where_it_is_worse(name: str) -> None:
    _, same, worse = compared(skeleton_of(name))
    kept = same.retention[name].kept
    assert (kept.interval.value, kept.interval.low, kept.interval.high) == (1, 1, 1)
    assert kept.detectable > 0
    assert worse.retention[name].kept.interval.value < 1


def test_a_metric_of_one_file_is_in_the_json_the_table_and_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = people()
    found = evaluate([predictions(data, 2), predictions(data, 4)], data, n_boot=20)
    value = found.to_json()["engines"][0]["metrics"]["toy"]
    assert (value["unit"], value["direction"], value["percent"]) == ("millipixels", "lower", False)
    assert set(value["per_joint"]) == set(LSP.joints)
    assert "per_person" not in found.to_json()["engines"][1]["metrics"]["toy_person"]
    row = next(row for row in accuracy(found)[1] if row[0] == "toy (millipixels)")
    assert row[1].startswith(f"{value['value']:.1f} [")
    print_accuracy(found)
    assert "toy" in capsys.readouterr().out
    write_json(tmp_path / "eval.json", found.to_json())
    metrics.MODULES.pop("toy")  # a reader need not know the metric
    assert read_evaluation(tmp_path / "eval.json").to_json() == found.to_json()
    write_page(tmp_path, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "toy (millipixels)" in page and row[1] in page


def test_two_metrics_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(metrics.MODULES, "again", TOY)
    with pytest.raises(ValueError, match="several named toy, toy_person"):
        registered_metrics()
