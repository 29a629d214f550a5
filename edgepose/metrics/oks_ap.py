"""COCO's keypoint average precision (AP) and average recall (AR): ten metrics on one matching.

Lin et al., "Microsoft COCO", ECCV 2014, and the page of the keypoint task. The mathematics is in `oks`,
`matching` and `precision` of `edgepose.metrics`. The score of a prediction, which orders the precision-recall curve, is

- the mean score of its joints above 0.2, for one prediction of each labeled person;
- that mean times the score of the box, for a detector's boxes, after near duplicates were suppressed
  (`edgepose.metrics.suppress`), as in Xiao et al. (ECCV 2018) and HRNet (CVPR 2019);
- the network's own score of the person, for a network that finds people itself: its groups share no joint, so they are
  taken as they are (Cao et al., CVPR 2017).

The people of one image share one ranked list, so the bootstrap draws images instead of people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgepose._checks import Array
from edgepose.metrics import matching, oks, precision
from edgepose.metrics.labels import Labels
from edgepose.metrics.metric import FRACTION_OF_PEOPLE, Declaration, Metric, Plan, Predicted, Skip
from edgepose.metrics.summaries import SummaryPlan
from edgepose.metrics.suppress import suppress
from edgepose.pose.skeletons import sigma_origin

LABELED_BOXES = (
    "boxes from the labels; the area is the labeled segment's, or the box's where labels have none, "
    "which makes OKS milder than COCO's"
)
DETECTED_BOXES = "boxes and their scores from the detections given, duplicates above an OKS of 0.9 suppressed"


@dataclass(frozen=True, kw_only=True)
class AveragePrecision(Metric):
    """One of COCO's ten numbers.

    Attributes:
        summary: The field of `precision.Summary` that the metric is.
    """

    declared: Declaration = FRACTION_OF_PEOPLE
    needs: tuple[str, ...] = ("sigmas",)
    references: tuple[str, ...] = (
        "Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014",
        "https://cocodataset.org/#keypoints-eval",
    )
    summary: str

    on_detections: ClassVar[bool] = True

    def plan_on(self, labels: Labels) -> Plan | Skip:
        """Return a plan for labels with sigmas and at least one person of the size that the metric is of."""
        if not labels.skeleton.sigmas:
            return Skip(reason=f"skeleton {labels.skeleton.name} has no OKS sigmas; give it one for each joint")
        boxes = DETECTED_BOXES if labels.detected else LABELED_BOXES
        people = int(matching.counted_people(labels.compared_people())[precision.area_row(self.summary)].sum())
        if not people:
            return Skip(reason="no labeled person is of that size")
        note = f"{boxes}; {sigma_origin(labels.skeleton)}"
        return SummaryPlan(note=note, summary=self.summary, people=people, labels=labels, summaries=_summaries)


def _summaries(labels: Labels, predicted: Predicted, draws: Array) -> tuple[precision.Summary, precision.Summary]:
    """Match every image once; return the ten numbers over all images, and over each draw."""
    found = _found(predicted, labels.sigmas)
    matches = matching.match(labels.compared_people(), found, labels.sigmas, draws.shape[1])
    return precision.summary(matches), precision.summary(matches, draws)


def _found(predicted: Predicted, sigmas: Array) -> oks.Found:
    """Score the predictions, and suppress near duplicates among those of a detector's boxes."""
    xy, score, kept = predicted.xy_image, predicted.box_scores, np.arange(len(predicted.xy_image))
    if score is None:
        score = oks.person_scores(predicted.scores)
    elif not predicted.grouped:
        assert predicted.area is not None
        score = score * oks.person_scores(predicted.scores)
        kept = suppress(predicted.image, xy, score, predicted.area, sigmas)
    return oks.Found(image=predicted.image[kept], xy_image=xy[kept], score=score[kept], area=oks.extent_px2(xy[kept]))


METRICS = (
    AveragePrecision(name="oks_ap", summary="ap"),
    AveragePrecision(name="oks_ap50", summary="ap50"),
    AveragePrecision(name="oks_ap75", summary="ap75"),
    AveragePrecision(name="oks_ap_medium", summary="ap_medium"),
    AveragePrecision(name="oks_ap_large", summary="ap_large"),
    AveragePrecision(name="oks_ar", summary="ar"),
    AveragePrecision(name="oks_ar50", summary="ar50"),
    AveragePrecision(name="oks_ar75", summary="ar75"),
    AveragePrecision(name="oks_ar_medium", summary="ar_medium"),
    AveragePrecision(name="oks_ar_large", summary="ar_large"),
)
