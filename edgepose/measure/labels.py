"""The labels of a data set, gathered for measuring: who counts, on which joints.

Which metrics they allow is decided in `plan.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgepose._checks import Array
from edgepose.datasets.samples import PoseData, Sample, pictures
from edgepose.errors import DataError
from edgepose.metrics import oks
from edgepose.pose.skeletons import Skeleton


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The labels of N samples over the data's joints, what is compared, and who counts."""

    skeleton: Skeleton
    compared: Array  # [C] int: the joints compared, as indices of skeleton
    people: oks.People  # all N samples, all joints
    head_px: Array  # [N] float, NaN where the labels have no head box
    images: int  # with people; those without come after them where a detector looks at them too
    empty: int
    counted: Array  # [N] bool

    @property
    def joints(self) -> tuple[str, ...]:
        return tuple(self.skeleton.joints[i] for i in self.compared)

    @property
    def n(self) -> int:
        """How many people count."""
        return int(self.counted.sum())

    def compared_people(self) -> oks.People:
        """All N samples over the compared joints."""
        xy, labeled = self.people.xy_image[:, self.compared], self.people.labeled[:, self.compared]
        return replace(self.people, xy_image=xy, labeled=labeled)


def shared_joints(data: PoseData, skeletons: Sequence[Skeleton]) -> tuple[str, ...]:
    """The joints of the data that every skeleton has, in the data's order. DataError when there is none."""
    shared = set(data.skeleton.joints).intersection(*(skeleton.joints for skeleton in skeletons))
    if not shared:
        names = ", ".join(sorted({skeleton.name for skeleton in skeletons}))
        raise DataError(
            f"{data.name}: its skeleton {data.skeleton.name} shares no joint with {names}; "
            "choose data labeled with the network's joints, or correct the joint names in its spec"
        )
    return tuple(joint for joint in data.skeleton.joints if joint in shared)


def gather(data: PoseData, joints: Sequence[str]) -> Truth:
    """The labels of all samples, with `joints` compared; no image is read.

    Images count in the order of `pictures`. DataError when nobody that counts has a label for any joint.
    """
    samples = [data[i] for i in range(len(data))]
    compared = np.array([data.skeleton.index(joint) for joint in joints])
    known = {(picture.image_id, picture.name): i for i, picture in enumerate(pictures(data, samples))}
    image = np.array([known[sample.image_id, sample.name] for sample in samples], np.int64)
    people = _people(samples, image, len(data.skeleton))
    ignore = np.array([sample.ignore for sample in samples], bool)
    counted = ~ignore & people.labeled[:, compared].any(axis=1)
    if not counted.any():
        raise DataError(f"{data.name}: nobody has a label for any of {', '.join(joints)}; choose other data")
    images = int(image.max()) + 1
    return Truth(
        skeleton=data.skeleton,
        compared=compared,
        people=people,
        head_px=np.array([sample.head_px for sample in samples], np.float64),
        images=images,
        empty=len(known) - images,
        counted=counted,
    )


def _people(samples: Sequence[Sample], image: Array, joints: int) -> oks.People:
    n = len(samples)
    labeled = np.array([sample.labeled for sample in samples], bool).reshape(n, joints)
    # ignored though it has joints: nothing but a crowd is
    crowd = [sample.crowd or (sample.ignore and bool(sample.labeled.any())) for sample in samples]
    return oks.People(
        image=image,
        xy_image=np.array([sample.xy_image for sample in samples], np.float64).reshape(n, joints, 2),
        labeled=labeled,
        boxes_xyxy=np.array([sample.box_xyxy for sample in samples], np.float64).reshape(n, 4),
        area=np.array([sample.area for sample in samples], np.float64),
        crowd=np.array(crowd, bool),
    )
