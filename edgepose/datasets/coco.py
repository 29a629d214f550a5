"""COCO keypoints as published: `SPLIT/*.jpg` beside `annotations/person_keypoints_SPLIT.json`.

Lin et al., "Microsoft COCO", ECCV 2014. The frozen splits are the files: train2017 and val2017, and whatever
else stands there. What an annotation becomes is said in `cocojson.py`.
"""

from __future__ import annotations

from pathlib import Path

from edgepose.datasets.cocojson import label_list, read_labels
from edgepose.datasets.samples import SampleList
from edgepose.errors import DataError, UsageError, nearest
from edgepose.pose.skeletons import SKELETONS

COCO = SKELETONS["coco17"]


def coco_splits(root: Path) -> list[str]:
    """The splits whose keypoint labels are in `root`, in order."""
    found = (root / "annotations").glob("person_keypoints_*.json")
    return sorted(path.stem.removeprefix("person_keypoints_") for path in found)


def load_coco(root: Path, split: str | None = None) -> SampleList:
    """COCO keypoints from `root`. split: e.g. val2017; None where the folder holds only one.

    UsageError for a split that is not there; DataError names the file, and the annotation, that is wrong.
    """
    split = _choose(root, split)
    labels = read_labels(root / "annotations" / f"person_keypoints_{split}.json")
    if labels.joints not in (None, COCO.joints):
        named = ", ".join(labels.joints or ())
        raise DataError(
            f"{labels.path} labels {named}, not COCO's 17 joints; read a layout of your own as json:LABELS:SKELETON"
        )
    return label_list(labels, name=f"coco:{root}:{split}", skeleton=COCO, folder=root / split)


def _choose(root: Path, split: str | None) -> str:
    splits = coco_splits(root)
    if not splits:
        raise DataError(f"{root} is no COCO folder: expected annotations/person_keypoints_SPLIT.json in it")
    if split is None and len(splits) > 1:
        raise UsageError(f"coco:{root} has the splits {', '.join(splits)}; name one, e.g. coco:{root}:{splits[0]}")
    chosen = splits[0] if split is None else split
    if chosen not in splits:
        raise UsageError(f"coco:{root} has no split {chosen!r}{nearest(chosen, splits)}")
    if not (root / chosen).is_dir():
        raise DataError(f"no folder {root / chosen} for the images of split {chosen}; fetch them")
    return chosen
