"""Skeletons: the joint names, left-right pairs, limbs and OKS sigmas of each label layout.

Joints of different skeletons are matched by name, so the same joint has the same name everywhere. `right_ankle` is the
person's own right ankle. A layout that is not listed here is given as a table in spec.toml.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from edgepose.errors import SpecError, nearest


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """A label layout of K joints.

    Attributes:
        name: The name of the layout.
        joints: K names, in the order of the network's outputs.
        flips: Pairs of names that a left-right mirror exchanges.
        limbs: Pairs of names that are drawn as lines and that PCP measures.
        sigmas: K numbers, the OKS standard deviation of each joint relative to the person's size (COCO's
            `kpt_oks_sigmas`); empty if unknown.

    Raises:
        SpecError: The fields do not fit together. The message names the field.
    """

    name: str
    joints: tuple[str, ...]
    flips: tuple[tuple[str, str], ...] = ()
    limbs: tuple[tuple[str, str], ...] = ()
    sigmas: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.joints:
            raise SpecError(f"skeleton {self.name!r}: joints is empty; name every output joint in order")
        if len(set(self.joints)) != len(self.joints):
            raise SpecError(f"skeleton {self.name!r}: a joint name occurs twice in {list(self.joints)}")
        for field, pairs in (("flips", self.flips), ("limbs", self.limbs)):
            for joint in (joint for pair in pairs for joint in pair):
                if joint not in self.joints:
                    hint = nearest(joint, self.joints)
                    raise SpecError(f"skeleton {self.name!r}: {field} names unknown joint {joint!r}{hint}")
        for a, b in self.limbs:
            if a == b:
                raise SpecError(f"skeleton {self.name!r}: a limb joins {a!r} to itself; name two joints")
        if self.sigmas and len(self.sigmas) != len(self.joints):
            counts = f"{len(self.sigmas)} sigmas for {len(self.joints)} joints"
            raise SpecError(f"skeleton {self.name!r}: {counts}; give one sigma for each joint")
        if not all(0 < sigma < float("inf") for sigma in self.sigmas):
            raise SpecError(f"skeleton {self.name!r}: sigmas are {list(self.sigmas)}; each must be above 0")
        flipped = [joint for pair in self.flips for joint in pair]
        if len(set(flipped)) != len(flipped):
            raise SpecError(f"skeleton {self.name!r}: a joint occurs twice in flips {list(self.flips)}")

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Return the position of a joint.

        Raises:
            SpecError: The skeleton has no joint of this name.
        """
        if joint not in self.joints:
            raise SpecError(f"skeleton {self.name!r} has no joint {joint!r}{nearest(joint, self.joints)}")
        return self.joints.index(joint)

    def flip_order(self) -> tuple[int, ...]:
        """Return, for each joint, the index of the joint that takes its place in the mirrored image."""
        order = list(range(len(self.joints)))
        for a, b in self.flips:
            i, j = self.index(a), self.index(b)
            order[i], order[j] = j, i
        return tuple(order)

    def limb_indices(self) -> tuple[tuple[int, int], ...]:
        """Return the limbs as pairs of joint indices."""
        return tuple((self.index(a), self.index(b)) for a, b in self.limbs)

    def unreached(self) -> tuple[str, ...]:
        """Return the joints that cannot be reached from the first joint along limbs."""
        reached = _reached(self.joints[0], self.limbs)
        return tuple(joint for joint in self.joints if joint not in reached)

    def linked(self) -> Skeleton:
        """Return a skeleton whose limbs connect all joints, by adding limbs where necessary.

        Grouping joints into people follows limbs, and in most layouts the limbs leave an arm or the head unconnected.

        Raises:
            SpecError: No known limb connects the parts.
        """
        limbs = self.limbs
        for center, name in _JOINS:
            sides = tuple(side for side in (f"right_{name}", f"left_{name}") if side in self.joints)
            if center in self.joints and not _reached(center, limbs).issuperset(sides):
                # Both sides are added, because otherwise a mirrored body would have other limbs.
                limbs += tuple((center, side) for side in sides)
        made = self if limbs == self.limbs else replace(self, name=f"{self.name}-linked", limbs=limbs)
        if made.unreached():
            raise SpecError(
                f"skeleton {self.name!r}: no limbs lead from {self.joints[0]!r} to {', '.join(made.unreached())}; "
                "add limbs that join them"
            )
        return made

    def shared(self, other: Skeleton) -> tuple[str, ...]:
        """Return the joint names that both skeletons have, in the order of this skeleton."""
        return tuple(joint for joint in self.joints if joint in other.joints)

    def only(self, joints: Sequence[str]) -> Skeleton:
        """Return a skeleton with some of the joints of this one, and the flips and limbs between them.

        Args:
            joints: The names to keep, in the order of the new skeleton.

        Raises:
            SpecError: The skeleton has no joint of one of these names.
        """
        rows = [self.index(joint) for joint in joints]
        return Skeleton(
            name=self.name,
            joints=tuple(joints),
            flips=tuple(pair for pair in self.flips if set(pair) <= set(joints)),
            limbs=tuple(pair for pair in self.limbs if set(pair) <= set(joints)),
            sigmas=tuple(self.sigmas[row] for row in rows) if self.sigmas else (),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the skeleton as values for JSON."""
        return {
            "name": self.name,
            "joints": list(self.joints),
            "flips": [list(pair) for pair in self.flips],
            "limbs": [list(pair) for pair in self.limbs],
            "sigmas": [float(sigma) for sigma in self.sigmas],
        }


# Limbs that `linked` may add, from a joint in the middle to a left-right pair, in the order they are tried.
_JOINS = (("neck", "shoulder"), ("thorax", "shoulder"), ("nose", "shoulder"), ("nose", "eye"))


def _reached(start: str, limbs: Sequence[tuple[str, str]]) -> set[str]:
    """Return the joints that can be reached from `start` along limbs, including `start`."""
    reached = {start}
    for _ in limbs:  # The longest path has as many steps as there are limbs.
        reached |= {joint for limb in limbs if reached & {*limb} for joint in limb}
    return reached


def _sided(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"left_{name}", f"right_{name}") for name in names)


_ARMS_AND_LEGS = tuple(
    (f"{side}_{a}", f"{side}_{b}")
    for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
    for side in ("right", "left")
)

# OKS sigmas and their sources. Only COCO and CrowdPose measured sigmas, as the spread of several annotators' labels.
# LSP, MPII and FLIC publish none, so their joints use the sigma of the same joint in COCO or CrowdPose. mmpose's
# sigmas for MPII, "adapted from COCO", are not used: they assign COCO's nose value, 0.026, to pelvis, thorax, neck and
# head top, and 0.179 to the shoulders.
SIGMA_SOURCES = {
    "COCO (Lin et al., ECCV 2014; kpt_oks_sigmas of cocoeval.py)": {
        "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062,
        "hip": 0.107, "knee": 0.087, "ankle": 0.089,
    },
    "CrowdPose (Li et al., CVPR 2019; kpt_oks_sigmas of its cocoeval.py)": {"head_top": 0.079, "neck": 0.079},
    "no published source (COCO's values of the adjacent hips and shoulders)": {"pelvis": 0.107, "thorax": 0.079},
}  # fmt: skip


def _part(joint: str) -> str:
    """Return the joint's name without its side."""
    return joint.removeprefix("left_").removeprefix("right_")


_KNOWN_SIGMAS = {part: sigma for table in SIGMA_SOURCES.values() for part, sigma in table.items()}


def _sigmas(joints: tuple[str, ...]) -> tuple[float, ...]:
    return tuple(_KNOWN_SIGMAS[_part(joint)] for joint in joints)


def sigma_origin(skeleton: Skeleton) -> str:
    """Describe where the sigmas of a skeleton come from, for a report of OKS."""
    parts = [_part(joint) for joint in skeleton.joints]
    if skeleton.sigmas != tuple(_KNOWN_SIGMAS.get(part, 0.0) for part in parts):
        return f"sigmas given with skeleton {skeleton.name}"
    used = {source: sorted(set(parts) & set(table)) for source, table in SIGMA_SOURCES.items()}
    return "sigmas: " + "; ".join(f"{', '.join(names)} of {source}" for source, names in used.items() if names)


def _skeleton(name: str, joints: str, flips: tuple[str, ...], limbs: tuple[tuple[str, str], ...]) -> Skeleton:
    names = tuple(joints.split())
    return Skeleton(name=name, joints=names, flips=_sided(*flips), limbs=limbs, sigmas=_sigmas(names))


SKELETONS: dict[str, Skeleton] = {
    # Johnson & Everingham, BMVC 2010. The order is that of joints.mat.
    "lsp14": _skeleton(
        "lsp14",
        "right_ankle right_knee right_hip left_hip left_knee left_ankle "
        "right_wrist right_elbow right_shoulder left_shoulder left_elbow left_wrist neck head_top",
        ("ankle", "knee", "hip", "wrist", "elbow", "shoulder"),
        (
            *_ARMS_AND_LEGS,
            ("neck", "head_top"),
            ("right_shoulder", "right_hip"),
            ("left_shoulder", "left_hip"),
        ),
    ),
    "coco17": _skeleton(
        "coco17",
        "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow "
        "left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle",
        ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"),
        (
            *_ARMS_AND_LEGS,
            ("left_shoulder", "right_shoulder"),
            ("left_hip", "right_hip"),
            ("right_shoulder", "right_hip"),
            ("left_shoulder", "left_hip"),
            ("nose", "left_eye"),
            ("nose", "right_eye"),
            ("left_eye", "left_ear"),
            ("right_eye", "right_ear"),
        ),
    ),
    "mpii16": _skeleton(
        "mpii16",
        "right_ankle right_knee right_hip left_hip left_knee left_ankle pelvis thorax neck head_top "
        "right_wrist right_elbow right_shoulder left_shoulder left_elbow left_wrist",
        ("ankle", "knee", "hip", "wrist", "elbow", "shoulder"),
        (
            *_ARMS_AND_LEGS,
            ("neck", "head_top"),
            ("thorax", "neck"),
            ("pelvis", "thorax"),
            ("right_hip", "pelvis"),
            ("left_hip", "pelvis"),
        ),
    ),
    # Sapp & Taskar, CVPR 2013. FLIC labels these 11 of its 29 joints.
    "flic11": _skeleton(
        "flic11",
        "left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist left_hip right_hip "
        "left_eye right_eye nose",
        ("shoulder", "elbow", "wrist", "hip", "eye"),
        (
            *_ARMS_AND_LEGS[:4],
            ("left_shoulder", "right_shoulder"),
            ("right_shoulder", "right_hip"),
            ("left_shoulder", "left_hip"),
        ),
    ),
}


def skeleton_from(value: object, where: str) -> Skeleton:
    """Return the skeleton that a spec names or describes.

    Args:
        value: The name of a built-in skeleton, or a table with joints and optional name, flips, limbs and sigmas.
        where: The file and the field, for messages.

    Raises:
        SpecError: The name or the table is wrong.
    """
    if isinstance(value, str):
        if value not in SKELETONS:
            raise SpecError(f"{where}: unknown skeleton {value!r}{nearest(value, SKELETONS)}")
        return SKELETONS[value]
    if not isinstance(value, dict):
        got = type(value).__name__
        raise SpecError(f"{where}: skeleton must be a name or a table with joints, got {got}")
    keys = {"name", "joints", "flips", "limbs", "sigmas"}
    for key in value:
        if key not in keys:
            raise SpecError(f"{where}: skeleton has unknown key {key!r}{nearest(key, keys)}")
    if "joints" not in value:
        raise SpecError(f"{where}: the skeleton table has no joints; name every output joint in order")
    fields: dict[str, Any] = {
        "name": _text(value.get("name", "custom"), f"{where}: skeleton name"),
        "joints": _texts(value["joints"], f"{where}: skeleton joints"),
        "flips": _pairs(value.get("flips", []), f"{where}: skeleton flips"),
        "limbs": _pairs(value.get("limbs", []), f"{where}: skeleton limbs"),
        "sigmas": _sigma_list(value.get("sigmas", []), f"{where}: skeleton sigmas"),
    }
    try:
        return Skeleton(**fields)
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from error


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise SpecError(f"{where}: expected a name, got {value!r}")
    return value


def _texts(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise SpecError(f"{where}: expected a list of names, got {value!r}")
    return tuple(_text(item, where) for item in value)


def _pairs(value: object, where: str) -> tuple[tuple[str, str], ...]:
    pairs = [_texts(item, where) for item in value] if isinstance(value, (list, tuple)) else [()]
    if not all(len(pair) == 2 for pair in pairs):
        raise SpecError(f"{where}: expected a list of pairs of names, got {value!r}")
    return tuple((pair[0], pair[1]) for pair in pairs)


def _sigma_list(value: Any, where: str) -> tuple[float, ...]:
    listed = isinstance(value, (list, tuple))
    if not listed or any(isinstance(n, bool) or not isinstance(n, (int, float)) for n in value):
        raise SpecError(f"{where}: expected a list of numbers, got {value!r}")
    return tuple(float(number) for number in value)
