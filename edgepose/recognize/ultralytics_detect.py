"""Detectors of Ultralytics: YOLOv8, 11, 12 and 26, as `model.export(format="onnx")` writes them.

The metadata says `task` = detect, the classes and the size. The output is [N, 4 + classes, A] of centers, sizes and
scores, or [N, 300, 6] of corners, score and class where boxes are suppressed inside (`nms=True`) or need not be
(YOLOv10 and 26). Without metadata, only detectors of COCO's 80 classes or of one class are taken, and what DeepStream's
exporter makes of them: [N, A, 6].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgepose.errors import SpecError
from edgepose.graph.adapters.detectors import channels_first, grid_of, rows_with_class
from edgepose.recognize.candidate import METADATA, SHAPES, Candidate, Guess, Recognized
from edgepose.recognize.classes import classes_of
from edgepose.recognize.detector import (
    CENTER,
    COCO_PERSON,
    RGB_0_1,
    crop_guess,
    detector_contract,
    person_guess,
    pixel_guesses,
    stem_of,
)
from edgepose.recognize.literals import is_whole, literal, size_of
from edgepose.recognize.ports import Image, float_image, output_shapes, outputs_of_noise

if TYPE_CHECKING:
    import onnx

    from edgepose.pose.geometry import Size

SCORE, IOU = 0.25, 0.7  # of Ultralytics' predict mode
STRIDES = (8, 16, 32)
CLASSES = (1, 80)  # that a network without metadata may have


class UltralyticsDetectFamily:
    """YOLO detectors of Ultralytics."""

    name = "ultralytics-detect"

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Return the contract of a detector of Ultralytics, see `Family.recognize`."""
        task = candidate.metadata.get("task")
        image = float_image(candidate)
        if image is None or len(candidate.outputs) != 1 or task not in (None, "detect"):
            return None
        if task is None and image.size is None:
            return None
        size, sized = size_of(candidate, image)
        (shape,) = output_shapes(candidate, image, size).values() or ((),)
        if task is None and not _fits(shape, size):
            return None
        people, guesses = _person(candidate) if task is not None else _assumed(candidate, shape)
        classes = None if task is None else len(_names(candidate)) or None
        if task is None and len(shape) == 3 and shape[2] == 6 and not _names_classes(candidate, image, size):
            return None
        found = _rewritten(candidate, shape, size, people, classes, known=task is not None)
        if found is None:
            return None
        model, iou_threshold = found
        spec = detector_contract(
            stem_of(candidate, "yolo"), image, size, model,
            pixels=RGB_0_1, crop=CENTER, score_threshold=SCORE, iou_threshold=iou_threshold,
        )  # fmt: skip
        source = SHAPES if task is None else METADATA
        return Recognized(family=self.name, source=source, model=model, spec=spec, guesses=(*guesses, *sized))


def _rewritten(
    candidate: Candidate,
    shape: tuple[int, ...],
    size: Size,
    people: tuple[int, ...],
    classes: int | None,
    *,
    known: bool,
) -> tuple[onnx.ModelProto, float | None] | None:
    """Return the rewritten graph and the threshold of suppression; None for another output."""
    output = candidate.outputs[0].name
    anchors = len(grid_of(size, STRIDES))
    if len(shape) != 3:
        return None
    if shape[2] == 6 and (known or shape[1] in (300, anchors)):
        return rows_with_class(candidate.model, output, people), IOU if shape[1] == anchors else None
    wanted = (classes,) if classes else CLASSES
    if shape[2] == anchors and shape[1] - 4 in wanted:
        return channels_first(candidate.model, output, people), IOU
    if known:
        raise SpecError(
            f"{candidate.path}: its metadata says that it is a detector of {classes} classes for {list(size)}, but its "
            f"output is {list(shape)}; a detector gives [1, {4 + (classes or 0)}, {anchors}] or [1, 300, 6]: export it "
            "again"
        )
    return None


def _fits(shape: tuple[int, ...], size: Size) -> bool:
    """Whether an output of a network without metadata can be that of a detector."""
    anchors = len(grid_of(size, STRIDES))
    if len(shape) != 3:
        return False
    return (shape[2] == 6 and shape[1] in (300, anchors)) or (shape[2] == anchors and shape[1] - 4 in CLASSES)


def _names_classes(candidate: Candidate, image: Image, size: Size) -> bool:
    """Whether the last of six numbers is a class: a YOLOX of one class has the score of its class there."""
    (rows,) = outputs_of_noise(candidate, image, size).values() or (None,)
    return rows is not None and bool((rows[..., 5] == np.round(rows[..., 5])).all())


def _names(candidate: Candidate) -> dict[int, str]:
    value = literal(candidate, "names")
    pairs = enumerate(value) if isinstance(value, (list, tuple)) else value.items() if isinstance(value, dict) else ()
    return {key: str(name) for key, name in pairs if is_whole(key)}


def _person(candidate: Candidate) -> tuple[tuple[int, ...], tuple[Guess, ...]]:
    """Return the classes that the user names, or that named "person"; the first one, as a guess, where none is."""
    names = _names(candidate)
    if candidate.classes:
        return classes_of(candidate, COCO_PERSON, names=names), ()
    found = [key for key, name in names.items() if name.lower() == "person"]
    if found:
        return (found[0],), ()
    if len(names) > 1:
        listed = ", ".join(list(names.values())[:8])
        raise SpecError(f"{candidate.path} detects {listed}; none of its classes is named person")
    shown = f", {names[0]!r}, is the only one" if 0 in names else " is taken, since its metadata names none"
    return (COCO_PERSON,), person_guess(candidate, COCO_PERSON, f"the first class{shown}")


def _assumed(candidate: Candidate, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[Guess, ...]]:
    why = "those of Ultralytics, since the output has the shape of its detectors and there is no metadata"
    placed = crop_guess(CENTER, "Ultralytics places the image so")
    person = person_guess(candidate, COCO_PERSON, "the first class of COCO")
    count = shape[1] - 4 if len(shape) == 3 and shape[2] != 6 else None
    return classes_of(candidate, COCO_PERSON, count=count), (*pixel_guesses(RGB_0_1, why), placed, *person)


FAMILY = UltralyticsDetectFamily()
