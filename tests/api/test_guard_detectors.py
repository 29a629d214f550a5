"""The guard of person detectors: INT8 has to find the people whom the float network finds."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgepose._checks import Array
from edgepose.api import candidates
from edgepose.api.candidates import Task
from edgepose.api.guard import floors_for
from edgepose.api.guarded import Found, Step
from edgepose.api.request import BuildOptions, build_request
from edgepose.artifacts.certificate import BOXES
from edgepose.artifacts.spec import ModelSpec, spec_from_dict
from edgepose.errors import UsageError
from edgepose.measure.boxes import CORNERS
from edgepose.measure.predictions import Detected, Engine
from edgepose.quantize.guard import CANNOT, KEPT, UNPROVEN


def contract() -> ModelSpec:
    value = {"name": "net", "skeleton": "person", "codec": {"type": "onestage"}, "outputs": ["detections"]}
    return spec_from_dict(value, "net.toml")


def people(boxes: Array, image: Array) -> Detected:
    return Detected(
        engine=Engine(path="", precision="int8", backend="", onnx_sha256="", skeleton=CORNERS),
        boxes="the network itself", image=image, xy_image=boxes.reshape(-1, 2, 2), scores=np.ones((len(boxes), 2)),
        box_scores=np.full(len(boxes), 0.9), area=np.ones(len(boxes)), grouped=True,
    )  # fmt: skip


def test_what_int8_has_to_keep_is_people() -> None:
    request = build_request("net.onnx", "out", BuildOptions(keep=98.0))
    assert floors_for(request, contract()) == {"boxes@0.5": 0.98, "boxes@0.75": 0.0}
    lsp = replace(contract(), skeleton=spec_from_dict({"name": "a", "skeleton": "lsp14"}, "x").skeleton)
    assert "pck@0.1" in floors_for(request, lsp)
    wrong = build_request("net.onnx", "out", BuildOptions(keep_metric=("pck@0.1",)))
    with pytest.raises(UsageError, match=r"is about joints, and net\.onnx finds boxes without joints"):
        floors_for(wrong, contract())


@pytest.mark.parametrize(
    ("images", "lost", "answer"), [(3000, 0, KEPT), (100, 0, UNPROVEN), (100, 1, UNPROVEN), (100, 30, CANNOT)]
)
def test_the_answer_depends_on_who_is_lost(
    images: int, lost: int, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = np.tile([10.0, 10, 50, 90], (images, 1))
    first, found = people(boxes, np.arange(images)), people(boxes[lost:], np.arange(lost, images))
    monkeypatch.setattr(Task, "predictions", lambda self, graph, name: first if name == "float network" else found)
    monkeypatch.setattr(Task, "float_layers", lambda self, step: 3)
    monkeypatch.setattr("edgepose.quantize.quantize", lambda *given: None)
    scales: Any = SimpleNamespace(onnx_sha256="")
    task = Task(
        model=None, spec=contract(), choices=None, found=Found(scales=scales),  # type: ignore[arg-type]
        floors={"boxes@0.5": 0.995, "boxes@0.75": 0.0},
        test=candidates.Test(kind=BOXES, data=SimpleNamespace(name="photos"), images=images),  # type: ignore[arg-type]
    )  # fmt: skip
    guarded = task.run([Step(scales=scales)])
    certificate = guarded.certificate
    assert certificate is not None
    assert certificate.answer == answer
    assert certificate.people == images
    assert certificate.candidates[0].metrics["boxes@0.5"].retention == pytest.approx(1 - lost / images)
    assert "boxes of people compared with those of the float network" in certificate.lines()[0]
