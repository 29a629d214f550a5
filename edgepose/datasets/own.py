"""A user's own labels: a JSON file in COCO's format and, for a joint layout that is not built in, a TOML file.

    json:labels.json                       the joints of a built-in layout (coco17, lsp14, mpii16, flic11), in any order
                                           and spelling, or some of them
    json:labels.json:lsp14                 a built-in layout, for a file that names no joints
    json:labels.json:skeleton.toml         any other layout; the TOML file describes the skeleton
    json:labels.json:CATEGORY              one of several categories with joints, by its name or id
    json:labels.json:skeleton.toml:CATEGORY

    name = "hand"
    joints = ["wrist", "left_tip", "right_tip"]           # in the order of `keypoints`
    flips = [["left_tip", "right_tip"]]                   # joints that a mirrored image exchanges
    limbs = [["wrist", "left_tip"], ["wrist", "right_tip"]]   # lines to draw; PCP measures them
    sigmas = [0.06, 0.04, 0.04]                           # for OKS; without them OKS is not computed

Images are in the folder `images/` next to the JSON file, in the folder of the JSON file, or, where that folder is
called annotations, in `images/` next to it. `file_name` may contain
folders; `imagefiles.py` says which other forms are understood. `cocojson.py` lists the fields that may be omitted.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from edgepose.artifacts.spec import read_toml
from edgepose.datasets.cocojson import LabelFile, label_list, read_labels
from edgepose.datasets.remarks import Kind
from edgepose.datasets.samples import SampleList
from edgepose.errors import DataError
from edgepose.pose.skeletons import SKELETONS, Skeleton, skeleton_from
from edgepose.pose.spelling import KNOWN, usual_names

SPELLING = Kind("joint names in another spelling", "they are read as the joints of the built-in layouts")


def load_own(path: Path, skeleton: str | Path | None = None, category: str | None = None) -> SampleList:
    """Load labels in COCO's JSON format.

    Args:
        path: The JSON file.
        skeleton: The name of a built-in layout, or a TOML file with the skeleton; None if the category names the
            joints of a built-in layout.
        category: The name or the id of the category; None if only one category has joints, or one is called person.

    Returns:
        The data set.

    Raises:
        DataError: The labels are wrong. The message names the file and the field.
        SpecError: The skeleton is wrong. The message names the file and the field.
    """
    labels = read_labels(path, category)
    chosen = _known(labels) if skeleton is None else _written(labels, skeleton)
    images = path.parent / "images"
    folders = [images, path.parent] if images.is_dir() else [path.parent]
    beside = path.parent.parent / "images"  # as COCO and CVAT lay out annotations/labels.json
    folders += [beside] if path.resolve().parent.name == "annotations" and beside.is_dir() else []
    name = ":".join(str(part) for part in ("json", path, skeleton, category) if part is not None)
    return label_list(labels, name=name, skeleton=chosen, folders=folders, own=True)


def _known(labels: LabelFile) -> Skeleton:
    """Return the built-in layout whose joints the file names, with the joints in the order of the file."""
    joints = labels.joints or ()
    for skeleton in SKELETONS.values():
        if joints == skeleton.joints:
            return skeleton
    spelled = usual_names(joints)
    if joints and set(spelled) <= KNOWN and len(set(spelled)) == len(spelled):
        for skeleton in SKELETONS.values():
            if set(spelled) <= set(skeleton.joints):
                return _respelled(labels, skeleton, spelled)
    named = "names no joints" if labels.joints is None else f"has the joints {', '.join(labels.joints)}"
    raise DataError(
        f"{labels.path}: its category {named}, which is not a built-in layout; describe the skeleton in a TOML file "
        f"(joints, flips, limbs, sigmas) and write json:{labels.path}:skeleton.toml"
        + ("" if labels.joints else f", or name a built-in layout, e.g. json:{labels.path}:lsp14")
    )


def _respelled(labels: LabelFile, skeleton: Skeleton, spelled: tuple[str, ...]) -> Skeleton:
    for own, usual in zip(labels.joints or (), spelled, strict=True):
        if own != usual:
            labels.remarks.add(SPELLING, f"{own} is {usual}")
    if spelled == skeleton.joints:
        return skeleton
    part = skeleton.only(spelled)
    return dataclasses.replace(part, name=f"{skeleton.name}-{'reordered' if len(part) == len(skeleton) else 'part'}")


def _written(labels: LabelFile, given: str | Path) -> Skeleton:
    if str(given) in SKELETONS:
        skeleton = SKELETONS[str(given)]
    else:
        skeleton = skeleton_from(read_toml(Path(given), "skeleton"), str(given))
    joints = labels.joints
    if joints is not None and usual_names(joints) != usual_names(skeleton.joints):
        raise DataError(
            f"{given}: joints are {', '.join(skeleton.joints)}, but keypoints of {labels.path} are "
            f"{', '.join(joints)}; make them the same, in the same order"
        )
    return skeleton
