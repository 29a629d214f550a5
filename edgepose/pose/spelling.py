"""Joint names in other spellings: LShoulder, l_shoulder, "Left Shoulder" and shoulder.L are left_shoulder."""

from __future__ import annotations

import re
from collections.abc import Iterable

from edgepose.pose.skeletons import SKELETONS

_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_SIDES = {"l": "left", "left": "left", "lft": "left", "r": "right", "right": "right", "rgt": "right"}
_SHORT = {
    "ank": "ankle", "kne": "knee", "wri": "wrist", "elb": "elbow", "sho": "shoulder", "shou": "shoulder",
    "headtop": "head_top", "top_head": "head_top", "top_of_head": "head_top", "upper_neck": "neck",
}  # fmt: skip
KNOWN = frozenset(joint for skeleton in SKELETONS.values() for joint in skeleton.joints)
_PARTS = frozenset(joint.removeprefix("left_").removeprefix("right_") for joint in KNOWN)


def usual_name(joint: str) -> str:
    """Return the name that the built-in skeletons give a joint, or `joint` unchanged where it is none of theirs.

    Args:
        joint: The name of a joint in any spelling.
    """
    if joint in KNOWN:
        return joint
    words = [word.lower() for word in _WORDS.findall(joint)]
    sides = [i for i in (0, len(words) - 1) if words and words[i] in _SIDES]
    side = _SIDES[words.pop(sides[0])] if sides else ""
    part = "_".join(words)
    if not side:
        side, part = _glued(part)
    part = _SHORT.get(part, part)
    name = f"{side}_{part}" if side else part
    return name if name in KNOWN else joint


def usual_names(joints: Iterable[str]) -> tuple[str, ...]:
    """Return `usual_name` of each joint."""
    return tuple(usual_name(joint) for joint in joints)


def _glued(word: str) -> tuple[str, str]:
    """Split a word such as lshoulder or leftshoulder into side and part."""
    for start, side in sorted(_SIDES.items(), key=lambda item: -len(item[0])):
        rest = word.removeprefix(start)
        if rest != word and (rest in _PARTS or rest in _SHORT):
            return side, rest
    return "", word
