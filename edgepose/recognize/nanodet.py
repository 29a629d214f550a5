"""NanoDet and NanoDet-Plus: [N, A, classes + 32], class scores and four distributions of 8 bins over distances.

NanoDet-Plus has grids of stride 8, 16, 32 and 64, and NanoDet those of 8, 16 and 32. The corners of boxes are counted
from the corner of the cell in NanoDet-Plus and from its middle in NanoDet.
"""

from __future__ import annotations

import numpy as np

from edgepose.graph.adapters.detectors import distances
from edgepose.recognize.candidate import SHAPES, Candidate, Recognized
from edgepose.recognize.cells import cells_of
from edgepose.recognize.classes import classes_of
from edgepose.recognize.detector import (
    BGR_IMAGENET,
    COCO_PERSON,
    STRETCH,
    crop_guess,
    detector_contract,
    person_guess,
    pixel_guesses,
    stem_of,
)

BINS = 8
SCORE, IOU = 0.35, 0.6  # of NanoDet's demo and its suppression
PLUS, FIRST = (8, 16, 32, 64), (8, 16, 32)


class NanoDetFamily:
    """NanoDet and NanoDet-Plus."""

    name = "nanodet"
    usual_size = (416, 416)

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Return the contract of a NanoDet network, see `Family.recognize`."""
        cells = cells_of(candidate, (PLUS, FIRST))
        if cells is None or cells.columns <= 4 * BINS:
            return None
        classes, rows = cells.columns - 4 * BINS, cells.of_noise(candidate)
        if rows is None or not _has_scores_and_bins(rows, classes):
            return None
        grid = cells.grid
        if cells.strides == FIRST:
            grid[:, :2] += 0.5
        people = classes_of(candidate, COCO_PERSON, count=classes)
        model = distances(candidate.model, cells.output, grid, people, classes=classes, bins=BINS)
        spec = detector_contract(
            stem_of(candidate, "nanodet"), cells.image, cells.size, model,
            pixels=BGR_IMAGENET, crop=STRETCH, score_threshold=SCORE, iou_threshold=IOU,
        )  # fmt: skip
        guesses = (
            *pixel_guesses(BGR_IMAGENET, "those of NanoDet"),
            crop_guess(STRETCH, "the published NanoDet networks are trained with keep_ratio = False"),
            *person_guess(candidate, COCO_PERSON, "the first class of COCO"),
        )
        return Recognized(family=self.name, source=SHAPES, model=model, spec=spec, guesses=guesses)

    def near(self, candidate: Candidate) -> str | None:
        """Say why an output of as many rows as NanoDet has cells is not taken, see `registry.Explaining.near`."""
        cells = cells_of(candidate, (PLUS, FIRST))
        if cells is None or cells.columns not in (1 + 4 * BINS, 80 + 4 * BINS):
            return None
        return f"its first {cells.columns - 4 * BINS} columns are not all scores between 0 and 1"


def _has_scores_and_bins(rows: np.ndarray, classes: int) -> bool:
    """Whether the first columns are scores from 0 to 1, and the others are not."""
    scores, bins = rows[:, :classes], rows[:, classes:]
    inside = bool((scores >= 0).all() and (scores <= 1).all())
    return inside and bool(np.isfinite(bins).all()) and bool(((bins < 0) | (bins > 1)).any())


FAMILY = NanoDetFamily()
