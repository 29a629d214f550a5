"""The skeleton of a network that only says how many joints it has."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgepose.pose.skeletons import SKELETONS, Skeleton
from edgepose.recognize.candidate import Guess

# Number of joints -> the layouts that published networks with so many joints have, the usual one first. A name that
# `SKELETONS` does not hold is passed over.
BY_COUNT: dict[int, tuple[str, ...]] = {
    11: ("flic11",),
    14: ("crowdpose14", "aic14", "lsp14"),
    15: ("jhmdb15",),
    16: ("mpii16",),
    17: ("coco17",),
    18: ("openpose18",),
    21: ("hand21",),
    25: ("body25",),
    26: ("halpe26",),
    33: ("blazepose33",),
    68: ("face68",),
    106: ("face106",),
    133: ("coco_wholebody133", "wholebody133"),
}


def skeleton_of(joints: int, names: Sequence[str] = (), hint: str = "") -> tuple[Skeleton, tuple[Guess, ...]]:
    """Return the skeleton of a network, and what was guessed about it.

    Args:
        joints: The number of joints.
        names: The names of the joints, where the network states them; they are used if there are as many.
        hint: A text that may hold the name of the data set, such as the name of a training configuration.

    Returns:
        The skeleton: one with the stated names, else the usual one of so many joints, else joint0, joint1 and so on.
        The guesses are empty where the names or the data set are stated.
    """
    if len(names) == joints and len(set(names)) == joints and all(names):
        return _named(names), ()
    if names:
        found, _ = skeleton_of(joints, hint=hint)
        return found, (Guess(field="skeleton", value=found.name, reason=_unused(joints, names)),)
    known = [SKELETONS[name] for name in BY_COUNT.get(joints, ()) if name in SKELETONS]
    known += [one for one in SKELETONS.values() if len(one) == joints and one not in known]
    if not known:
        made = Skeleton(name=f"joints{joints}", joints=tuple(f"joint{i}" for i in range(joints)))
        reason = f"no known skeleton has {joints} joints, so they are numbered; name them in the contract"
        return made, (Guess(field="skeleton", value=made.name, reason=reason),)
    if hinted := [one for one in known if _words(one.name) <= _words(hint)]:
        return hinted[0], ()
    others = f"; {' and '.join(one.name for one in known[1:])} also have {joints}" if known[1:] else ""
    reason = f"assumed, as the network has {joints} joints and does not name them{others}"
    return known[0], (Guess(field="skeleton", value=known[0].name, reason=reason),)


def _unused(joints: int, names: Sequence[str]) -> str:
    """Say why stated names are not those of the joints."""
    if len(names) != joints:
        return f"it names {len(names)} joints and has {joints}, so that its names are not used"
    return f"of the {joints} names of its joints only {len(set(names) - {''})} differ, so that its names are not used"


def _words(text: str) -> set[str]:
    """Return the words of a text without numbers at their ends: "halpe" of "body8-halpe26_256x192"."""
    return {word.rstrip("0123456789") for word in re.split(r"[^a-z0-9]+", text.lower())} - {""}


def _named(names: Sequence[str]) -> Skeleton:
    """Return the known skeleton with these names, else one of its own, whose left and right joints are pairs."""
    for known in SKELETONS.values():
        if known.joints == tuple(names):
            return known
    flips = tuple(
        (name, other)
        for name in names
        if name.startswith("left_") and (other := f"right_{name.removeprefix('left_')}") in names
    )
    return Skeleton(name="custom", joints=tuple(names), flips=flips)
