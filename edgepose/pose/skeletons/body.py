"""Pairs of joints that several layouts have in common."""

from __future__ import annotations

Pairs = tuple[tuple[str, str], ...]


def sided(*names: str) -> Pairs:
    """Return the left-right pair of each name, as in ("left_hip", "right_hip")."""
    return tuple((f"left_{name}", f"right_{name}") for name in names)


def both_sides(*pairs: tuple[str, str]) -> Pairs:
    """Return each pair of names on both sides, as in ("right_hip", "right_knee"), ("left_hip", "left_knee")."""
    return tuple((f"{side}_{a}", f"{side}_{b}") for a, b in pairs for side in ("right", "left"))


def chain(names: tuple[str, ...], *, closed: bool = False) -> Pairs:
    """Return the limbs from each name to the next one, and from the last to the first where `closed`."""
    ends = (*names[1:], names[0]) if closed else names[1:]
    return tuple(zip(names, ends, strict=False))


ARMS_AND_LEGS = both_sides(("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
TRUNK = (
    ("left_shoulder", "right_shoulder"),
    ("left_hip", "right_hip"),
    ("right_shoulder", "right_hip"),
    ("left_shoulder", "left_hip"),
)
FACE_OF_COCO = (("nose", "left_eye"), ("nose", "right_eye"), ("left_eye", "left_ear"), ("right_eye", "right_ear"))
FEET = both_sides(("ankle", "big_toe"), ("ankle", "small_toe"), ("ankle", "heel"))
