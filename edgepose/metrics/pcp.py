"""PCP: the fraction of limbs found, strict and loose.

Ferrari, Marin-Jimenez & Zisserman, "Progressive Search Space Reduction", CVPR 2008, introduced the metric. Pishchulin
et al., "Articulated People Detection and Pose Estimation: Reshaping the Future", CVPR 2012, distinguish two readings:

    strict   Both predicted ends lie within threshold (0.5) of the true limb's length from their true ends.
    loose    The mean of the two distances does, so every strict hit is a loose one.

(The code that came with the Buffy stickmen, DirectEvalSegms.m, is looser still: it averages the distances along and
across the limb separately, and takes the two ends in whichever order fits. It is not offered.) Either reading is
person-centric, or observer-centric when labels and predictions first went through `edgepose.metrics.observer`.

LSP has ten limbs: torso, head, and upper and lower arms and legs. The torso runs from the middle of the shoulders to
the middle of the hips, as github.com/bearpaw/eval_pose (keypoints2sticks.m) and the DeepPose reimplementations derive
it from LSP's fourteen joints. FLIC has six limbs, from the same file: its neck is not labeled but taken as the middle
of the shoulders, so the torso and the head (to the nose) start there. A skeleton without an entry in `LIMBS` is
measured on its own `limbs`.

A limb is counted when every joint of both ends is labeled and its true length is above zero; its value is NaN
otherwise. A limb with an end that was not predicted is a miss.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.metrics.labels import Labels
from edgepose.metrics.lengths import distance_px
from edgepose.metrics.metric import FRACTION_OF_LIMBS, Declaration, MeanPlan, Metric, Plan, Skip
from edgepose.metrics.observer import CANNOT_JUDGE, NOTE, can_judge, observer_centric, observer_centric_predictions
from edgepose.pose.skeletons import Skeleton


@dataclass(frozen=True, kw_only=True)
class Limb:
    """A limb between two ends.

    Attributes:
        name: The name in results.
        start: The joints whose middle is one end.
        end: The joints whose middle is the other end.
    """

    name: str
    start: tuple[str, ...]
    end: tuple[str, ...]

    @property
    def joints(self) -> tuple[str, ...]:
        """The joints of both ends."""
        return self.start + self.end


_SEGMENTS = {
    ("shoulder", "elbow"): "upper_arm",
    ("elbow", "wrist"): "lower_arm",
    ("hip", "knee"): "upper_leg",
    ("knee", "ankle"): "lower_leg",
}


def _name(start: str, end: str) -> str:
    """Return "right_upper_arm" for (right_shoulder, right_elbow); the two joints' names for a limb without a word."""
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
    """Return the limbs that PCP measures on a skeleton.

    Args:
        skeleton: The skeleton of the labels.
        joints: The compared joints; limbs with another joint are left out. None for all joints.

    Returns:
        The limbs in the order of results.
    """
    limbs = LIMBS.get(skeleton.name) or tuple(_pair(a, b) for a, b in skeleton.limbs)
    wanted = set(skeleton.joints if joints is None else joints)
    return tuple(limb for limb in limbs if wanted.issuperset(limb.joints))


def hits(
    pred_xy: Array,
    true_xy: Array,
    labeled: Array,
    joints: Sequence[str],
    limbs: Sequence[Limb],
    threshold: float = 0.5,
    *,
    loose: bool = False,
) -> Array:
    """Compute which limbs are found.

    Args:
        pred_xy: [N, K, 2] float, in the same space as `true_xy`.
        true_xy: [N, K, 2] float.
        labeled: [N, K] bool.
        joints: The names of the K joints.
        limbs: L limbs whose joints are all named in `joints`.
        threshold: A fraction of the limb's true length.
        loose: Compare the mean of the two distances instead of the larger one.

    Returns:
        [N, L] float64: 1 found, 0 missed, NaN where not counted.
    """
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
        with np.errstate(over="ignore"):  # the quotient by a length close to zero may overflow, and infinity is right
            near = off / np.where(counted, length, 1.0) <= threshold  # False for an end not predicted
        found[:, column] = np.where(counted, near, np.nan)
    return found


def _middle(xy: Array, joints: list[int]) -> Array:
    return np.asarray(xy[:, joints].astype(np.float64).mean(axis=1))


READINGS = {
    False: "strict: both ends within half the limb's length",
    True: "loose: the mean distance of the ends within half the limb's length",
}


@dataclass(frozen=True, kw_only=True)
class Pcp(Metric):
    """The fraction of limbs found within half of their length.

    Attributes:
        loose: Compare the mean of the two distances instead of the larger one.
        observer: Compare observer-centric labels and predictions.
    """

    declared: Declaration = FRACTION_OF_LIMBS
    needs: tuple[str, ...] = ("limbs",)
    references: tuple[str, ...] = (
        "Ferrari, Marin-Jimenez & Zisserman, Progressive Search Space Reduction for Human Pose Estimation, CVPR 2008",
        "Pishchulin et al., Articulated People Detection and Pose Estimation: Reshaping the Future, CVPR 2012",
    )
    loose: bool = False
    observer: bool = False

    def plan_on(self, labels: Labels) -> Plan | Skip:
        """Return a plan whose values are hits of the limbs between compared joints."""
        limbs = limbs_of(labels.skeleton, labels.joints)
        if not limbs:
            return Skip(reason=f"no limb of {labels.skeleton.name} has all its joints among the compared ones")
        if self.observer and not can_judge(labels.joints):
            return Skip(reason=CANNOT_JUDGE)
        found = self._found(labels, limbs)
        if np.isnan(found(labels.compared_joints()[0])).all():
            return Skip(reason="nobody has both ends of a limb labeled")
        return MeanPlan(
            note=READINGS[self.loose] + (NOTE if self.observer else ""),
            parts=tuple(limb.name for limb in limbs),
            values=found,
            in_mean=np.ones(len(limbs), bool),
        )

    def _found(self, labels: Labels, limbs: tuple[Limb, ...]) -> Callable[[Array], Array]:
        """Return what turns predictions [n, C, 2] into hits [n, L]."""
        xy, labeled = labels.compared_joints()
        if not self.observer:
            return lambda predicted: hits(predicted, xy, labeled, labels.joints, limbs, loose=self.loose)
        skeleton = labels.compared_skeleton
        turned_xy, turned_labeled = observer_centric(xy, labeled, skeleton)

        def found(predicted: Array) -> Array:
            turned = observer_centric_predictions(predicted, skeleton)
            return hits(turned, turned_xy, turned_labeled, labels.joints, limbs, loose=self.loose)

        return found


METRICS = (
    Pcp(name="pcp@0.5"),
    Pcp(name="pcp_loose@0.5", loose=True),
    Pcp(name="pcp_oc@0.5", needs=("limbs", "shoulders and hips"), observer=True),
)
