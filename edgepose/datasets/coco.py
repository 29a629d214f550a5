"""COCO keypoints as published: images in `SPLIT/`, labels in `annotations/person_keypoints_SPLIT.json`.

Lin et al., "Microsoft COCO", ECCV 2014. The splits are those of the published files, train2017 and val2017, and any
other split that the folder holds. `cocojson.py` describes how an annotation becomes a sample.
"""

from __future__ import annotations

from pathlib import Path

from edgepose.datasets.cocojson import label_list, read_labels
from edgepose.datasets.samples import SampleList
from edgepose.errors import DataError, UsageError, nearest
from edgepose.pose.skeletons import SKELETONS

COCO = SKELETONS["coco17"]


def coco_splits(root: Path) -> list[str]:
    """Return the sorted names of the splits whose keypoint labels are in a folder.

    Args:
        root: The folder of the data set.
    """
    found = (root / "annotations").glob("person_keypoints_*.json")
    return sorted(path.stem.removeprefix("person_keypoints_") for path in found)


def load_coco(root: Path, split: str | None = None) -> SampleList:
    """Load COCO keypoints.

    Args:
        root: The folder of the data set.
        split: The split, such as val2017. None is allowed if the folder holds only one.

    Returns:
        The data set.

    Raises:
        UsageError: The folder does not hold the split, or holds several and none is named.
        DataError: A file or an annotation is wrong. The message names it.
    """
    split = _choose(root, split)
    labels = read_labels(root / "annotations" / f"person_keypoints_{split}.json")
    if labels.joints not in (None, COCO.joints):
        named = ", ".join(labels.joints or ())
        raise DataError(
            f"{labels.path} has the joints {named}, not COCO's 17; load other layouts as json:LABELS:SKELETON"
        )
    return label_list(labels, name=f"coco:{root}:{split}", skeleton=COCO, folders=[root / split])


def _choose(root: Path, split: str | None) -> str:
    splits = coco_splits(root)
    if not splits:
        raise DataError(f"{root} is not a COCO folder: expected annotations/person_keypoints_SPLIT.json in it")
    if split is None and len(splits) > 1:
        raise UsageError(f"coco:{root} has the splits {', '.join(splits)}; name one, e.g. coco:{root}:{splits[0]}")
    chosen = splits[0] if split is None else split
    if chosen not in splits:
        raise UsageError(f"coco:{root} has no split {chosen!r}{nearest(chosen, splits)}")
    if not (root / chosen).is_dir():
        raise DataError(f"no folder {root / chosen} for the images of split {chosen}; download the images")
    return chosen
