"""What looks wrong with a data set as a whole: units, the form of boxes, turned images, OKS sigmas and joint names.

One person proves nothing here: a person in the corner of an image may be within 100 pixels. All people together do.
`edgepose data check` lists the doubts. `edgepose eval`, `train` and `calibrate` print them, or stop at those with which
no number can be right (`note_doubts`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgepose._progress import Note
from edgepose.datasets.oddities import CENTER, CORNERS, better_form, beyond_image, joints_outside_box, oddities
from edgepose.datasets.samples import Picture, PoseData, Sample, SampleList, outside, pictures
from edgepose.errors import DataError
from edgepose.media.exif import exif_orientation
from edgepose.pose.geometry import Size
from edgepose.pose.skeletons import Skeleton
from edgepose.pose.spelling import usual_name

LARGEST_SIGMA = 0.2  # COCO's largest is 0.107
SMALLEST_SIGMA = 0.012  # the largest sigma of a skeleton is above it; COCO's smallest is 0.025
READ = 8  # images that are read for their size where the labels do not say it
SIDE_PX = 150  # an image with a longer side has joints beyond 100 px

Sizes = Mapping[tuple[int, str], Size]  # (image id, name) -> (height, width)


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """Something that looks wrong with a data set.

    Attributes:
        text: What, with the values that were found, and what to do.
        fatal: Whether no number that is measured on the data can be right.
    """

    text: str
    fatal: bool = False


def note_doubts(data: PoseData, note: Note) -> None:
    """Report what looks wrong with a data set that is about to be used.

    At most `READ` images are read. Data sets that compute their labels on demand are not looked at.

    Args:
        data: The data set.
        note: Receives a line for each doubt.

    Raises:
        DataError: No number that is measured on the data can be right.
    """
    if not isinstance(data, SampleList):
        return
    for remark in data.remarks:
        note(remark)
    found = doubts(data, data.samples, _known_sizes(data.samples), pictures(data))
    lines = [doubt.text for doubt in found if not doubt.fatal]
    for line in lines or _first_oddity(data.samples):
        note(f"{data.name}: {line}")
    fatal = [doubt.text for doubt in found if doubt.fatal]
    if fatal:
        raise DataError(f"{data.name}: {'; '.join(fatal)}")


def _first_oddity(samples: Sequence[Sample]) -> Iterator[str]:
    """Yield one line if the labels of single people look wrong."""
    odd = [(sample, reason) for sample in samples if not sample.ignore for reason in [*oddities(sample)][:1]]
    if odd:
        sample, reason = odd[0]
        yield (
            f"the labels of {len(odd)} of {len(samples)} people look wrong, e.g. in {sample.name}: {reason}; "
            "edgepose data check lists them"
        )


def _known_sizes(samples: Sequence[Sample]) -> dict[tuple[int, str], Size]:
    sizes = {(sample.image_id, sample.name): sample.size for sample in samples if sample.size is not None}
    for sample in [sample for sample in samples if sample.size is None and not sample.ignore][:READ]:
        try:
            height, width = sample.read().shape[:2]
        except DataError:  # whoever needs the image says so
            continue
        sizes[sample.image_id, sample.name] = (int(height), int(width))
    return sizes


def doubts(data: PoseData, samples: Sequence[Sample], sizes: Sizes, every: Sequence[Picture]) -> list[Doubt]:
    """Return what looks wrong with a data set.

    Args:
        data: The data set.
        samples: The people that can be read.
        sizes: The sizes of the images, as far as they are known.
        every: The images.
    """
    people = [sample for sample in samples if not sample.ignore and sample.labeled.any()]
    nobody = f"none of its {len(samples)} annotations is a person with labeled joints, so nothing can be measured on it"
    return [
        *([Doubt(text=nobody)] if isinstance(data, SampleList) and not people else []),
        *_skeleton_doubts(data.skeleton),
        *_unit_doubts(people, sizes),
        *_outside_doubts(people, sizes),
        *_box_doubts([sample for sample in people if sample.file is not None], sizes),
        *_turn_doubts(every),
    ]


def _skeleton_doubts(skeleton: Skeleton) -> Iterator[Doubt]:
    largest = max(skeleton.sigmas, default=0.0)
    if largest > LARGEST_SIGMA:
        joint = skeleton.joints[skeleton.sigmas.index(largest)]
        yield Doubt(
            text=f"the OKS sigma of {joint} is {largest:g}, and in COCO the largest is 0.107; with such sigmas poor "
            "poses count as right. COCO's list is published before a division by 10: divide the sigmas of skeleton "
            f"{skeleton.name} by 10"
        )
    elif 0 < largest < SMALLEST_SIGMA:
        yield Doubt(
            text=f"the largest OKS sigma is {largest:g}, and in COCO the smallest is 0.025; with such sigmas good "
            f"poses count as wrong. Multiply the sigmas of skeleton {skeleton.name} by 10"
        )
    flipped = {frozenset(pair) for pair in skeleton.flips}
    both = sorted(_parts(skeleton, "left_") & _parts(skeleton, "right_"))
    missing = [part for part in both if frozenset((f"left_{part}", f"right_{part}")) not in flipped]
    if missing:
        yield Doubt(
            text=f"flips of skeleton {skeleton.name} does not exchange left_{missing[0]} and right_{missing[0]}, "
            f"{len(missing)} such pairs in all; a mirrored image in training and with --flip-test would have wrong "
            "sides. Add them to flips"
        )
    other = [
        (joint, usual_name(joint)) for joint in skeleton.joints if usual_name(joint) not in (joint, *skeleton.joints)
    ]
    if other:
        shown = ", ".join(f"{joint} (is it {name}?)" for joint, name in other[:3])
        yield Doubt(
            text=f"{len(other)} joints of skeleton {skeleton.name} have names that no built-in layout uses: {shown}; "
            "joints are matched with those of a network by name, so use the same names"
        )


def _parts(skeleton: Skeleton, side: str) -> set[str]:
    return {joint.removeprefix(side) for joint in skeleton.joints if joint.startswith(side)}


def _unit_doubts(people: Sequence[Sample], sizes: Sizes) -> Iterator[Doubt]:
    """Yield a doubt if all coordinates are fractions or percentages of the image."""
    known = [(sample, size) for sample in people if (size := sizes.get((sample.image_id, sample.name))) is not None]
    if not known:
        return
    xy = np.concatenate([sample.xy_image[sample.labeled] for sample, _ in known])
    farthest = float(np.abs(xy).max())
    what = f"all {len(xy)} labeled joints lie within {farthest:.3g} px of the upper left corner of their image"
    sides = [max(size) for _, size in known]
    if farthest <= 1.5 and min(sides) >= 16:
        yield Doubt(
            text=f"{what}: coordinates from 0 to 1? Multiply x by the width and y by the height of the image",
            fatal=True,
        )
    elif farthest <= 100.5 and xy.min() >= 0 and min(sides) > SIDE_PX:
        height, width = known[0][1]
        yield Doubt(
            text=f"{what}, which is e.g. {width}x{height}: percent? Then multiply x by width / 100, y by height / 100"
        )


def _outside_doubts(people: Sequence[Sample], sizes: Sizes) -> Iterator[Doubt]:
    """Yield a doubt if many joints are outside their image."""
    known = [(sample, size) for sample in people if (size := sizes.get((sample.image_id, sample.name))) is not None]
    away = [
        (sample, size)
        for sample, size in known
        if 2 * int((outside(sample.xy_image[sample.labeled], size) > 0).any(axis=1).sum()) > int(sample.labeled.sum())
    ]
    if 2 * len(away) > len(known):
        sample, (height, width) = away[0]
        yield Doubt(
            text=f"most joints of {len(away)} of {len(known)} people are outside their image, e.g. in {sample.name} of "
            f"{width}x{height}; are the labels of a larger version of the images?"
        )


def _box_doubts(people: Sequence[Sample], sizes: Sizes) -> Iterator[Doubt]:
    """Yield doubts about the form of the boxes."""
    if not people:
        return
    if all((sample.box_xyxy <= 1.5).all() for sample in people):
        yield Doubt(
            text=f"the boxes of all {len(people)} people lie within 1.5 px of the upper left corner of the image: from "
            "0 to 1? Multiply x and width by the width, y and height by the height of the image",
            fatal=True,
        )
        return
    both = [(sample, sizes.get((sample.image_id, sample.name))) for sample in people]
    differ = [(sample, size) for sample, size in both if (sample.box_xyxy[:2] > 5).any()]
    forms = [(sample, size, better_form(sample, size)) for sample, size in differ]
    for form in (CORNERS, CENTER):
        fit = [(sample, size) for sample, size, found in forms if found == form]
        if fit and len(fit) >= (0.6 if len(differ) >= 10 else 1) * len(differ):
            beyond = max((beyond_image(sample.box_xyxy, size) for sample, size in fit if size is not None), default=0)
            reach = f"reach up to {beyond:.0f} px beyond their image and " if beyond > 2 else ""
            yield Doubt(
                text=f"{len(fit)} of {len(people)} boxes {reach}fit the joints if bbox is {form}, e.g. in "
                f"{fit[0][0].name}; bbox must be x, y, width and height"
            )
            return
    away = [sample for sample in people if joints_outside_box(sample) > 0.5 * sample.labeled.sum()]
    if 2 * len(away) > len(people):
        x0, y0, x1, y1 = (float(edge) for edge in away[0].box_xyxy)
        yield Doubt(
            text=f"most joints of {len(away)} of {len(people)} people are outside the person's box, e.g. in "
            f"{away[0].name} with the box ({x0:.4g}, {y0:.4g}) to ({x1:.4g}, {y1:.4g}); bbox must be x, y, width and "
            "height in the pixels of keypoints"
        )


def turned_images(every: Sequence[Picture]) -> list[tuple[Picture, int]]:
    """Return the images that an EXIF tag turns or mirrors, each with its orientation.

    Args:
        every: The images.
    """
    tags = [(picture, exif_orientation(picture.file)) for picture in every if picture.file is not None]
    return [(picture, tag) for picture, tag in tags if tag != 1]


def _turn_doubts(every: Sequence[Picture]) -> Iterator[Doubt]:
    """Yield a doubt if images are turned and their size in the labels does not show which picture was labeled."""
    turned = [(picture, tag) for picture, tag in turned_images(every) if tag < 5 or picture.size is None]
    if turned:
        picture, tag = turned[0]
        yield Doubt(
            text=f"{len(turned)} of {len(every)} images are turned or mirrored by their EXIF tag, e.g. {picture.name} "
            f"(orientation {tag}); edgepose shows them as the tag says, so check that the labels are of the turned "
            "image. If they are of the stored one, remove the tag, e.g. exiftool -Orientation= FILE"
        )
