"""PCK, PDJ and PCKh: one curve, the share of joints within a fraction of a length, under three names.

PCK   Yang & Ramanan, "Articulated Human Detection with Flexible Mixtures of Parts", PAMI 2013: a fraction
      (0.1 on PARSE, 0.2 on Buffy) of the larger side of the tight box around the person's labeled joints
      (`box_side_px`; their code counts both edge pixels, hence the plus one). The LSP literature since
      (Chen & Yuille 2014, Wei et al. CPM 2016) takes the torso diameter, left_shoulder to right_hip
      (`torso_px`), and so does PCK@0.2 here; the one of the box is called pck_box@0.2.
PDJ   Sapp & Taskar, "MODEC", CVPR 2013; Toshev & Szegedy, "DeepPose", CVPR 2014: the torso diameter too,
      and usually printed joint by joint over thresholds up to 0.5. At one threshold it equals PCK of the
      torso.
PCKh  Andriluka et al., "2D Human Pose Estimation", CVPR 2014: half the head size, which MPII defines as 0.6
      of the diagonal of the labeled head box (`head_box_px`). Where the labels have no head box but
      head_top and neck, as LSP, the head segment between the two is taken (`head_segment_px`); the numbers
      of the two are not comparable, so whoever prints one says which.

Which joints count:
- an unlabeled joint is not counted: NaN, neither hit nor miss;
- a person whose reference length is unknown (an end of it unlabeled) or zero has no joint counted: NaN;
- a joint that was not predicted (NaN or infinite) is counted, and missed: 0;
- a distance equal to the threshold is a hit, as in MPII's, MODEC's and Yang & Ramanan's codes (the evaluation
  that came with the PyTorch stacked hourglass takes < instead; of its own row no number differs).

What is averaged how, and which joints a paper's mean leaves out: `rows.py`.
"""

from __future__ import annotations

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.metrics.curves import within
from edgepose.pose.skeletons import Skeleton

TORSO = ("left_shoulder", "right_hip")
HEAD = ("head_top", "neck")
HEAD_BOX_FRACTION = 0.6  # MPII's SC_BIAS


def relative_errors(
    pred_xy: Array,  # [N, K, 2] float, same space as true_xy
    true_xy: Array,  # [N, K, 2] float
    labeled: Array,  # [N, K] bool
    reference_px: Array,  # [N] float, NaN where unknown
) -> Array:
    """[N, K] float64: distance over reference length; NaN where not counted, infinite where not predicted."""
    n, k = (check_array("true_xy", true_xy, ("N", "K", 2))[axis] for axis in "NK")
    check_array("pred_xy", pred_xy, (n, k, 2))
    check_array("labeled", labeled, (n, k), np.bool_)
    check_array("reference_px", reference_px, (n,))
    length = np.asarray(reference_px, np.float64)
    known = np.isfinite(length) & (length > 0)
    with np.errstate(over="ignore"):  # infinitely far is right for a length of next to nothing
        errors = distance_px(pred_xy, true_xy) / np.where(known, length, 1.0)[:, None]
    return np.where(labeled & known[:, None], np.where(np.isnan(errors), np.inf, errors), np.nan)


def hits(pred_xy: Array, true_xy: Array, labeled: Array, reference_px: Array, threshold: float) -> Array:
    """[N, K] float64: 1 within threshold of the reference length, 0 beyond, NaN where not counted.

    Arguments as for `relative_errors`.
    """
    return within(relative_errors(pred_xy, true_xy, labeled, reference_px), threshold)


def distance_px(a_xy: Array, b_xy: Array) -> Array:
    """[...] float64: Euclidean distance of points [..., 2]; not finite where either is not."""
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        difference = np.asarray(a_xy, np.float64) - np.asarray(b_xy, np.float64)
        return np.asarray(np.hypot(difference[..., 0], difference[..., 1]))


def segment_px(true_xy: Array, labeled: Array, ends: tuple[str, str], skeleton: Skeleton) -> Array:
    """[N] float64: the distance between two named joints, NaN where either is unlabeled.

    true_xy: [N, K, 2], labeled: [N, K] bool. SpecError when the skeleton lacks one of the two.
    """
    check_array("true_xy", true_xy, ("N", len(skeleton), 2))
    check_array("labeled", labeled, (true_xy.shape[0], len(skeleton)), np.bool_)
    a, b = (skeleton.index(joint) for joint in ends)
    length = distance_px(true_xy[:, a], true_xy[:, b])
    return np.where(labeled[:, a] & labeled[:, b], length, np.nan)


def torso_px(true_xy: Array, labeled: Array, skeleton: Skeleton) -> Array:
    """[N] float64: the torso diameter, left_shoulder to right_hip; NaN where unknown. See `segment_px`."""
    return segment_px(true_xy, labeled, TORSO, skeleton)


def head_segment_px(true_xy: Array, labeled: Array, skeleton: Skeleton) -> Array:
    """[N] float64: head_top to neck; NaN where unknown. See `segment_px`."""
    return segment_px(true_xy, labeled, HEAD, skeleton)


def head_box_px(head_boxes_xyxy: Array) -> Array:
    """[N] float64: 0.6 of the diagonal of the head boxes [N, 4], MPII's head size."""
    check_array("head_boxes_xyxy", head_boxes_xyxy, ("N", 4))
    return HEAD_BOX_FRACTION * distance_px(head_boxes_xyxy[:, :2], head_boxes_xyxy[:, 2:])


def box_side_px(true_xy: Array, labeled: Array) -> Array:
    """[N] float64: the larger side of the tight box around the labeled joints, both edge pixels counted.

    true_xy: [N, K, 2], labeled: [N, K] bool. NaN for a person with no labeled joint.
    """
    n, k = (check_array("true_xy", true_xy, ("N", "K", 2))[axis] for axis in "NK")
    check_array("labeled", labeled, (n, k), np.bool_)
    shown = labeled[..., None]
    low = np.where(shown, true_xy, np.inf).min(axis=1, initial=np.inf)
    high = np.where(shown, true_xy, -np.inf).max(axis=1, initial=-np.inf)
    side = np.asarray(high - low, np.float64).max(axis=1) + 1
    return np.where(labeled.any(axis=1), side, np.nan)
