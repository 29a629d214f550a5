"""`Skeleton`: the joint names, left-right pairs, limbs and OKS sigmas of one label layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from edgepose.errors import SpecError, nearest

NO_JOINTS = "person"  # the name of the only layout without joints


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """A label layout of K joints. Only the layout of a person detector, `PERSON`, has none.

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
        if not self.joints and self.name != NO_JOINTS:
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
        reached = _reached(self.joints[0], self.limbs) if self.joints else set()
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


PERSON = Skeleton(name=NO_JOINTS, joints=())  # what a person detector finds: a box, and no joint
