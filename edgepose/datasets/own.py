"""A user's own labels: one JSON of COCO's kind, and where its joints are no published layout one TOML file.

    json:labels.json                    the joints of a layout that is known (coco17, lsp14, mpii16, flic11)
    json:labels.json:skeleton.toml      any other; the TOML is the skeleton:

    name = "hand"
    joints = ["wrist", "left_tip", "right_tip"]           # in the order of `keypoints`
    flips = [["left_tip", "right_tip"]]                   # what a mirror exchanges
    limbs = [["wrist", "left_tip"], ["wrist", "right_tip"]]   # what is drawn, and what PCP measures
    sigmas = [0.06, 0.04, 0.04]                           # OKS; without them OKS is not measured

Images are in `images/` beside the JSON where that folder is, else in the JSON's own folder; `file_name` may hold
folders. Which fields may be left out: `cocojson.py`.
"""

from __future__ import annotations

from pathlib import Path

from edgepose.artifacts.spec import read_toml
from edgepose.datasets.cocojson import LabelFile, label_list, read_labels
from edgepose.datasets.samples import SampleList
from edgepose.errors import DataError
from edgepose.pose.skeletons import SKELETONS, Skeleton, skeleton_from


def load_own(path: Path, skeleton: Path | None = None) -> SampleList:
    """The labels of a COCO-style JSON, with the skeleton of a TOML file where one is given.

    DataError names the file and the field that is wrong, SpecError the same for the skeleton.
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
        f"{labels.path}: its category {named}, which is no layout known here; describe it in a TOML file "
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
