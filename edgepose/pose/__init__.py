"""Types that all other packages use: skeletons, poses and the geometry of crops."""

from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import SKELETONS, Skeleton

__all__ = ["SKELETONS", "Poses", "Skeleton"]
