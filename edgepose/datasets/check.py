"""`check_labels`: read a whole data set once, and find what would stop a run in its middle."""

from __future__ import annotations

from dataclasses import dataclass

from edgepose._progress import Track, quiet
from edgepose.datasets.samples import PoseData, Sample, outside, refuse_outside
from edgepose.errors import DataError

SHOWN = 5  # bad people named in one message


@dataclass(frozen=True, kw_only=True)
class LabelCheck:
    """What a data set holds. outside: labelled joints beyond their image's edge, kept as published."""

    people: int
    ignored: int
    joints: int
    occluded: int
    outside: int


def check_labels(data: PoseData, track: Track = quiet) -> LabelCheck:
    """Read every image and look where its labels lie.

    DataError names the first people whose image cannot be read, or whose labels cannot belong to it
    (`refuse_outside`), and says how many there are.
    """
    bad: list[str] = []
    ignored = joints = occluded = beyond = 0
    for i in track(range(len(data)), f"check {data.name}", len(data)):
        try:
            sample = data[i]
            beyond += _joints_outside(sample)
        except DataError as error:
            bad.append(str(error))
            continue
        ignored += sample.ignore
        joints += int(sample.labelled.sum())
        occluded += int(sample.occluded.sum())
    if bad:
        raise DataError(f"{data.name}: {len(bad)} of {len(data)} people are bad: {'; '.join(bad[:SHOWN])}")
    return LabelCheck(people=len(data), ignored=ignored, joints=joints, occluded=occluded, outside=beyond)


def _joints_outside(sample: Sample) -> int:
    size = sample.read().shape[:2]
    refuse_outside(sample, size)
    return int((outside(sample.xy_image[sample.labelled], size) > 0).any(axis=1).sum())
