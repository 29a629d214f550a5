"""PCK of 3-D joints at a fixed distance of 150 mm, and the area under its curve.

Mehta et al., "Monocular 3D Human Pose Estimation in the Wild Using Improved CNN Supervision", 3DV 2017 (MPI-INF-3DHP),
and the evaluation code that came with it (mpii_compute_3d_pck.m): a joint is found when it is less than 150 mm away
from its label. The area is the mean of the fraction of found joints over 31 thresholds, 0, 5 ... 150 mm.

Three details that the literature confuses:

- The comparison is strict (< 150), unlike that of the 2-D metrics (<=).
- The area is the plain mean over the thresholds, including 0 mm, where nothing can be a hit. It is not the trapezium
  of the 2-D curves. A perfect pose has an area of 30/31 = 0.968.
- Both poses are first taken relative to their root joint, the pelvis (`relative_to_root`). Results "after Procrustes"
  or with the subject's height normalized ("universal" coordinates) are other numbers.

An unlabeled joint is not counted (NaN). A joint that was not predicted is a miss. `edgepose eval` has no 3-D data set
yet, so the metric is not in the registry.
"""

from __future__ import annotations

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.metrics.curves import Curve, area_hits, curve, mean_weights, within

THRESHOLD_MM = 150.0
THRESHOLDS_MM = np.arange(0.0, 151.0, 5.0)


def relative_to_root(xyz_mm: Array, root: int) -> Array:
    """Move joint `root` of each person to the origin.

    Args:
        xyz_mm: [N, K, 3] float, millimeters.
        root: Index of the root joint.

    Returns:
        [N, K, 3] float64 millimeters.
    """
    xyz = np.asarray(xyz_mm, np.float64)
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        return np.asarray(xyz - xyz[:, root : root + 1])


def errors_mm(
    pred_xyz_mm: Array,
    true_xyz_mm: Array,
    labeled: Array,
) -> Array:
    """Compute the distance of each joint from its label.

    Args:
        pred_xyz_mm: [N, K, 3] float, with the origin and axes of `true_xyz_mm`.
        true_xyz_mm: [N, K, 3] float, millimeters.
        labeled: [N, K] bool.

    Returns:
        [N, K] float64 millimeters, NaN where not labeled, infinite where not predicted.
    """
    n, k = (check_array("true_xyz_mm", true_xyz_mm, ("N", "K", 3))[axis] for axis in "NK")
    check_array("pred_xyz_mm", pred_xyz_mm, (n, k, 3))
    check_array("labeled", labeled, (n, k), np.bool_)
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        away = np.linalg.norm(np.asarray(pred_xyz_mm, np.float64) - true_xyz_mm, axis=-1)
    return np.where(labeled, np.where(np.isnan(away), np.inf, away), np.nan)


def hits(errors: Array, threshold_mm: float = THRESHOLD_MM) -> Array:
    """Compute hits [N, K] float64: 1 where `errors` [N, K] are below the threshold, else 0, NaN where not counted."""
    return within(errors, threshold_mm, strict=True)


def auc_hits(errors: Array) -> Array:
    """Compute the share [N, K] float64 of each joint in the area under the curve. The mean of the shares is the AUC."""
    return area_hits(errors, THRESHOLDS_MM, mean_weights(THRESHOLDS_MM), strict=True)


def curve_mm(errors: Array) -> Curve:
    """Compute the curve of `errors` [N, K] over 0, 5 ... 150 mm."""
    return curve(errors, THRESHOLDS_MM, strict=True)
