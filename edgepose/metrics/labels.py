"""The ground truth of a data set in the form that metrics take: who is counted, and which joints are compared.

`edgepose.measure.labels.gather` reads it from a data set.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edgepose._checks import Array
from edgepose.metrics import oks
from edgepose.pose.skeletons import Skeleton


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The labels of N samples over all joints of the data set, of which n are counted and C joints are compared.

    Attributes:
        skeleton: The skeleton of the labels, with K joints.
        compared: [C] int, the compared joints as indices into `skeleton.joints`.
        people: All N samples with all K joints.
        head_px: [N] float, the head size in pixels; NaN where the labels have no head box.
        images: Number of images that show a labeled person. They are numbered from 0.
        empty: Number of images without a labeled person. They are numbered after the others.
        counted: [N] bool, who is counted: people that are not ignored and have a compared joint labeled.
        detected: Whether the predictions are of detected people instead of one per labeled person.
    """

    skeleton: Skeleton
    compared: Array
    people: oks.People
    head_px: Array
    images: int
    empty: int
    counted: Array
    detected: bool = False

    @property
    def joints(self) -> tuple[str, ...]:
        """The names of the C compared joints."""
        return tuple(self.skeleton.joints[i] for i in self.compared)

    @property
    def n(self) -> int:
        """The number of counted people."""
        return int(self.counted.sum())

    @property
    def compared_skeleton(self) -> Skeleton:
        """The skeleton of the compared joints alone."""
        return self.skeleton.only(self.joints)

    @property
    def sigmas(self) -> Array:
        """[C] float64, the OKS sigmas of the compared joints; [0] where the skeleton has none."""
        return np.array(self.skeleton.sigmas)[self.compared] if self.skeleton.sigmas else np.zeros(0)

    def all_joints(self) -> tuple[Array, Array]:
        """Return (xy_image [n, K, 2], labeled [n, K] bool) of the counted people over all joints."""
        return self.people.xy_image[self.counted], self.people.labeled[self.counted]

    def compared_joints(self) -> tuple[Array, Array]:
        """Return (xy_image [n, C, 2], labeled [n, C] bool) of the counted people over the compared joints."""
        xy, labeled = self.all_joints()
        return xy[:, self.compared], labeled[:, self.compared]

    def compared_people(self) -> oks.People:
        """Return all N samples over the compared joints."""
        xy, labeled = self.people.xy_image[:, self.compared], self.people.labeled[:, self.compared]
        return replace(self.people, xy_image=xy, labeled=labeled)
