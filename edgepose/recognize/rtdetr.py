"""RT-DETR (Zhao et al., CVPR 2024) and D-FINE (Peng et al., 2024), as their own exporters write them.

Inputs `images` [N, 3, H, W] and `orig_target_sizes` [N, 2], outputs `labels` [N, Q], `boxes` [N, Q, 4] in pixels of
that size and `scores` [N, Q]. The size becomes a constant, that of the input.
"""

from __future__ import annotations

from dataclasses import replace

from edgepose.graph.adapters.detectors import queries
from edgepose.recognize.candidate import NAMES, Candidate, Recognized
from edgepose.recognize.classes import classes_of
from edgepose.recognize.detector import (
    COCO_PERSON,
    RGB_0_1,
    STRETCH,
    crop_guess,
    detector_contract,
    person_guess,
    pixel_guesses,
    size_guess,
    stem_of,
)
from edgepose.recognize.ports import float_image

OUTPUTS = ("labels", "boxes", "scores")
SIDE = 640
SCORE = 0.5  # of the demos


class RtDetrFamily:
    """RT-DETR and D-FINE."""

    name = "rt-detr"

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Return the contract of an RT-DETR or D-FINE network, see `Family.recognize`."""
        sizes = [port for port in candidate.inputs if port.dtype == "int64" and len(port.shape) == 2]
        if {port.name for port in candidate.outputs} != set(OUTPUTS) or len(sizes) != 1:
            return None
        others = tuple(port for port in candidate.inputs if port not in sizes)
        image = float_image(replace(candidate, inputs=others))
        if image is None:
            return None
        size = image.sized((SIDE, SIDE))
        names = {name: name for name in OUTPUTS} | {"size": sizes[0].name}
        model = queries(candidate.model, names, size, classes_of(candidate, COCO_PERSON))
        spec = detector_contract(
            stem_of(candidate, "rt-detr"), image, size, model,
            pixels=RGB_0_1, crop=STRETCH, score_threshold=SCORE, iou_threshold=None,
        )  # fmt: skip
        guesses = (
            *pixel_guesses(RGB_0_1, "those of RT-DETR and D-FINE"),
            crop_guess(STRETCH, "RT-DETR resizes images without keeping their aspect ratio"),
            *person_guess(candidate, COCO_PERSON, "the first class of COCO and of Objects365"),
            *(
                ()
                if image.size
                else (size_guess(size, "the graph takes any size; the networks are published for this one"),)
            ),
        )
        return Recognized(family=self.name, source=NAMES, model=model, spec=spec, guesses=guesses)


FAMILY = RtDetrFamily()
