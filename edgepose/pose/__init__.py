"""The vocabulary every other module speaks: skeletons, poses, geometry."""

from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import SKELETONS, Skeleton

__all__ = ["SKELETONS", "Poses", "Skeleton"]
