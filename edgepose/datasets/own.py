"""A user's own labels: a JSON file in COCO's format and, for a joint layout that is not built in, a TOML file.

    json:labels.json                    the joints of a built-in layout (coco17, lsp14, mpii16, flic11)
    json:labels.json:skeleton.toml      any other layout; the TOML file describes the skeleton:

    name = "hand"
    joints = ["wrist", "left_tip", "right_tip"]           # in the order of `keypoints`
    flips = [["left_tip", "right_tip"]]                   # joints that a mirrored image exchanges
    limbs = [["wrist", "left_tip"], ["wrist", "right_tip"]]   # lines to draw; PCP measures them
    sigmas = [0.06, 0.04, 0.04]                           # for OKS; without them OKS is not computed

Images are in the folder `images/` next to the JSON file if it exists, otherwise in the folder of the JSON file.
`file_name` may contain folders. `cocojson.py` lists the fields that may be omitted.
"""

from __future__ import annotations

from pathlib import Path

from edgepose.artifacts.spec import read_toml
from edgepose.datasets.cocojson import LabelFile, label_list, read_labels
from edgepose.datasets.samples import SampleList
from edgepose.errors import DataError
from edgepose.pose.skeletons import SKELETONS, Skeleton, skeleton_from


def load_own(path: Path, skeleton: Path | None = None) -> SampleList:
    """Load labels in COCO's JSON format.

    Args:
        path: The JSON file.
        skeleton: A TOML file with the skeleton; None if the joints are those of a built-in layout.

    Returns:
        The data set.

    Raises:
        DataError: The labels are wrong. The message names the file and the field.
        SpecError: The skeleton is wrong. The message names the file and the field.
    """
    labels = read_labels(path)
    chosen = _known(labels) if skeleton is None else _written(labels, skeleton)
    images = path.parent / "images"
    folder = images if images.is_dir() else path.parent
    name = f"json:{path}" if skeleton is None else f"json:{path}:{skeleton}"
    return label_list(labels, name=name, skeleton=chosen, folder=folder, own=True)


def _known(labels: LabelFile) -> Skeleton:
    for skeleton in SKELETONS.values():
        if labels.joints == skeleton.joints:
            return skeleton
    named = "names no joints" if labels.joints is None else f"has the joints {', '.join(labels.joints)}"
    raise DataError(
        f"{labels.path}: its category {named}, which is not a built-in layout; describe the skeleton in a TOML file "
        f"(joints, flips, limbs, sigmas) and write json:{labels.path}:skeleton.toml"
    )


def _written(labels: LabelFile, path: Path) -> Skeleton:
    skeleton = skeleton_from(read_toml(path, "skeleton"), str(path))
    if labels.joints is not None and labels.joints != skeleton.joints:
        raise DataError(
            f"{path}: joints are {', '.join(skeleton.joints)}, but keypoints of {labels.path} are "
            f"{', '.join(labels.joints)}; make them the same, in the same order"
        )
    return skeleton
