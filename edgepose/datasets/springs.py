"""Learn a tree of springs for a network from the labels of a data set, without reading its images.

spec = replace(spec, codec=replace(spec.codec, pictorial=learn_springs(data, spec)))
"""

from __future__ import annotations

import numpy as np

from edgepose.artifacts.spec import ModelSpec
from edgepose.codecs import pictorial
from edgepose.codecs.springs import PictorialSpec
from edgepose.datasets.samples import PoseData, counted
from edgepose.datasets.targets import joints_in
from edgepose.errors import DataError
from edgepose.pose.geometry import apply_affine, crop_affine


def learn_springs(
    data: PoseData, spec: ModelSpec, weight: float = PictorialSpec.weight, floor: float = PictorialSpec.floor
) -> PictorialSpec:
    """Fit the tree of `pictorial.fit` to all people of a data set, in crops as the contract defines them.

    Args:
        data: The data set.
        spec: The contract of the network.
        weight: The weight of the springs, see `PictorialSpec`.
        floor: The floor of the springs, see `PictorialSpec`.

    Raises:
        DataError: The data set has no people, or a joint of the network is labeled too rarely.
    """
    people = [data[i] for i in counted(data)]
    if not people:
        raise DataError(f"{data.name} has no people to learn springs from; choose another data set or split")
    size, padding = spec.input.size, spec.crop.padding
    found = [joints_in(person, spec.skeleton, data.skeleton) for person in people]
    crops = [crop_affine(person.box_xyxy, size, padding=padding) for person in people]
    xy = np.stack([apply_affine(crop, joints) for crop, (joints, _) in zip(crops, found, strict=True)])
    return pictorial.fit(xy / size[0], np.stack([labeled for _, labeled in found]), weight, floor)
