"""COCO's average precision (AP) and average recall (AR) of boxes: what a person detector is measured by.

Lin et al., "Microsoft COCO", ECCV 2014, and the page of the detection task. A box that was found is right where its
intersection over union with the box of a labeled person is at least 0.5, 0.55, ... 0.95; AP and AR are means over these
ten. `COCOeval` of pycocotools with "bbox" is the reference: the best 100 boxes of an image are counted, a crowd takes
any number of boxes and compares its shared area with that of the box alone, and every person who is no crowd counts,
also one without a labeled joint. The matching and the curves are those of keypoints (`matching`, `precision`).

A box is given as its two corners: the labels and the predictions have the two joints top left and bottom right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.metrics import matching, oks, precision
from edgepose.metrics.labels import Labels
from edgepose.metrics.metric import FRACTION_OF_PEOPLE, Declaration, Metric, Plan, Predicted, Skip
from edgepose.metrics.summaries import SummaryPlan

MAX_BOXES = 100
NOTE = "people as boxes; every labeled person counts, also one without a labeled joint"


@dataclass(frozen=True, kw_only=True)
class BoxPrecision(Metric):
    """One of COCO's numbers for boxes.

    Attributes:
        summary: The field of `precision.Summary` that the metric is.
    """

    declared: Declaration = FRACTION_OF_PEOPLE
    needs: tuple[str, ...] = ("boxes",)
    references: tuple[str, ...] = (
        "Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014",
        "https://cocodataset.org/#detection-eval",
    )
    summary: str

    on_detections: ClassVar[bool] = True
    of_boxes: ClassVar[bool] = True

    def plan_on(self, labels: Labels) -> Plan | Skip:
        """Return a plan for labels with at least one person of the size that the metric is of."""
        people = int(matching.counted_people(labels.people)[precision.area_row(self.summary)].sum())
        if not people:
            return Skip(reason="no labeled person is of that size")
        return SummaryPlan(note=NOTE, summary=self.summary, people=people, labels=labels, summaries=_summaries)


def _summaries(labels: Labels, predicted: Predicted, draws: Array) -> tuple[precision.Summary, precision.Summary]:
    """Match every image once; return the numbers over all images, and over each draw."""
    assert predicted.box_scores is not None
    corners = predicted.xy_image
    found = oks.Found(image=predicted.image, xy_image=corners, score=predicted.box_scores, area=oks.extent_px2(corners))
    matches = match_boxes(labels.people, found, draws.shape[1])
    return precision.summary(matches), precision.summary(matches, draws)


def match_boxes(people: oks.People, found: oks.Found, images: int) -> matching.Matches:
    """Match the boxes of every image once.

    Args:
        people: The labels; their boxes count, and that a joint is labeled says that a person counts.
        found: The boxes that were found, their corners as two joints [D, 2, 2].
        images: Number of images, with and without people.

    Raises:
        ValueError: The predictions are no boxes.
    """
    check_array("found.xy_image", found.xy_image, ("D", 2, 2))
    boxes = found.xy_image.reshape(-1, 4).astype(np.float64)

    def similar(rows: Array, columns: Array) -> Array:
        return overlaps(boxes[rows], people.boxes_xyxy[columns].astype(np.float64), people.crowd[columns])

    return matching.match_by(similar, people, found, images, MAX_BOXES)


def overlaps(found: Array, labeled: Array, crowd: Array) -> Array:
    """Return how much P pairs of boxes overlap, as pycocotools defines it.

    Args:
        found: [P, 4] float, the boxes found, x0 y0 x1 y1.
        labeled: [P, 4] float, the labeled boxes.
        crowd: [P] bool, which of these are crowds, of which a box may be a part.

    Returns:
        [P] float64: the intersection over the union, or over the box found where the label is a crowd. 0 where a box is
        not finite.
    """
    finite: Array = np.asarray(np.isfinite(found).all(axis=1) & np.isfinite(labeled).all(axis=1))
    a, b = np.where(finite[:, None], found, 0.0), np.where(finite[:, None], labeled, 0.0)
    shared = (np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])).clip(0).prod(axis=1)
    mine, theirs = ((box[:, 2:] - box[:, :2]).clip(0).prod(axis=1) for box in (a, b))
    whole = np.where(crowd, mine, mine + theirs - shared)
    return np.asarray(np.divide(shared, whole, out=np.zeros(len(a)), where=whole > 0))


METRICS = (
    BoxPrecision(name="box_ap", summary="ap"),
    BoxPrecision(name="box_ap50", summary="ap50"),
    BoxPrecision(name="box_ap75", summary="ap75"),
    BoxPrecision(name="box_ar", summary="ar"),
    BoxPrecision(name="box_ar50", summary="ar50"),
)
