"""PCK of 3-D joints at a fixed distance, 150 mm, and the area under its curve.

Mehta et al., "Monocular 3D Human Pose Estimation in the Wild Using Improved CNN Supervision", 3DV 2017
(MPI-INF-3DHP), and the evaluation code that came with it (mpii_compute_3d_pck.m): a joint is found when it is
less than 150 mm away; the area is the mean of that share over 31 thresholds, 0, 5 ... 150 mm.

What the literature confuses:
- the comparison is strict (< 150), unlike that of the 2-D metrics (<=);
- the area is the plain mean over the thresholds, 0 mm among them (where nothing can be a hit), not the
  trapezium of the 2-D curves: a perfect pose has an area of 30/31 = 0.968;
- both poses are taken relative to their root joint, the pelvis, first (`relative_to_root`); results "after
  Procrustes" or with the subject's height normalized ("universal" coordinates) are other numbers.

Unlabeled joints are not counted (NaN); a joint that was not predicted is missed.
"""

from __future__ import annotations

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.metrics.curves import Curve, area_hits, curve, mean_weights, within

THRESHOLD_MM = 150.0
THRESHOLDS_MM = np.arange(0.0, 151.0, 5.0)


def relative_to_root(xyz_mm: Array, root: int) -> Array:
    """[N, K, 3] float64: joints [N, K, 3] with joint `root` of each person moved to the origin."""
    xyz = np.asarray(xyz_mm, np.float64)
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        return np.asarray(xyz - xyz[:, root : root + 1])


def errors_mm(
    pred_xyz_mm: Array,  # [N, K, 3] float, the same origin and axes as true_xyz_mm
    true_xyz_mm: Array,  # [N, K, 3] float
    labeled: Array,  # [N, K] bool
) -> Array:
    """[N, K] float64 millimeters: NaN where not labeled, infinite where not predicted."""
    n, k = (check_array("true_xyz_mm", true_xyz_mm, ("N", "K", 3))[axis] for axis in "NK")
    check_array("pred_xyz_mm", pred_xyz_mm, (n, k, 3))
    check_array("labeled", labeled, (n, k), np.bool_)
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        away = np.linalg.norm(np.asarray(pred_xyz_mm, np.float64) - true_xyz_mm, axis=-1)
    return np.where(labeled, np.where(np.isnan(away), np.inf, away), np.nan)


def hits(errors: Array, threshold_mm: float = THRESHOLD_MM) -> Array:
    """[N, K] float64: 1 where errors [N, K] from `errors_mm` are below the threshold, else 0; NaN stays."""
    return within(errors, threshold_mm, strict=True)


def auc_hits(errors: Array) -> Array:
    """[N, K] float64: each joint's share of the area under the curve; their mean is the AUC."""
    return area_hits(errors, THRESHOLDS_MM, mean_weights(THRESHOLDS_MM), strict=True)


def curve_mm(errors: Array) -> Curve:
    """The curve over 0, 5 ... 150 mm."""
    return curve(errors, THRESHOLDS_MM, strict=True)
