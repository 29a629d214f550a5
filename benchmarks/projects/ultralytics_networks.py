"""Ultralytics: its predict mode on ONNX exports of its own networks with random weights.

    pip install --no-deps ultralytics==8.4.190 polars psutil requests pyyaml   # AGPL-3.0; nothing of it is copied here

The network's batch norms get the statistics of random images and its class scores no bias, so that thousands of
candidates pass the threshold. Ultralytics counts pixels from the edge of the image and clips to it; edgepose counts
from the center of the first pixel and does not clip. Both are undone before the comparison.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgepose._checks import Array
from projects.comparison import Comparison, Subject, apart, levels, ours, picture
from projects.torchvision_nms import stand_in

SIZE = (256, 320)  # (height, width) of the exports
FRAMES = ((360, 640), (491, 333))
POSE = ("yolov8n-pose", "yolo11n-pose", "yolo12n-pose", "yolo26n-pose")
FORMS: dict[str, dict[str, Any]] = {"raw": {}, "end2end": {"nms": False}, "nms": {"nms": True}}
PEOPLE, CLASSES = 300, 80
SOFTER = 30  # by which class scores are divided before the sigmoid: those that are 1 in float32 have no order
EVERY = "every class of a box counts, as in the project's validation; its predict mode keeps the best class alone"
EQUAL = "equal scores were made different in both, since candidates of equal scores have no order"
DETECT = ("yolo11n", "yolo26n")


def compare(folder: Path) -> Iterator[Comparison]:
    """Compare all networks.

    Args:
        folder: A folder for the exports.
    """
    stand_in()
    for form, name in itertools.product(FORMS, (*POSE, *DETECT)):
        if form == "end2end" and "26" not in name:
            continue  # the others have no head that needs no suppression
        path = exported(name, form, FORMS[form], folder)
        for height, width in FRAMES:
            yield from _compared(path, f"{name} {form}, {width}x{height}", picture(height, width))


def exported(name: str, form: str, options: dict[str, Any], folder: Path) -> Path:
    """Export a network with random weights.

    Args:
        name: The name of its configuration, for example "yolo11n-pose".
        form: The name of the form, which becomes part of the file's name.
        options: Arguments of Ultralytics' export.
        folder: Where the file is written.
    """
    import torch
    import yaml
    from ultralytics import YOLO
    from ultralytics.utils import ROOT

    plain = name.replace("8n", "8").replace("11n", "11").replace("12n", "12").replace("26n", "26")
    found = next((ROOT / "cfg" / "models").rglob(f"{plain}.yaml"))
    where = folder / form
    where.mkdir(exist_ok=True)
    config, made = where / f"{name}.yaml", where / f"{name}.onnx"
    if made.exists():
        return made
    classes = 1 if "pose" in name else CLASSES
    config.write_text(yaml.safe_dump(yaml.safe_load(found.read_text()) | {"nc": classes}))
    torch.manual_seed(0)
    model = YOLO(str(config))
    _statistics(model.model)
    model.model.names = {0: "person"} | {at: f"thing {at}" for at in range(1, classes)}
    given = {"imgsz": list(SIZE), "simplify": False, "opset": 17, "verbose": False, **options}
    if options.get("nms"):
        given |= {"conf": 0.25, "iou": 0.7}
    shutil.move(model.export(format="onnx", **given), made)  # it is written to the current folder
    return made


def _statistics(model: Any) -> None:
    """Give the batch norms the statistics of random images, and the scores of the classes no bias."""
    import torch

    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    moments = [module.momentum for module in norms]
    for module in norms:
        module.momentum = 1.0
    model.train()
    with torch.no_grad():
        model(torch.rand(2, 3, *SIZE))
    for module, momentum in zip(norms, moments, strict=True):
        module.momentum = momentum
    model.eval()
    head = model.model[-1]
    for branch in (head.cv3, getattr(head, "one2one_cv3", None)):
        for layers in branch or ():
            torch.nn.init.zeros_(layers[-1].bias)
            layers[-1].weight.data /= SOFTER


def _compared(path: Path, network: str, image: Array) -> Iterator[Comparison]:
    import ultralytics
    from ultralytics import YOLO

    pose = "pose" in network
    peer = YOLO(str(path), task="pose" if pose else "detect")
    runs: list[tuple[Array, Array]] = []
    separated = pose and " raw" in network
    peer.add_callback("on_predict_start", lambda predictor: _watch(predictor.model.backend, runs, separated))
    result = peer.predict(image, imgsz=list(SIZE), conf=0.25, iou=0.7, rect=False, verbose=False)[0]
    canvas, output = runs[-1]
    its = ours(path, image, canvas, changed={"max_people": PEOPLE}, apart=apart if separated else None)
    subject = Subject(project="ultralytics", version=ultralytics.__version__, network=network)
    height, width = image.shape[:2]
    edge = np.array([width, height, width, height], np.float32)
    boxes, scores = result.boxes.xyxy.numpy(), result.boxes.conf.numpy()
    note = EQUAL if separated else ""
    if not pose:
        person = result.boxes.cls.numpy() == 0
        boxes, scores = boxes[person], scores[person]
    if " raw" in network and not pose:
        boxes, scores, note = *_of_every_class(output, image), EVERY
    found = its.poses
    clipped = np.clip(found.boxes_xyxy + 0.5, 0, edge)
    if len(boxes) or len(clipped):  # random weights may find no person in either
        yield subject.compared(its.family, "boxes", clipped, boxes, note=note)
        yield subject.compared(its.family, "scores", found.box_scores, scores, unit="", note=note)
    if pose:
        theirs = result.keypoints.data.numpy()
        joints = np.clip(found.xy_image + 0.5, 0, edge[:2])
        yield subject.compared(its.family, "joints", joints, theirs[..., :2], note=note)
        yield subject.compared(its.family, "joint scores", found.scores, theirs[..., 2], unit="", note=note)
    note = "OpenCV rounds to whole levels"
    yield subject.compared(its.family, "input", *levels(its.input, canvas, its.spec), unit="gray levels", note=note)


def _of_every_class(output: Array, image: Array) -> tuple[Array, Array]:
    """Return the boxes and scores of people by the rule of Ultralytics' validation.

    Args:
        output: [1, 4 + classes, A], what the network returned.
        image: [H, W, 3].
    """
    import torch
    from ultralytics.utils import nms, ops

    (rows,) = nms.non_max_suppression(
        torch.from_numpy(output.copy()), 0.25, 0.7, classes=[0], multi_label=True, max_det=PEOPLE, nc=CLASSES
    )
    return ops.scale_boxes(SIZE, rows[:, :4], image.shape).numpy(), rows[:, 4].numpy()


def _watch(backend: Any, runs: list[tuple[Array, Array]], separated: bool) -> None:
    """Keep what an ONNX Runtime session is fed with, and its first output; make equal scores of people different."""
    session = backend.session
    if isinstance(session, Watched):
        return
    backend.session = Watched(session, runs, separated)


class Watched:
    """An ONNX Runtime session that keeps what it is fed with, and its first output; see `_watch`."""

    def __init__(self, session: Any, runs: list[tuple[Array, Array]], separated: bool) -> None:
        self._watched, self._runs, self._separated = session, runs, separated

    def __getattr__(self, name: str) -> Any:
        return getattr(self._watched, name)

    def run(self, names: Any, feed: dict[str, Array], *rest: Any) -> Any:
        """Run the session."""
        outputs = self._watched.run(names, feed, *rest)
        if self._separated:
            outputs[0][:, 4] = apart(outputs[0][:, 4])
        self._runs.append((next(iter(feed.values())).copy(), outputs[0].copy()))
        return outputs
