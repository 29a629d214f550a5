"""The order in which the guard tests candidates, and what a candidate says in guard.json."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgepose.api import candidates
from edgepose.api.candidates import Task, _worth_going_on, reason_for
from edgepose.api.guard import certificate_beside, without_search
from edgepose.api.guarded import Found, Step
from edgepose.artifacts.scales import Scales
from edgepose.quantize.guard import CANNOT, KEPT, UNPROVEN, Bound
from edgepose.quantize.search import Candidate, Measured

PROVEN = {"pck@0.2": Bound(value=1.0, low=0.999, floor=0.995, needed=None)}
PASSING = {"pck@0.2": Bound(value=0.999, low=0.99, floor=0.995, needed=2000)}
FAILING = {"pck@0.2": Bound(value=0.98, low=0.97, floor=0.995, needed=None)}


@pytest.mark.parametrize(
    "tested, more",
    [
        ([PROVEN], True),
        ([PROVEN, PROVEN], True),
        ([PROVEN, PASSING], False),
        ([PASSING], True),
        ([PASSING, PASSING], True),
        ([PASSING, FAILING], False),
        ([FAILING], False),
    ],
)
def test_testing_stops_where_no_later_candidate_can_be_chosen(tested: list[dict[str, Bound]], more: bool) -> None:
    assert _worth_going_on(tested) is more


def test_the_reason_names_the_metrics_that_fail_and_by_how_much() -> None:
    other = {"pck@0.1": Bound(value=1.0, low=0.999, floor=0.995, needed=None)}
    said = reason_for(CANNOT, [{**FAILING, **other}], 0.97)
    assert "pck@0.2 keeps 98.00%, 1.50 points less than the 99.50% asked for" in said
    assert "pck@0.1" not in said and "--guard" not in said
    assert reason_for(KEPT, [PROVEN], 0.97) == reason_for(UNPROVEN, [PASSING], None) == ""


@pytest.mark.parametrize("answer", [CANNOT, UNPROVEN])
def test_the_reason_says_where_the_float_network_is_unsure_of_its_own_joints(answer: str) -> None:
    said = reason_for(answer, [FAILING], 0.7)
    assert "pck@0.2 70.00% on its own joints" in said and "--guard KIND:PATH" in said


def test_the_reason_says_where_nobody_was_found() -> None:
    assert "nothing was compared" in reason_for(UNPROVEN, [{}], None)
    assert "--guard KIND:PATH" in reason_for(UNPROVEN, [{}], None)


def test_a_candidate_keeps_what_the_search_measured() -> None:
    scales = Scales(
        onnx_sha256="", preprocessing_sha256="", image_list_sha256="", method="minmax", images=1, tensors={}
    )  # fmt: skip
    measured = Measured(error=float("nan"), hard=0.1)
    candidate = Candidate(keep_float={}, error=0.1, measured=measured, int8_share=0.4, time=0.7)
    result = Step(scales=scales, candidate=candidate).result(3, PASSING)
    assert (result.float_layers, result.int8_share, result.time, result.output_error) == (3, 0.4, 0.7, None)
    assert result.metrics["pck@0.2"].bound == 0.99 and result.metrics["pck@0.2"].images_needed == 2000


@pytest.mark.parametrize("name, beside", [("scales.json", "guard.json"), ("lite.scales.json", "lite.guard.json")])
def test_the_certificate_lies_beside_its_scales(name: str, beside: str) -> None:
    assert certificate_beside(Path("zoo") / name) == Path("zoo") / beside


def test_what_calibration_keeps_in_float_stays_and_what_a_search_chose_does_not() -> None:
    scales = Scales(
        onnx_sha256="a", preprocessing_sha256="b", image_list_sha256="c", method="minmax", images=40, tensors={},
        keep_float={"/add": "sum: one input reaches 9 and the other 2", "/conv": "search: 30 % of the error"},
        bias={"/other": [1.0]}, bias_placement="d", int8_ends=("/stem",),
    )  # fmt: skip
    found = without_search(scales)
    assert list(found.keep_float) == ["/add"] and not found.bias and not found.bias_placement
    assert not found.int8_ends


def test_bias_corrections_of_the_search_are_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Scales] = []

    def corrected(model: Any, scales: Scales, *_: Any) -> Scales:
        made.append(scales)
        return replace(scales, bias={"/conv": [2.0]}, bias_placement="b")

    monkeypatch.setattr("edgepose.quantize.corrected", corrected)
    monkeypatch.setattr("edgepose.api.search.spread_crops", lambda feed, *counts: (None,))
    monkeypatch.setattr("edgepose.graph.prepare.prepare", lambda model: model)
    scales = Scales(
        onnx_sha256="", preprocessing_sha256="", image_list_sha256="", method="minmax", images=1, tensors={}
    )  # fmt: skip
    known = replace(scales, bias={"/conv": [1.0]}, bias_placement="a")
    candidate = Candidate(
        keep_float={}, error=0.1, measured=Measured(error=0.1, hard=0.1), int8_share=0.4, time=0.7, corrected=known
    )
    feed: Any = object()
    nothing: Any = None
    found, test = Found(scales=scales, feed=feed), candidates.Test(kind="none")
    task = Task(model=nothing, spec=nothing, choices=nothing, found=found, floors={}, test=test)
    assert task.corrected(Step(scales=scales, candidate=candidate)).scales == known and not made
    resumed = task.corrected(Step(scales=scales, candidate=replace(candidate, corrected=None))).scales
    assert (resumed.bias, resumed.bias_placement) == ({"/conv": [2.0]}, "b") and len(made) == 1
