"""Inputs that are kept for the next graph: the poses are those of a pipeline that reads and cuts every time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgepose._checks import Array
from edgepose.artifacts.spec import spec_from_dict
from edgepose.datasets.samples import Picture, SampleList
from edgepose.measure.boxes import CORNERS
from edgepose.measure.moved_images import with_borders
from edgepose.measure.predictions import Engine, collect_everyone, collect_everyone_several
from edgepose.measure.shared_inputs import SharedInputs, remembering
from edgepose.pose.skeletons import PERSON
from edgepose.runtime.host import HostPipeline

SPEC = spec_from_dict(
    {"name": "net", "skeleton": "person", "input": {"name": "input", "size": [32, 48]}, "codec": {"type": "onestage"},
     "crop": {"padding": 1.0, "border_value": 114}, "outputs": ["people"]}, "net.toml",
)  # fmt: skip
ENGINE = Engine(path="", precision="", backend="", onnx_sha256="", skeleton=CORNERS)
CANVAS = 3 * 32 * 48 * 4  # bytes


class Mean:
    """A network whose one person stands where the mean of the canvas says."""

    inputs, outputs = ("input",), ("people",)

    def run(self, feed: Any) -> dict[str, Array]:
        (canvas,) = feed["input"]
        x = float(np.abs(canvas).mean())
        return {"people": np.array([[[x, x, x + 9, x + 9, 0.9]]], np.float32)}


def photographs(reads: list[int]) -> SampleList:
    def read(number: int) -> Array:
        reads.append(number)
        return np.random.default_rng(number).integers(0, 255, (64, 64, 3), np.uint8)

    made = tuple(Picture(image_id=i, name=f"{i}.jpg", read=lambda i=i: read(i)) for i in range(3))  # type: ignore[misc]
    return SampleList(name="photos", skeleton=PERSON, samples=(), image_ids=(0, 1, 2), empty=made)


@pytest.mark.parametrize(("limit", "again"), [(10 * CANVAS, 0), (2 * CANVAS, 1), (0, 3)])
def test_what_is_kept_is_not_read_again_and_gives_the_same_poses(limit: int, again: int) -> None:
    reads: list[int] = []
    pipeline: Any = HostPipeline(Mean(), SPEC)  # type: ignore[arg-type]
    data, shared = photographs(reads), SharedInputs(limit=limit)
    expected = collect_everyone(pipeline, data, ENGINE)
    assert len(set(expected.xy_image[:, 0, 0].tolist())) == 3
    for run in range(2):
        reads.clear()
        (found,) = collect_everyone_several(pipeline, [data], ENGINE, shared=shared)
        assert np.array_equal(found.xy_image, expected.xy_image) and np.array_equal(found.image, expected.image)
        assert len(reads) == (3 if run == 0 else again) and shared.size <= limit


def test_images_and_their_moved_copies_are_read_once() -> None:
    reads: list[int] = []
    pipeline: Any = HostPipeline(Mean(), SPEC)  # type: ignore[arg-type]
    plain = photographs([])
    once = remembering(photographs(reads))
    several = [once, *(with_borders(once, copy, 114).data for copy in range(2))]
    found = collect_everyone_several(pipeline, several, ENGINE, shared=SharedInputs())
    assert reads == [0, 1, 2]
    alone = [
        collect_everyone(pipeline, data, ENGINE)
        for data in (plain, *(with_borders(plain, i, 114).data for i in (0, 1)))
    ]
    for one, other in zip(found, alone, strict=True):
        assert np.array_equal(one.xy_image, other.xy_image)
    assert not np.array_equal(found[0].xy_image, found[1].xy_image)
