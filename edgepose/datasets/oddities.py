"""What looks wrong with the labels of one person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from edgepose._checks import Array
from edgepose.datasets.samples import Sample
from edgepose.pose.geometry import Size, box_of_joints

CORNERS, CENTER = "x0 y0 x1 y1", "center x, center y, width and height"  # forms of bbox that are not COCO's
SLACK = 0.25  # how far outside the box joints may be, as a fraction of its sides


def oddities(sample: Sample) -> Iterator[str]:
    """Yield what looks wrong with one person's labels, without looking at the image.

    Args:
        sample: The person.
    """
    xy = sample.xy_image[sample.labeled]
    corner = int((xy == 0).all(axis=1).sum())
    if len(xy) > 2:
        (place, count), *_ = Counter(map(tuple, xy.tolist())).most_common(1)
        if count > 2:
            yield f"{count} joints at one place, ({place[0]:g}, {place[1]:g})"
            corner = 0 if place == (0, 0) else corner
    if corner:
        yield f"{corner} joints are labeled at (0, 0); set v to 0 if they are not labeled"
    x0, y0, x1, y1 = (float(edge) for edge in sample.box_xyxy)
    if x1 <= x0 or y1 <= y0:
        yield "the box is empty"
        return
    outside = joints_outside_box(sample)
    if outside > 0.5 * len(xy):
        yield f"{outside} of {len(xy)} joints are outside the person's box"
    if sample.file is not None and sample.size is not None:
        yield from _box_beyond(sample, sample.size)


def joints_outside_box(sample: Sample) -> int:
    """Return how many labeled joints are outside the person's box, by more than `SLACK` of its sides.

    Args:
        sample: The person.
    """
    xy = sample.xy_image[sample.labeled]
    low, high = sample.box_xyxy[:2].astype(np.float64), sample.box_xyxy[2:].astype(np.float64)
    grown = SLACK * (high - low)
    return int((~((xy >= low - grown) & (xy <= high + grown)).all(axis=1)).sum())


def beyond_image(box_xyxy: Array, size: Size) -> float:
    """Return how far a box reaches beyond the right or lower edge of an image, in pixels; 0 inside.

    Args:
        box_xyxy: [4] float.
        size: The (height, width) of the image.
    """
    return max(0.0, float(box_xyxy[2]) - size[1], float(box_xyxy[3]) - size[0])


def _box_beyond(sample: Sample, size: Size) -> Iterator[str]:
    beyond = beyond_image(sample.box_xyxy, size)
    if beyond > max(2.0, 0.02 * max(size)):
        form = better_form(sample, size)
        yield f"the box reaches {beyond:.0f} px beyond the image{f'; {form}?' if form else ''}"


def better_form(sample: Sample, size: Size | None) -> str:
    """Return the form in which bbox of a person fits better than as x, y, width and height, or an empty text.

    In that form, the box is inside the image and holds the joints tightly. Read as COCO does, it reaches beyond the
    image or fits the joints clearly worse.

    Args:
        sample: The person.
        size: The (height, width) of the image; None if unknown.
    """
    if not sample.labeled.any():
        return ""
    given = sample.box_xyxy.astype(np.float64)
    low, sides = given[:2], given[2:] - given[:2]
    forms = {CORNERS: np.concatenate([low, sides]), CENTER: np.concatenate([low - sides / 2, low + sides / 2])}
    beyond = size is not None and beyond_image(given, size) > 2
    return next((form for form, box in forms.items() if _fits_better(sample, box, given, size, beyond)), "")


def _fits_better(sample: Sample, box: Array, given: Array, size: Size | None, beyond: bool) -> bool:
    if (box[2:] <= box[:2]).any() or box.min() < -2 or (size is not None and beyond_image(box, size) > 2):
        return False
    xy = sample.xy_image[sample.labeled].astype(np.float64)
    held = ((xy >= box[:2] - 2) & (xy <= box[2:] + 2)).all(axis=1)
    tight = box_of_joints(sample.xy_image, sample.labeled)
    new, old = _overlap(tight, box), _overlap(tight, given)
    return bool(held.mean() >= 0.95 and new >= 0.4 and old < new and (beyond or new - old >= 0.15))


def _overlap(a: Array, b: Array) -> float:
    """Return the intersection over union of two boxes [4]."""
    both = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    union = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - both
    return float(both / union) if union > 0 else 0.0
