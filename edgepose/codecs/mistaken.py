"""Say what an output probably is that a codec cannot decode, from its shape.

An output of a wrong shape is usually of another known form: channels last, joints that are decoded already, the maps of
several stages. A message that names the form says what to do about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgepose.pose.skeletons import SKELETONS

if TYPE_CHECKING:
    from edgepose.artifacts.spec import ModelSpec

LONGEST_VECTOR = 3  # x, y and a score
DETECTIONS = 300  # rows of a detector's output; no network has so many joints or map pixels along one axis
BOX = 5  # x0, y0, x1, y1, score
BLAZEPOSE = 39 * 5  # landmarks, each with x, y, z, visibility and presence
STRIDES = (1, 2, 4, 8, 16, 32)  # input pixels per map pixel
RAW = "name the output in front of the decoder in outputs, or export the network without its decoder"


def mistaken(shape: Sequence[int], contract: ModelSpec) -> str | None:
    """Return what an output is and what to do, as the end of a sentence "it ...", or None where it is no known form.

    Args:
        shape: The shape of the output for one image, with the batch axis.
        contract: The contract that the output does not fit.
    """
    joints = len(contract.skeleton)
    if tuple(shape[:1]) != (1,):
        return _baked_in(shape, joints)
    rest = tuple(shape[1:])
    for form in FORMS:
        found = form(rest, joints, contract)
        if found is not None:
            return found
    return None


def candidates(joints: int) -> str:
    """Return the names of the known skeletons with this number of joints, as the end of a sentence; "" for none."""
    names = [repr(name) for name, skeleton in SKELETONS.items() if len(skeleton) == joints]
    return f" ({' or '.join(names)} {'has' if len(names) == 1 else 'have'} {joints})" if names else ""


def _baked_in(shape: Sequence[int], joints: int) -> str | None:
    if len(shape) < 2 or shape[0] < 2 or not {joints, joints + 1, 2 * joints, 3 * joints} & set(shape[1:]):
        return None
    return (
        f"has {shape[0]} entries for one image: a batch of {shape[0]} is baked into the graph; export the network with "
        "batch size 1, or with a dynamic batch axis"
    )


def _decoded(rest: tuple[int, ...], joints: int, contract: ModelSpec) -> str | None:
    """[K, 2], [K, 3], and the same with axes of length 1, as MoveNet has them."""
    axes = tuple(length for length in rest if length != 1)
    if len(axes) != 2 or axes[1] not in (2, LONGEST_VECTOR) or axes[0] == axes[1]:
        return None
    if contract.codec.name == "regression":
        if axes[0] != joints or rest == axes:
            return None
        wanted = f"[1, {joints}, {axes[1]}]"
        return f"has an axis of length 1 too many; remove it (Squeeze) to get {wanted}, x before y (MoveNet: y, x)"
    order = " (MoveNet gives y, x, score)" if axes[1] == LONGEST_VECTOR else ""
    return (
        f"looks like {axes[0]} joints that the network has decoded already{order}; {RAW}, "
        'or use codec = { type = "regression" } if it is x, y (and a score)'
    )


def _channels_last(rest: tuple[int, ...], joints: int, contract: ModelSpec) -> str | None:
    if len(rest) != 3 or rest[0] == joints or min(rest[:2]) <= LONGEST_VECTOR:
        return None
    covers, turned = (_covers(size, contract.input.size) for size in (rest[:2], rest[1:]))
    if rest[2] not in (joints, joints + 1) and (turned or not covers):
        return None
    return (
        f"looks like maps whose channels are last, [h, w, {rest[2]}]; export the network with channels first, or add "
        "a Transpose with perm [0, 3, 1, 2] behind this output"
    )


def _covers(maps: tuple[int, ...], size: tuple[int, int]) -> bool:
    """Whether maps of this height and width cover an input evenly."""
    return any(size == (maps[0] * stride, maps[1] * stride) for stride in STRIDES)


def _maps(rest: tuple[int, ...], joints: int, contract: ModelSpec) -> str | None:
    """Heatmaps for a codec of another kind, and a background map too many for the codec of heatmaps."""
    if len(rest) != 3 or min(rest[1:]) <= LONGEST_VECTOR:
        return None
    if rest[0] == joints + 1 and contract.codec.name == "heatmap":
        return (
            f"has one map more than the skeleton {contract.skeleton.name!r} has joints, which is usually the "
            f"background; remove it (Slice) before the output{_other_skeleton(rest[0])}"
        )
    if rest[0] == joints and contract.codec.name in ("regression", "simcc"):
        return 'looks like heatmaps; use codec = { type = "heatmap" }'
    return None


def _other_skeleton(joints: int) -> str:
    known = candidates(joints)
    return f", or, if there is none, name the skeleton that the network was trained for{known}" if known else ""


def _stages(rest: tuple[int, ...], joints: int, contract: ModelSpec) -> str | None:
    if len(rest) != 4 or joints not in rest[:2]:
        return None
    stages = rest[0] if rest[1] == joints else rest[1]
    return f"looks like the maps of {stages} stages; export only those of the last stage"


def _vectors(rest: tuple[int, ...], joints: int, contract: ModelSpec) -> str | None:
    if len(rest) != 2 or rest[0] != joints or rest[1] <= LONGEST_VECTOR or contract.codec.name == "simcc":
        return None
    splits = (1.0, 1.5, 2.0, 3.0)  # bins per pixel that published networks have
    if rest[1] in {round(length * split) for length in contract.input.size for split in splits}:
        return 'looks like SimCC vectors; use codec = { type = "simcc" } and name the outputs of x and y'
    return None


def _flat_maps(rest: tuple[int, ...], joints: int, contract: ModelSpec) -> str | None:
    """[K, h * w], the maps of a network whose last layer reshapes them."""
    if len(rest) != 2 or rest[0] not in (joints, joints + 1) or contract.codec.name == "simcc":
        return None
    height, width = contract.input.size
    for stride in STRIDES:
        if height % stride == width % stride == 0 and rest[1] == height // stride * (width // stride):
            shape = [-1, rest[0], height // stride, width // stride]
            return f"looks like heatmaps whose pixels are in one row; add a Reshape to {shape} behind it"
    return None


def _exchanged(rest: tuple[int, ...], joints: int, contract: ModelSpec) -> str | None:
    """[2, K] and [3, K], coordinates with the joints last."""
    if len(rest) != 2 or rest[1] != joints or rest[0] not in (2, LONGEST_VECTOR) or rest[0] == joints:
        return None
    wanted = f"[1, {joints}, {rest[0]}]"
    return (
        f"looks like coordinates whose joints are last; add a Transpose with perm [0, 2, 1] behind it to get {wanted}"
    )


def _positions(rest: tuple[int, ...], joints: int, contract: ModelSpec) -> str | None:
    """[K], where the network ends with an ArgMax."""
    if rest not in ((joints,), (joints, 1), (1, joints)) or joints == 1:
        return None
    return f"has one number for each of the {joints} joints, as an ArgMax or a maximum gives; {RAW}"


def _flat(rest: tuple[int, ...], joints: int, contract: ModelSpec) -> str | None:
    if len(rest) != 1:
        return None
    if rest[0] in (2 * joints, 3 * joints):
        return f"is flat; add a Reshape to [-1, {joints}, {rest[0] // joints}] behind it"
    if rest[0] == BLAZEPOSE:
        return (
            f"is flat: {BLAZEPOSE} values are the 39 landmarks of BlazePose, each x, y, z, visibility and presence in "
            "pixels; add nodes that keep x and y of your skeleton's joints, divided by the input's size, as "
            f'[1, {joints}, 2], and use range = "unit"'
        )
    return None


def _detections(rest: tuple[int, ...], joints: int, contract: ModelSpec) -> str | None:
    if len(rest) != 2 or contract.codec.name == "simcc":
        return None
    rows = max(rest)
    if rows < DETECTIONS and rest[1] != BOX:
        return None
    raw = "raw detections" if rows >= DETECTIONS else "boxes with scores"
    return (
        f"looks like the {rows} {raw} of a network that finds people by itself, which this codec does "
        f'not decode; use a top-down network, or codec = {{ type = "onestage" }} with one output '
        f"[1, people, {BOX + 3 * joints}]: box, score, and x, y, score of each joint"
    )


FORMS = (
    _decoded,
    _channels_last,
    _maps,
    _stages,
    _vectors,
    _flat_maps,
    _exchanged,
    _positions,
    _flat,
    _detections,
)
