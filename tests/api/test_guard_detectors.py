"""The guard of networks that find people: INT8 has to find those whom the float network finds in moved images."""

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
from edgepose.artifacts.certificate import BOXES, LABELS
from edgepose.artifacts.spec import ModelSpec, spec_from_dict
from edgepose.datasets.samples import Sample, SampleList
from edgepose.errors import UsageError
from edgepose.measure.boxes import CORNERS
from edgepose.measure.predictions import Detected, Engine
from edgepose.pose.skeletons import Skeleton
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
    assert floors_for(request, contract()) == {"box_ap": 0.98}
    lsp = replace(contract(), skeleton=spec_from_dict({"name": "a", "skeleton": "lsp14"}, "x").skeleton)
    assert "pck@0.1" in floors_for(request, lsp)
    wrong = build_request("net.onnx", "out", BuildOptions(keep_metric=("pck@0.1",)))
    with pytest.raises(UsageError, match=r"is about joints, and net\.onnx finds boxes without joints"):
        floors_for(wrong, contract())


@pytest.mark.parametrize(
    ("images", "lost", "answer"), [(800, 0, KEPT), (100, 0, UNPROVEN), (100, 1, UNPROVEN), (100, 30, CANNOT)]
)
@pytest.mark.parametrize("kind", [BOXES, LABELS])
def test_the_answer_depends_on_who_is_lost(
    images: int, lost: int, answer: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each image shows one person, whom the float network finds wherever it stands, and INT8 in all but some."""
    boxes = np.tile([10.0, 10, 50, 90], (images, 1))
    number, seen = np.arange(images), np.arange(lost, images)
    data = photographs(images, boxes[0])

    def run(self: Task, graph: Any, name: str, several: Any) -> list[Detected]:
        first = people(boxes, number) if name == "float network" else people(boxes[lost:], seen)
        moved = []
        for given in several[1:]:
            for picture in given.empty:
                assert picture.read().shape[0] >= 96
            shift = [[*border_of(given, i), *border_of(given, i)] for i in range(images)]
            moved.append(people(boxes + shift, number))
        return [first, *moved]

    monkeypatch.setattr(Task, "_run", run)
    monkeypatch.setattr(Task, "float_layers", lambda self, step: 3)
    monkeypatch.setattr("edgepose.quantize.quantize", lambda *given: None)
    scales: Any = SimpleNamespace(onnx_sha256="")
    task = Task(
        model=None, spec=contract(), choices=None, found=Found(scales=scales),  # type: ignore[arg-type]
        floors={"box_ap": 0.995}, test=candidates.Test(kind=kind, data=data, images=images),
    )  # fmt: skip
    certificate = task.run([Step(scales=scales)]).certificate
    assert certificate is not None
    assert certificate.answer == answer
    assert certificate.people == images
    kept = certificate.candidates[0].metrics["box_ap"].retention
    assert kept == pytest.approx(1 - lost / images, abs=0.01)  # AP is a mean over 101 recalls
    about = "predicted without labels, from the boxes" if kind == BOXES else "measured on labeled people"
    assert about in certificate.lines()[0]


def photographs(images: int, box: Array) -> SampleList:
    samples = tuple(
        Sample(
            image_id=i, name=f"{i}.jpg", read=lambda: np.zeros((96, 64, 3), np.uint8), xy_image=np.zeros((1, 2)),
            labeled=np.ones(1, bool), occluded=np.zeros(1, bool), box_xyxy=box.astype(np.float32), area=3200.0,
        )
        for i in range(images)
    )  # fmt: skip
    skeleton = Skeleton(name="one", joints=("nose",))
    return SampleList(name="photos", skeleton=skeleton, samples=samples, image_ids=tuple(range(images)))


def border_of(data: SampleList, number: int) -> tuple[int, int]:
    """Where a black image begins in its border of level 0 is not seen; the border itself says it."""
    read: Any = data.empty[number].read
    return read.border.before((96, 64))  # type: ignore[no-any-return]
