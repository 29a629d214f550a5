"""Suppression of duplicate predictions of one person by their OKS, as the top-down literature does before AP.

Xiao et al., "Simple Baselines", ECCV 2018, and Sun et al., "HRNet", CVPR 2019 (oks_nms in lib/nms/nms.py): in the order
of falling score, a prediction is removed when its similarity to one that was kept is above 0.9. The similarity is OKS
over all joints, with the mean of the two areas in the place of s^2. The area is that of the image region that the
network saw: the box grown to the crop's shape and padding.
"""

from __future__ import annotations

import numpy as np

from edgepose._checks import Array, check_array

THRESHOLD = 0.9


def suppress(
    image: Array,
    xy_image: Array,
    score: Array,
    area: Array,
    sigmas: Array,
    threshold: float = THRESHOLD,
) -> Array:
    """Find the predictions that are kept.

    Args:
        image: [D] int64, the number of each prediction's image.
        xy_image: [D, K, 2] float, in pixels; NaN where a joint was not predicted.
        score: [D] float.
        area: [D] float, square pixels of the image that the network saw.
        sigmas: [K] float, the OKS sigmas.
        threshold: The OKS above which a prediction is a duplicate.

    Returns:
        [M] int64 indices, by image, then by falling score. Among equal scores the earlier prediction comes first.
    """
    sizes = check_array("xy_image", xy_image, ("D", "K", 2))
    for name, value in (("image", image), ("score", score), ("area", area)):
        check_array(name, value, (sizes["D"],))
    check_array("sigmas", sigmas, (sizes["K"],))
    order = np.lexsort((-score, image))
    starts = np.flatnonzero(np.diff(image[order])) + 1
    kept = [_stay(rows, xy_image, area, sigmas, threshold) for rows in np.split(order, starts) if len(rows)]
    return np.concatenate(kept) if kept else np.zeros(0, np.int64)


def _stay(rows: Array, xy_image: Array, area: Array, sigmas: Array, threshold: float) -> Array:
    """Return the kept ones among the predictions of one image, which are given by falling score."""
    kept: list[int] = []
    while len(rows):
        best, rest = int(rows[0]), rows[1:]
        kept.append(best)
        rows = rest[similarity(xy_image[best], xy_image[rest], area[best], area[rest], sigmas) <= threshold]
    return np.array(kept, np.int64)


def similarity(xy: Array, others_xy: Array, area: float, others_area: Array, sigmas: Array) -> Array:
    """Compute the OKS of one pose with others.

    Args:
        xy: [K, 2] float, in pixels.
        others_xy: [D, K, 2] float, in pixels.
        area: Square pixels of the pose.
        others_area: [D] float, square pixels of the others.
        sigmas: [K] float, the OKS sigmas.

    Returns:
        [D] float64 from 0 to 1.
    """
    away = ((others_xy.astype(np.float64) - xy) ** 2).sum(axis=-1)  # [D, K]
    scale = (2 * np.asarray(sigmas, np.float64)) ** 2 * ((area + others_area[:, None]) / 2 + np.spacing(1))
    near = np.exp(-away / scale / 2)
    return np.asarray(np.where(np.isfinite(near), near, 0.0).mean(axis=-1))
