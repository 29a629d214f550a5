"""MPII Human Pose: the published release (`mpii_human_pose_v1_u12_1.mat`) or the files train.h5 and valid.h5.

Andriluka et al., "2D Human Pose Estimation", CVPR 2014. There are sixteen joints, left and right are the person's own
sides, and pixels count from 1. Each person has a head box, a rough center and a scale (the person's height divided by
200 pixels).

The release labels only its training images. The usual validation set is a list of 2,958 people in these images
(Tompson et al., CVPR 2015). Newell et al. (ECCV 2016) published it as valid.h5, with the remaining people in train.h5.
The splits are:

    valid      the people of valid.h5
    train      the people of train.h5; without that file, the people of the release in images not used by valid.h5
    trainval   every labeled person of the release

The .h5 files differ from the release: the coordinates of neck and head top are rounded, `normalize` is the head size
(0.6 of the diagonal of the head box), `center` is already moved down by 15 scales and `scale` enlarged by a quarter,
and a joint that is not labeled is (0, 0). A person has the same bounding box from either source.

The bounding box is a square with a side of 200 scales around the center, moved down as in the literature; the padding
of the crop later enlarges it by a quarter. MPII has no segments, so the OKS area is the area of the tight box of the
labeled joints. Reading the whole release takes about twenty seconds; reading an .h5 file takes almost no time.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edgepose._checks import Array
from edgepose.datasets.labelfiles import Struct, read_datasets, read_struct
from edgepose.datasets.samples import Sample, SampleList, checked_sample
from edgepose.errors import DataError, UsageError, nearest
from edgepose.media.images import read_image
from edgepose.metrics.lengths import head_box_px
from edgepose.pose.geometry import FARTHEST_PX, box_of_joints
from edgepose.pose.skeletons import SKELETONS

MPII_SPLITS = ("valid", "train", "trainval")
MPII = SKELETONS["mpii16"]
SIDE_PX = 200  # side of the box at a scale of 1
DOWN_PX = 15  # The box moves down by this at a scale of 1, so that feet are rarely cut off.
GROWN = 1.25  # The .h5 files already have scales enlarged by this factor.
RELEASE = "mpii_human_pose_v1_u12_*.mat"


def load_mpii(root: Path, split: str = "valid") -> SampleList:
    """Load MPII.

    Args:
        root: The folder of the data set. Labels are in it or in a folder directly in it, such as annot/; images
            are in images/.
        split: "valid", "train" or "trainval".

    Returns:
        The data set.

    Raises:
        UsageError: The split does not exist.
        DataError: A file is missing or wrong. The message names the file, the person and the field.
    """
    if split not in MPII_SPLITS:
        raise UsageError(f"mpii has no split {split!r}{nearest(split, MPII_SPLITS)}")
    h5 = _file(root, f"{split}.h5")
    people = tuple(_from_h5(h5, root) if h5 else _from_release(root, split))
    if not people:
        raise DataError(f"mpii:{root}:{split} has no people with a labeled joint; download the labels again")
    ids = tuple(dict.fromkeys(sample.image_id for sample in people))
    return SampleList(name=f"mpii:{root}:{split}", skeleton=MPII, samples=people, image_ids=ids)


def mpii_splits(root: Path) -> list[str]:
    """Return the available splits that share no people.

    Args:
        root: The folder of the data set.
    """
    h5 = [split for split in ("valid", "train") if _file(root, f"{split}.h5")]
    if not _file(root, RELEASE):
        return h5
    return ["valid", "train"] if "valid" in h5 else ["trainval"]


def _file(root: Path, pattern: str) -> Path | None:
    """Return the last matching file in root, in root/annot or in another folder in root; None if there is none."""
    for folder in ("", "annot/", "*/"):
        found = sorted(root.glob(folder + pattern))
        if found:
            return found[-1]
    return None


def _from_h5(path: Path, root: Path) -> Iterator[Sample]:
    data = read_datasets(path)
    n = _rows(data, path)
    part, visible = (_field(data, key, (n, 16, *shape), path) for key, shape in (("part", (2,)), ("visible", ())))
    center = _field(data, "center", (n, 2), path)
    index, scale, head = (_field(data, key, (n,), path) for key in ("index", "scale", "normalize"))
    if not np.isin(visible, (0, 1)).all():
        raise DataError(f"{path}: visible has values other than 0 and 1; download the file again")
    for i, name in enumerate(_names(data, n, path)):
        where = f"{path}: person {i} ({name})"
        labeled = (part[i] != 0).any(axis=1)
        yield _person(
            root,
            name,
            where,
            image_id=_whole(index[i], "index", where) + 1,
            xy=part[i] - 1,
            labeled=labeled,
            occluded=visible[i] == 0,
            box=_square(center[i], scale[i] / GROWN, where),
            head_px=float(head[i]),
        )


def _rows(data: dict[str, Array], path: Path) -> int:
    for key in ("part", "visible", "center", "scale", "normalize", "index", "imgname"):
        if key not in data:
            raise DataError(f"{path} has no {key!r}; is it MPII's train.h5 or valid.h5?")
    if data["part"].shape[1:] != (16, 2):
        raise DataError(f"{path}: part has shape {list(data['part'].shape)}; expected [people, 16, 2]")
    return int(data["part"].shape[0])


def _field(data: dict[str, Array], key: str, shape: tuple[int, ...], path: Path) -> Array:
    values = data[key]
    if values.dtype.kind != "f" or values.shape != shape:
        raise DataError(
            f"{path}: {key} is {values.dtype} of shape {list(values.shape)}; expected numbers {list(shape)}"
        )
    if not np.isfinite(values).all():
        raise DataError(f"{path}: {key} of person {int(np.argwhere(~np.isfinite(values))[0][0])} is not finite")
    return values


def _names(data: dict[str, Array], n: int, path: Path) -> list[str]:
    """Return the file names, which Torch writes as one number per character."""
    names = data["imgname"]
    if names.dtype.kind == "f" and names.ndim == 2 and ((names >= 0) & (names < 128)).all():
        names = np.array(["".join(chr(int(code)) for code in row).rstrip("\0 ") for row in names])
    if names.dtype.kind != "U" or names.shape != (n,):
        raise DataError(f"{path}: imgname has shape {list(names.shape)}; expected {n} file names")
    return [_name(str(name), f"{path}: imgname of person {i}") for i, name in enumerate(names)]


def _from_release(root: Path, split: str) -> Iterator[Sample]:
    path = _file(root, RELEASE)
    if path is None:
        raise DataError(f"no {split}.h5 and no {RELEASE} in {root} or {root / 'annot'}; expected one of them")
    held_out = _validation(root, path) if split != "trainval" else frozenset()
    release = read_struct(path, "RELEASE")
    images = release.structs(0, "annolist")
    training = release.numbers(0, "img_train", (1, len(images)))[0]
    wanted = (i for i in np.flatnonzero(training == 1).tolist() if i not in held_out)
    for i in wanted:
        yield from _people(images, i, root)


def _validation(root: Path, path: Path) -> frozenset[int]:
    """Return the indices, counted from 0, of the images with people of valid.h5."""
    h5 = _file(root, "valid.h5")
    if h5 is None:
        raise DataError(
            f"{path} does not define the splits train and valid; valid.h5 does. Put valid.h5 in the same folder, "
            f"or use every labeled person: mpii:{root}:trainval"
        )
    data = read_datasets(h5)
    index = _field(data, "index", (_rows(data, h5),), h5)
    return frozenset(_whole(value, "index", f"{h5}: person {i}") for i, value in enumerate(index))


def _people(images: Struct, i: int, root: Path) -> Iterator[Sample]:
    """Yield every person of an image who has a labeled joint."""
    picture, people = images.structs(i, "image"), images.structs(i, "annorect")
    if not len(picture):
        raise DataError(f"{images.name(i, 'image')}: expected a struct with a name")
    name = _name(picture.text(0, "name"), picture.name(0, "name"))
    for p in range(len(people)):
        points = people.structs(p, "annopoints")
        joints = points.structs(0, "point") if len(points) else points
        if len(joints):
            xy, labeled, occluded = _joints(joints)
            yield _person(
                root,
                name,
                joints.where,
                image_id=i + 1,
                xy=xy - 1,
                labeled=labeled,
                occluded=occluded,
                box=_box(people, p),
                head_px=_head(people, p),
            )


def _joints(points: Struct) -> tuple[Array, Array, Array]:
    """Return xy [16, 2], labeled [16] bool and occluded [16] bool of one person's points."""
    xy, labeled, occluded = np.zeros((16, 2)), np.zeros(16, bool), np.zeros(16, bool)
    for k in range(len(points)):
        joint = points.number(k, "id")
        if joint not in range(16):
            raise DataError(f"{points.name(k, 'id')} is {joint:g}; expected a joint from 0 to 15")
        at = int(joint)
        xy[at] = points.number(k, "x"), points.number(k, "y")
        labeled[at] = True
        occluded[at] = _hidden(points, k)
    return xy, labeled, occluded


def _hidden(points: Struct, k: int) -> bool:
    """Return whether a joint is occluded; `is_visible` is a number or text, and a missing value means visible."""
    value = points.get(k, "is_visible")
    if value is None:
        return False
    text = value.strip() if isinstance(value, str) else f"{points.number(k, 'is_visible'):g}"
    if text not in ("0", "1"):
        raise DataError(f"{points.name(k, 'is_visible')} is {text!r}; expected 0 or 1")
    return text == "0"


def _box(people: Struct, p: int) -> Array | None:
    """Return the square around the rough center, or None if the center or the scale is missing."""
    place, scale = people.structs(p, "objpos"), people.number(p, "scale")
    if not len(place) or np.isnan(scale):
        return None
    x, y = place.number(0, "x"), place.number(0, "y")
    return _square(np.array([x, y + DOWN_PX * scale]), scale, people.name(p, "scale"))


def _head(people: Struct, p: int) -> float:
    """Return the head size, or NaN if the head box is missing or empty."""
    corners = np.array([people.number(p, key) for key in ("x1", "y1", "x2", "y2")])
    size = float(head_box_px(corners[None])[0])
    return size if size != 0 else np.nan


def _square(center: Array, scale: float, where: str) -> Array:
    """Return box_xyxy [4] float64, 200 scales wide and high, around a center that counts from 1."""
    if not 0 < scale < FARTHEST_PX / SIDE_PX:
        raise DataError(f"{where}: scale is {scale:g}; expected the person's height over 200 pixels")
    half = SIDE_PX * scale / 2
    return np.concatenate([center - 1 - half, center - 1 + half])


def _person(
    root: Path, name: str, where: str, *, image_id: int, xy: Array, labeled: Array, occluded: Array,
    box: Array | None, head_px: float,
) -> Sample:  # fmt: skip
    tight = box_of_joints(xy, labeled) if labeled.any() else np.zeros(4)
    with np.errstate(over="ignore", invalid="ignore"):  # Damaged coordinates overflow; checked_sample refuses them.
        area = float(np.prod(tight[2:] - tight[:2]))
    return checked_sample(
        where,
        image_id=image_id,
        name=name,
        read=functools.partial(read_image, root / "images" / name),
        xy=xy,
        labeled=labeled,
        occluded=occluded,
        box_xyxy=box,
        area=area,
        head_px=head_px,
    )


def _name(name: str, where: str) -> str:
    if not name or not name.isprintable():
        raise DataError(f"{where} is {name!r}; expected a file name")
    return name


def _whole(value: float, key: str, where: str) -> int:
    if value != int(value) or not 0 <= value < 1e9:
        raise DataError(f"{where}: {key} is {value:g}; expected a whole number")
    return int(value)
