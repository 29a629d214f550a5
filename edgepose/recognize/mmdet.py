"""Detectors that mmdeploy exports: RTMDet (Lyu et al., 2022) and YOLOX (Ge et al., 2021), also trained on HumanArt.

Outputs `dets` [N, n, 5] of x0, y0, x1, y1, score in pixels of the input and `labels` [N, n]; suppression of boxes is
inside the graph. It is moved into the codec, with its threshold, so that the number of boxes is fixed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.codecs.onestage import suppress
from edgepose.graph.adapters.detectors import (
    Suppression,
    before_suppression,
    labeled_boxes,
    suppression_inside,
)
from edgepose.recognize.candidate import FILES, NAMES, Candidate, Guess, Port, Recognized, candidate_of
from edgepose.recognize.classes import classes_of
from edgepose.recognize.detector import (
    BGR_0_255,
    BGR_IMAGENET,
    COCO_PERSON,
    TOP_LEFT,
    Pixels,
    crop_guess,
    detector_contract,
    person_guess,
    pixel_guesses,
    size_guess,
    stem_of,
)
from edgepose.recognize.pipeline import pipeline_of
from edgepose.recognize.ports import Image, float_image, outputs_of_noise

if TYPE_CHECKING:
    import onnx

    from edgepose.pose.geometry import Size
    from edgepose.recognize.pipeline import Pipeline

SCORE = 0.3  # of rtmlib, which runs these detectors in front of RTMPose
SMALL = 2_000_000  # weights; RTMDet-nano has 1 million and the next larger one 4.8 million
TOLERANCE_PX = 0.01


class MmdetFamily:
    """RTMDet and YOLOX of mmdetection."""

    name = "mmdet-detector"

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Return the contract of a network with the outputs `dets` and `labels`, see `Family.recognize`."""
        pipeline = pipeline_of(candidate)
        ports = _ports(candidate, pipeline)
        image = float_image(candidate)
        if ports is None or image is None:
            return None
        rtmdet = any(node.op_type == "HardSigmoid" for node in candidate.model.graph.node)
        size, guesses = _size(candidate, image, pipeline, rtmdet)
        pixels, more = _pixels(pipeline, rtmdet)
        model, suppression = _rewritten(candidate, image, size, *ports)
        spec = detector_contract(
            stem_of(candidate, "rtmdet" if rtmdet else "yolox"), image, size, model,
            pixels=pixels, crop=TOP_LEFT, score_threshold=SCORE,
            iou_threshold=None if suppression is None else suppression.iou_threshold,
        )  # fmt: skip
        source = NAMES if pipeline is None else FILES
        person = person_guess(
            candidate, COCO_PERSON, "mmdetection's person detectors and those of COCO have people first"
        )
        placed = crop_guess(TOP_LEFT, "rtmlib and mmdetection place the image so; no file says it")
        return Recognized(
            family=self.name, source=source, model=model, spec=spec, guesses=(*guesses, *more, placed, *person)
        )


def _ports(candidate: Candidate, pipeline: Pipeline | None) -> tuple[Port, Port] | None:
    """Return the outputs of boxes and of classes, which pipeline.json may rename."""
    names = {} if pipeline is None else pipeline.outputs
    found = {names.get(port.name, port.name): port for port in candidate.outputs}
    dets, labels = found.get("dets"), found.get("labels")
    if dets is None or labels is None or len(found) != 2:
        return None
    fits = len(dets.shape) in (0, 3) and len(labels.shape) in (0, 2)
    return (dets, labels) if fits else None


def _size(
    candidate: Candidate, image: Image, pipeline: Pipeline | None, rtmdet: bool
) -> tuple[Size, tuple[Guess, ...]]:
    if image.size is not None:
        return image.size, ()
    if pipeline is not None and pipeline.size is not None:
        return image.sized(pipeline.size), ()
    small = sum(int(np.prod(tensor.dims)) for tensor in candidate.model.graph.initializer) < SMALL
    side = (320 if small else 640) if rtmdet else 640
    size = image.sized((side, side))
    what = ("RTMDet-nano" if small else "RTMDet") if rtmdet else "YOLOX"
    return size, (size_guess(size, f"the graph takes any size; {what} is published for this one"),)


def _pixels(pipeline: Pipeline | None, rtmdet: bool) -> tuple[Pixels, tuple[Guess, ...]]:
    if pipeline is not None and pipeline.normalize is None:
        return BGR_0_255, ()
    if pipeline is not None and pipeline.normalize is not None:
        said = pipeline.normalize
        return Pixels(color=said.color, mean=said.mean, std=said.std), ()
    if rtmdet:
        return BGR_IMAGENET, pixel_guesses(BGR_IMAGENET, "those of RTMDet, since the graph has a HardSigmoid")
    return BGR_0_255, pixel_guesses(BGR_0_255, "those of YOLOX, since the graph has no HardSigmoid, as RTMDet has")


def _rewritten(
    candidate: Candidate, image: Image, size: Size, dets: Port, labels: Port
) -> tuple[onnx.ModelProto, Suppression | None]:
    """Cut the graph in front of its suppression, if it then finds the same people; else keep its own answer."""
    inside, people = suppression_inside(candidate.model), classes_of(candidate, COCO_PERSON)
    if inside is not None:
        made = before_suppression(candidate.model, people)
        if _same_people(candidate, made, image, size, (dets.name, labels.name), inside):
            return made, inside
    return labeled_boxes(candidate.model, dets.name, labels.name, people), None


def _same_people(
    candidate: Candidate, made: onnx.ModelProto, image: Image, size: Size, names: tuple[str, str], inside: Suppression
) -> bool:
    """Whether the rewritten graph and the suppression of the codec give what the graph gives, for an image of noise."""
    found = outputs_of_noise(candidate, image, size)
    rows = outputs_of_noise(candidate_of(made), image, size)
    if not found or not rows:
        return False
    (output,) = rows.values()
    dets, labels = found[names[0]][0], found[names[1]][0]
    if output.ndim != 3 or output.shape[2] != 5:
        return False
    expected = dets[np.isin(labels, classes_of(candidate, COCO_PERSON)) & (dets[:, 4] > inside.score_threshold)]
    kept = suppress(output[0, :, :4], output[0, :, 4], inside.score_threshold, inside.iou_threshold, len(output[0]))
    return _agree(expected - np.array([0.5, 0.5, 0.5, 0.5, 0], expected.dtype), output[0, kept])


def _agree(expected: Array, found: Array) -> bool:
    """Whether the best boxes are the same. The graph may return only its best ones."""
    if len(found) < len(expected):
        return False
    return bool(np.allclose(expected, found[: len(expected)], atol=TOLERANCE_PX))


FAMILY = MmdetFamily()
