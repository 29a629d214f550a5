"""Two predictions of one person: non-maximum suppression by OKS, as the top-down literature does before AP.

Xiao et al., "Simple Baselines", ECCV 2018, and Sun et al., "HRNet", CVPR 2019 (oks_nms in lib/nms/nms.py):
going by falling score, a prediction falls when its similarity to one that stays is above 0.9. The similarity
is OKS over all joints with the mean of the two areas in the place of s^2; the area is that of the image region
the network saw, the box grown to the crop's shape and padding.
"""

from __future__ import annotations

import numpy as np

from edgepose._checks import Array, check_array

THRESHOLD = 0.9


def suppress(
    image: Array,  # [D] int64
    xy_image: Array,  # [D, K, 2] float, NaN where a joint was not predicted
    score: Array,  # [D] float
    area: Array,  # [D] float, square pixels
    sigmas: Array,  # [K] float
    threshold: float = THRESHOLD,
) -> Array:
    """Indices of the predictions that stay, by image, then falling score (the earlier first among equals)."""
    sizes = check_array("xy_image", xy_image, ("D", "K", 2))
    for name, value in (("image", image), ("score", score), ("area", area)):
        check_array(name, value, (sizes["D"],))
    check_array("sigmas", sigmas, (sizes["K"],))
    order = np.lexsort((-score, image))
    starts = np.flatnonzero(np.diff(image[order])) + 1
    kept = [_stay(rows, xy_image, area, sigmas, threshold) for rows in np.split(order, starts) if len(rows)]
    return np.concatenate(kept) if kept else np.zeros(0, np.int64)


def _stay(rows: Array, xy_image: Array, area: Array, sigmas: Array, threshold: float) -> Array:
    """Of one image's predictions, by falling score, those that stay."""
    kept: list[int] = []
    while len(rows):
        best, rest = int(rows[0]), rows[1:]
        kept.append(best)
        rows = rest[similarity(xy_image[best], xy_image[rest], area[best], area[rest], sigmas) <= threshold]
    return np.array(kept, np.int64)


def similarity(xy: Array, others_xy: Array, area: float, others_area: Array, sigmas: Array) -> Array:
    """[D] float64: OKS of a pose [K, 2] with others [D, K, 2] over the mean of their areas [D]."""
    away = ((others_xy.astype(np.float64) - xy) ** 2).sum(axis=-1)  # [D, K]
    scale = (2 * np.asarray(sigmas, np.float64)) ** 2 * ((area + others_area[:, None]) / 2 + np.spacing(1))
    near = np.exp(-away / scale / 2)
    return np.asarray(np.where(np.isfinite(near), near, 0.0).mean(axis=-1))
