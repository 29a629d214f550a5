"""PCP: the share of limbs found, strict and loose.

Ferrari, Marin-Jimenez & Zisserman, "Progressive Search Space Reduction", CVPR 2008, brought it in; the two
readings of it are told apart by Pishchulin et al., "Articulated People Detection and Pose Estimation:
Reshaping the Future", CVPR 2012:

strict   both predicted ends lie within threshold (0.5) of the true limb's length from their true ends;
loose    the mean of the two distances does (so every strict hit is a loose one).

(The code that came with the Buffy stickmen, DirectEvalSegms.m, is looser still: it averages the distances
along and across the limb apart, and takes the two ends in whichever order fits. It is not offered.)
Either is person-centric, or observer-centric when labels and predictions went through `observer.py` first.

The ten limbs of LSP: torso, head, and upper and lower arms and legs. The torso runs from the middle of the
shoulders to the middle of the hips, as github.com/bearpaw/eval_pose (keypoints2sticks.m) and the DeepPose
reimplementations make it of LSP's fourteen joints. The six of FLIC, in the same file: its neck is not
labeled but taken as the middle of the shoulders, so torso and head (to the nose) start there.
A skeleton without an entry in LIMBS is measured on its own `limbs`.

A limb counts when every joint of both ends is labeled and its true length is above zero, else NaN; a limb
with an end that was not predicted counts as missed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.metrics.pck import distance_px
from edgepose.pose.skeletons import Skeleton


@dataclass(frozen=True, kw_only=True)
class Limb:
    """A limb between two ends; an end is the middle of the joints it names."""

    name: str
    start: tuple[str, ...]
    end: tuple[str, ...]

    @property
    def joints(self) -> tuple[str, ...]:
        return self.start + self.end


_SEGMENTS = {
    ("shoulder", "elbow"): "upper_arm",
    ("elbow", "wrist"): "lower_arm",
    ("hip", "knee"): "upper_leg",
    ("knee", "ankle"): "lower_leg",
}


def _name(start: str, end: str) -> str:
    """right_upper_arm for (right_shoulder, right_elbow); the two names where there is no word for it."""
    if {start, end} == {"neck", "head_top"}:
        return "head"
    for side in ("right", "left"):
        for (a, b), word in _SEGMENTS.items():
            if {start, end} == {f"{side}_{a}", f"{side}_{b}"}:
                return f"{side}_{word}"
    return f"{start}-{end}"


def _pair(start: str, end: str) -> Limb:
    return Limb(name=_name(start, end), start=(start,), end=(end,))


_SHOULDERS = ("right_shoulder", "left_shoulder")
_TORSO = Limb(name="torso", start=_SHOULDERS, end=("right_hip", "left_hip"))
_SIDED = tuple(_pair(f"{side}_{a}", f"{side}_{b}") for a, b in _SEGMENTS for side in ("right", "left"))

# skeleton name -> its limbs, where the literature fixes them
LIMBS: dict[str, tuple[Limb, ...]] = {
    "lsp14": (_TORSO, _pair("neck", "head_top"), *_SIDED),
    "flic11": (_TORSO, Limb(name="head", start=("nose",), end=_SHOULDERS), *_SIDED[:4]),
}


def limbs_of(skeleton: Skeleton, joints: Collection[str] | None = None) -> tuple[Limb, ...]:
    """The limbs PCP measures; with `joints`, only those whose every joint is among them."""
    limbs = LIMBS.get(skeleton.name) or tuple(_pair(a, b) for a, b in skeleton.limbs)
    wanted = set(skeleton.joints if joints is None else joints)
    return tuple(limb for limb in limbs if wanted.issuperset(limb.joints))


def hits(
    pred_xy: Array,  # [N, K, 2] float, same space as true_xy
    true_xy: Array,  # [N, K, 2] float
    labeled: Array,  # [N, K] bool
    joints: Sequence[str],  # K names
    limbs: Sequence[Limb],  # L limbs, all of whose joints are named in `joints`
    threshold: float = 0.5,
    *,
    loose: bool = False,
) -> Array:
    """[N, L] float64: 1 found, 0 missed, NaN where not counted."""
    k = len(joints)
    n = check_array("true_xy", true_xy, ("N", k, 2))["N"]
    check_array("pred_xy", pred_xy, (n, k, 2))
    check_array("labeled", labeled, (n, k), np.bool_)
    found = np.full((n, len(limbs)), np.nan)
    for column, limb in enumerate(limbs):
        start, end = ([joints.index(joint) for joint in side] for side in (limb.start, limb.end))
        length = distance_px(_middle(true_xy, start), _middle(true_xy, end))
        off_start = distance_px(_middle(pred_xy, start), _middle(true_xy, start))
        off_end = distance_px(_middle(pred_xy, end), _middle(true_xy, end))
        off = (off_start + off_end) / 2 if loose else np.maximum(off_start, off_end)
        counted = labeled[:, start + end].all(axis=1) & (length > 0)
        with np.errstate(over="ignore"):  # infinitely far is right for a limb of next to no length
            near = off / np.where(counted, length, 1.0) <= threshold  # False for an end not predicted
        found[:, column] = np.where(counted, near, np.nan)
    return found


def _middle(xy: Array, joints: list[int]) -> Array:
    return np.asarray(xy[:, joints].astype(np.float64).mean(axis=1))
