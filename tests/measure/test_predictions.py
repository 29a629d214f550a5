"""Running engines over data: which people and images are asked for, and where the answers go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec
from edgepose.datasets.samples import Picture, Sample, SampleList
from edgepose.errors import DataError
from edgepose.measure.predictions import Engine, collect, collect_detected, collect_everyone, collect_several
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import SKELETONS
from edgepose.runtime.host import HostPipeline

LSP = SKELETONS["lsp14"]
SPEC = ModelSpec(name="net", skeleton=LSP)
ENGINE = Engine(path="e", precision="int8", backend="openvino", onnx_sha256="0" * 64, skeleton=LSP)


def _sample(number: int, xy: Array, **changes: Any) -> Sample:
    low, high = xy.min(axis=0), xy.max(axis=0)
    made = {
        "image_id": number,
        "name": f"{number}.jpg",
        "read": lambda: np.full((64, 64, 3), number, np.uint8),
        "xy_image": xy.astype(np.float32),
        "labeled": np.ones(len(xy), bool),
        "occluded": np.zeros(len(xy), bool),
        "box_xyxy": np.concatenate([low, high]).astype(np.float32),
        "area": float((high - low).prod()),
    }
    return Sample(**(made | changes))


def _data(*samples: Sample, empty: tuple[int, ...] = ()) -> SampleList:
    pictures = tuple(
        Picture(image_id=i, name=f"{i}.jpg", read=lambda i=i: np.full((64, 64, 3), i, np.uint8)) for i in empty
    )
    ids = (*dict.fromkeys(sample.image_id for sample in samples), *empty)
    return SampleList(name="made", skeleton=LSP, samples=samples, image_ids=ids, empty=pictures)


class _Corner(HostPipeline):
    """A network that puts every joint into the corner of its box, and remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []
        self.spec, self.finds_people = SPEC, False

    def __call__(self, image: Array, boxes: Array | None = None, scores: Array | None = None) -> Poses:
        assert boxes is not None
        self.calls.append((int(image[0, 0, 0]), len(boxes)))
        return Poses(
            skeleton=LSP,
            xy_image=np.broadcast_to(boxes[:, None, :2], (len(boxes), 14, 2)).astype(np.float32),
            scores=np.full((len(boxes), 14), 0.5, np.float32),
            boxes_xyxy=boxes,
            box_scores=np.ones(len(boxes), np.float32) if scores is None else scores,
        )


XY = np.arange(28.0).reshape(14, 2)


def test_each_image_is_run_once_over_the_people_that_count() -> None:
    """Four people, three of them in image 7, one of those ignored: two calls; the ignored one stays NaN."""
    run = _Corner()
    data = _data(_sample(7, XY), _sample(7, XY + 1, ignore=True), _sample(7, XY + 2), _sample(9, XY + 3))
    got = collect(run, data, ENGINE)
    assert run.calls == [(7, 2), (9, 1)]
    np.testing.assert_array_equal(got.xy_image[[0, 2, 3], 0, 0], [0, 2, 3])
    assert np.isnan(got.xy_image[1]).all()
    assert (got.scores[[0, 2, 3]] == 0.5).all()


def test_several_boxes_of_the_same_people_are_run_in_one_reading() -> None:
    """The predictions are those of separate runs; each image is read once, and run once for each set of boxes."""
    reads: list[int] = []

    def sample(number: int, shift: float) -> Sample:
        def read() -> Array:
            reads.append(number)
            return np.full((64, 64, 3), number, np.uint8)

        made = _sample(number, XY, read=read)
        return replace(made, box_xyxy=made.box_xyxy + np.float32(shift))

    several = [_data(*(sample(number, shift) for number in (7, 7, 8))) for shift in (0, 3, 5)]
    pipeline = _Corner()
    found = collect_several(pipeline, several, ENGINE, unlabeled=True)
    assert reads == [7, 8] and pipeline.calls == [(7, 2)] * 3 + [(8, 1)] * 3
    for one, data in zip(found, several, strict=True):
        alone = collect(_Corner(), data, ENGINE, unlabeled=True)
        assert np.array_equal(one.xy_image, alone.xy_image) and np.array_equal(one.scores, alone.scores)
    assert not np.array_equal(found[0].xy_image, found[1].xy_image)


def test_labels_far_outside_their_image_are_refused() -> None:
    data = _data(_sample(7, np.full((14, 2), 5000.0)))
    with pytest.raises(DataError, match="far outside"):
        collect(_Corner(), data, ENGINE)


def test_detected_people_of_every_image_empty_ones_too() -> None:
    """Nobody is found in image 7; two in 9; one in 5, where nobody is labeled."""
    run = _Corner()
    found = {7: [], 9: [[1, 2, 31, 62], [3, 4, 13, 24]], 5: [[8, 8, 18, 28]]}

    def boxes(image: Array, name: str, previous: Poses | None) -> tuple[Array, Array]:
        number = int(image[0, 0, 0])
        assert name == f"{number}.jpg" and previous is None
        rows = np.array(found[number], np.float32).reshape(-1, 4)
        return rows, np.linspace(0.9, 0.5, len(rows), dtype=np.float32)

    data = _data(_sample(7, XY), _sample(9, XY), _sample(7, XY + 5), empty=(5,))
    got = collect_detected(run, boxes, data, ENGINE, source="d.json")
    assert run.calls == [(9, 2), (5, 1)]
    assert got.image.tolist() == [1, 1, 2]  # 7 comes first
    np.testing.assert_array_equal(got.xy_image[:, 3], [[1, 2], [3, 4], [8, 8]])
    np.testing.assert_allclose(got.box_scores, [0.9, 0.5, 0.9])
    assert got.boxes == "d.json"


def test_the_area_is_that_of_the_crop() -> None:
    """Box 30 x 60, input 192 wide and 256 high: grown to 45 x 60, then by 1.25 to 56.25 x 75."""
    data = _data(_sample(7, XY))

    def boxes(image: Array, name: str, previous: Poses | None) -> tuple[Array, Array]:
        return np.array([[0, 0, 30, 60]], np.float32), np.ones(1, np.float32)

    got = collect_detected(_Corner(), boxes, data, ENGINE, source="d")
    np.testing.assert_allclose(got.area, [56.25 * 75])


def test_a_detector_that_finds_nobody() -> None:
    def nobody(image: Array, name: str, previous: Poses | None) -> tuple[Array, Array]:
        return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)

    got = collect_detected(_Corner(), nobody, _data(_sample(7, XY)), ENGINE, source="d")
    assert got.xy_image.shape == (0, 14, 2)


def test_a_network_that_finds_people_itself_sees_every_image() -> None:
    """Two people in image 9, of whom the second has three joints; nobody in 7, one where nobody is labeled."""
    asked = []

    class Everyone(_Corner):
        def __call__(self, image: Array, boxes: Array | None = None, scores: Array | None = None) -> Poses:
            assert boxes is None
            return everyone(image)

    def everyone(image: Array) -> Poses:
        asked.append(int(image[0, 0, 0]))
        count = {7: 0, 9: 2, 5: 1}[asked[-1]]
        scores = np.full((count, 14), 0.5, np.float32)
        scores[1:, 3:] = 0
        return Poses(
            skeleton=LSP,
            xy_image=np.where(scores[..., None] > 0, np.float32(20), np.float32(0)).repeat(2, axis=-1),
            scores=scores,
            boxes_xyxy=np.tile(np.array([10, 20, 30, 60], np.float32), (count, 1)),
            box_scores=np.linspace(0.9, 0.5, count, dtype=np.float32),
        )

    got = collect_everyone(Everyone(), _data(_sample(7, XY), _sample(9, XY), empty=(5,)), ENGINE)
    assert asked == [7, 9, 5]
    assert got.image.tolist() == [1, 1, 2]
    assert got.grouped and got.boxes == "the network itself"
    np.testing.assert_allclose(got.box_scores, [0.9, 0.5, 0.9])
    np.testing.assert_array_equal(got.area, 800)
    np.testing.assert_array_equal(np.isfinite(got.xy_image).all(axis=-1).sum(axis=1), [14, 3, 14])
