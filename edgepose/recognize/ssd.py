"""SSD (Liu et al., ECCV 2016) with its DetectionOutput: [1, 1, M, 7].

A row is the number of the image, the class with 0 for the background, the score, and x0, y0, x1, y1 as fractions of the
image. Rows behind the last box have the image -1 or are zeros.
"""

from __future__ import annotations

from edgepose.graph.adapters.detectors import rows_with_class
from edgepose.recognize.candidate import SHAPES, Candidate, Recognized
from edgepose.recognize.classes import classes_of
from edgepose.recognize.detector import (
    BGR_0_255,
    STRETCH,
    crop_guess,
    detector_contract,
    only_output,
    person_guess,
    pixel_guesses,
    stem_of,
)
from edgepose.recognize.ports import fixed

PERSON = 1  # behind the background
SCORE = 0.3


class SsdFamily:
    """SSD with suppression inside."""

    name = "ssd"
    usual_size = (300, 300)

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Return the contract of an SSD network, see `Family.recognize`."""
        ports = only_output(candidate)
        if ports is None:
            return None
        image, size, output = ports
        shape = output.shape
        batch = shape[0] if shape else 0
        if len(shape) != 4 or shape[1] != 1 or shape[3] != 7 or not fixed(shape[2]):
            return None
        if fixed(batch) and batch != 1:
            return None
        model = rows_with_class(
            candidate.model, output.name, classes_of(candidate, PERSON),
            boxes=(3, 4, 5, 6), score=2, label=1, size=size,
        )  # fmt: skip
        spec = detector_contract(
            stem_of(candidate, "ssd"), image, size, model,
            pixels=BGR_0_255, crop=STRETCH, score_threshold=SCORE, iou_threshold=None,
        )  # fmt: skip
        guesses = (
            *pixel_guesses(BGR_0_255, "those of SSD in OpenVINO's model zoo; other exports differ"),
            crop_guess(STRETCH, "SSD resizes images without keeping their aspect ratio"),
            *person_guess(candidate, PERSON, "the first class behind the background"),
        )
        return Recognized(family=self.name, source=SHAPES, model=model, spec=spec, guesses=guesses)


FAMILY = SsdFamily()
