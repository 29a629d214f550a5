"""COCO's keypoint AP and AR from matches, arranged so that a bootstrap over images is cheap.

`curves` computes precision and recall from the matches and a weight per image. A weight of 2 counts the image as two
images, so a bootstrap runs this step a thousand times and matches only once (`edgepose.metrics.matching`).

`COCOeval` of pycocotools is the reference, and tests require equality to 1e-9. The value is NaN where the reference
prints -1 (nobody is in the area range). Copies of one image with equal scores are ordered prediction by prediction, not
copy by copy, which only a weighted result can show.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.metrics.matching import AREAS, THRESHOLDS, Matches

RECALLS = np.linspace(0.0, 1.0, 101)
CELLS = 200_000  # draws times predictions that are processed at once: a few MB, which fits into the cache


@dataclass(frozen=True, kw_only=True)
class Summary:
    """COCO's ten numbers, each [B] float64 for B rows of weights, NaN where nobody is in the area range."""

    ap: Array
    ap50: Array
    ap75: Array
    ap_medium: Array
    ap_large: Array
    ar: Array
    ar50: Array
    ar75: Array
    ar_medium: Array
    ar_large: Array


def curves(
    matches: Matches,
    weights: Array | None = None,
    area: str = "all",
) -> tuple[Array, Array]:
    """Compute average precision and recall at each threshold.

    Args:
        matches: The matches.
        weights: [B, I] float, how many copies of each image are counted; None for one copy of each.
        area: The area range, a key of `AREAS`.

    Returns:
        (precision [B, T], recall [B, T]) float64, NaN where nobody is counted.
    """
    row = list(AREAS).index(area)
    images = matches.people.shape[1]
    weights = np.ones((1, images)) if weights is None else weights
    check_array("weights", weights, ("B", images))
    precision = np.empty((len(weights), len(THRESHOLDS)))
    recall = np.empty_like(precision)
    people = weights @ matches.people[row]  # [B]
    for t, (right, wrong) in enumerate(zip(matches.right[row], matches.wrong[row], strict=True)):
        counted = np.flatnonzero(right | wrong)  # by falling score
        precision[:, t], recall[:, t] = _curve(right[counted], matches.image[counted], weights, people)
    return precision, recall


def _curve(right: Array, image: Array, weights: Array, people: Array) -> tuple[Array, Array]:
    """Return ([B], [B]): precision averaged over RECALLS, and the last recall; NaN where people [B] is 0.

    right, image: [D], the counted predictions by falling score; weights: [B, I]. Precision and recall are evaluated
    only where a prediction is right: between two of those, recall is constant and precision falls.
    """
    at = np.flatnonzero(right)
    averaged, last = np.zeros(len(weights)), np.zeros(len(weights))
    step = max(1, CELLS // max(1, len(right)))
    for start in range(0, len(weights), step) if len(at) else ():
        rows = slice(start, start + step)
        each = weights[rows][:, image]  # [b, D]
        hits, total = np.cumsum(each[:, at], axis=1), np.cumsum(each, axis=1)[:, at]
        envelope = np.maximum.accumulate((hits / (total + np.spacing(1)))[:, ::-1], axis=1)[:, ::-1]
        envelope = np.pad(envelope, ((0, 0), (0, 1)))  # a recall never reached has precision 0
        recall = np.divide(hits, people[rows, None], out=np.zeros_like(hits), where=people[rows, None] > 0)
        reached = np.stack([np.searchsorted(line, RECALLS, side="left") for line in recall])
        averaged[rows] = np.take_along_axis(envelope, reached, axis=1).mean(axis=1)
        last[rows] = recall[:, -1]
    nobody = people == 0
    averaged[nobody], last[nobody] = np.nan, np.nan
    return averaged, last


def area_row(field: str) -> int:
    """Return the row of `AREAS` that a field of `Summary` belongs to, for example that of "large" for "ap_large"."""
    return next((row for row, area in enumerate(AREAS) if field.endswith(f"_{area}")), 0)


def summary(matches: Matches, weights: Array | None = None) -> Summary:
    """Compute COCO's ten numbers for each row of weights [B, I]. Without weights, B is 1."""
    (ap, ar), (ap_m, ar_m), (ap_l, ar_l) = (curves(matches, weights, area) for area in AREAS)
    at75 = 5
    return Summary(
        ap=ap.mean(axis=1),
        ap50=ap[:, 0],
        ap75=ap[:, at75],
        ap_medium=ap_m.mean(axis=1),
        ap_large=ap_l.mean(axis=1),
        ar=ar.mean(axis=1),
        ar50=ar[:, 0],
        ar75=ar[:, at75],
        ar_medium=ar_m.mean(axis=1),
        ar_large=ar_l.mean(axis=1),
    )
