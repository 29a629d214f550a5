"""The operation for one-stage networks: candidates with boxes and joints become the people of an image.

`edgepose.codecs.onestage` defines it and calls it.
"""

from __future__ import annotations

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.codecs import onestage
from edgepose.codecs.overflow import overflowed
from edgepose.kernels.arrays import floats, output, packed
from edgepose.kernels.choice import native

NO_SUPPRESSION = 2.0  # no intersection over union is above it


def onestage_people(
    rows: Array,  # [N, M, 5 + 3K] float32 or float16
    inverse: Array,  # [N, 2, 3] float, canvas -> image
    score_threshold: float,
    iou_threshold: float | None,
    limit: int,
    *,
    out: Array | None = None,
    threads: int = 1,
) -> Array:
    """Find the people of images, as `codecs.onestage.decode_to_image`.

    Args:
        rows: [N, M, 5 + 3K] float32 or float16, the candidates: x0, y0, x1, y1, score, then x, y, score of each joint.
        inverse: [N, 2, 3] float, canvas -> image.
        score_threshold: The score that a person must exceed, at least 0.
        iou_threshold: The largest intersection over union with a better person; None suppresses nobody.
        limit: The largest number P of people in an image.
        out: [N, P, 5 + 3K] float32, which is written and returned; None makes a new array.
        threads: The highest number of threads.

    Returns:
        [N, P, 5 + 3K] float32: the people in image pixels, the highest score first, then zeros.

    Raises:
        ValueError: If arrays do not fit.
        ModelError: If a score, or a number of a person, is NaN or infinity.
    """
    sizes = check_array("rows", rows, ("N", "M", "columns"))
    check_columns(sizes["columns"])
    check_thresholds(score_threshold, iou_threshold)
    if limit < 1:
        raise ValueError(f"limit: expected at least 1, got {limit}")
    out = output((sizes["N"], limit, sizes["columns"]), np.float32, out)
    if native is None:
        out[:] = onestage.decode_to_image(rows, inverse, score_threshold, iou_threshold, limit)
        return out
    most = NO_SUPPRESSION if iou_threshold is None else iou_threshold
    if not native.onestage_people(*floats(rows), packed(inverse, np.float64), score_threshold, most, out, threads):
        raise overflowed("people")
    return out


def check_columns(columns: int) -> None:
    """Raise ValueError for a number of columns that is not 5 + 3K."""
    if columns < onestage.BOX or (columns - onestage.BOX) % 3:
        raise ValueError(f"rows: expected [N, M, 5 + 3K], got {columns} columns")


def check_thresholds(score_threshold: float, iou_threshold: float | None) -> None:
    """Raise ValueError for thresholds that no candidate can be compared with."""
    if not score_threshold >= 0:
        raise ValueError(f"score_threshold: expected at least 0, got {score_threshold}")
    if iou_threshold is not None and not iou_threshold >= 0:
        raise ValueError(f"iou_threshold: expected at least 0 or None, got {iou_threshold}")
