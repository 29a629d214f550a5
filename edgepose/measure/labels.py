"""Reading the ground truth of a data set for measuring: who is counted, and on which joints.

Which metrics the labels allow is decided in `edgepose.measure.plan`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepose._checks import Array
from edgepose.datasets.samples import PoseData, Sample, pictures
from edgepose.errors import DataError
from edgepose.metrics import oks
from edgepose.metrics.labels import Labels
from edgepose.pose.skeletons import Skeleton


def shared_joints(data: PoseData, skeletons: Sequence[Skeleton]) -> tuple[str, ...]:
    """Find the joints of the data that every skeleton has.

    Args:
        data: The data set.
        skeletons: The skeletons of the engines.

    Returns:
        Joint names in the data's order.

    Raises:
        DataError: There is no such joint.
    """
    shared = set(data.skeleton.joints).intersection(*(skeleton.joints for skeleton in skeletons))
    if not shared:
        names = ", ".join(sorted({skeleton.name for skeleton in skeletons}))
        raise DataError(
            f"{data.name}: its skeleton {data.skeleton.name} shares no joint with {names}; "
            "choose data labeled with the network's joints, or correct the joint names in its spec"
        )
    return tuple(joint for joint in data.skeleton.joints if joint in shared)


def gather(data: PoseData, joints: Sequence[str], *, detected: bool = False) -> Labels:
    """Read the labels of all samples. No image is read.

    Args:
        data: The data set. Images are numbered in the order of `pictures`.
        joints: The compared joints.
        detected: Whether the predictions are of detected people instead of one per labeled person.

    Raises:
        DataError: No counted person has a label for any of the joints.
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
    return Labels(
        skeleton=data.skeleton,
        compared=compared,
        people=people,
        head_px=np.array([sample.head_px for sample in samples], np.float64),
        images=images,
        empty=len(known) - images,
        counted=counted,
        detected=detected,
    )


def _people(samples: Sequence[Sample], image: Array, joints: int) -> oks.People:
    n = len(samples)
    labeled = np.array([sample.labeled for sample in samples], bool).reshape(n, joints)
    # A sample that is ignored although it has joints is treated as a crowd: no other kind of label is like that.
    crowd = [sample.crowd or (sample.ignore and bool(sample.labeled.any())) for sample in samples]
    return oks.People(
        image=image,
        xy_image=np.array([sample.xy_image for sample in samples], np.float64).reshape(n, joints, 2),
        labeled=labeled,
        boxes_xyxy=np.array([sample.box_xyxy for sample in samples], np.float64).reshape(n, 4),
        area=np.array([sample.area for sample in samples], np.float64),
        crowd=np.array(crowd, bool),
    )
