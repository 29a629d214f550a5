"""Skeletons: the joint names, left-right pairs, limbs and OKS sigmas of each label layout, one file per layout.

Joints of different skeletons are matched by name, so the same joint has the same name everywhere. `right_ankle` is the
person's own right ankle. A layout that is not listed here is given as a table in spec.toml.
"""

from __future__ import annotations

from edgepose.pose.skeletons.reading import skeleton_from
from edgepose.pose.skeletons.registry import SKELETONS, sigma_origin
from edgepose.pose.skeletons.skeleton import PERSON, Skeleton

__all__ = ["PERSON", "SKELETONS", "Skeleton", "sigma_origin", "skeleton_from"]
