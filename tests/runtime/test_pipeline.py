"""What every pipeline does: on the host, on an emulated device, and with a network that finds people itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import emulated_engines
import numpy as np
import pytest
from emulated_engines import assert_same

from edgepose.artifacts.spec import CropSpec, InputSpec, ModelSpec
from edgepose.codecs import paf
from edgepose.codecs.codec import Axis, Codec, People
from edgepose.codecs.paf import PafCodec, with_boxes
from edgepose.kernels import choice
from edgepose.kernels.cropping import frame_box
from edgepose.pose.geometry import apply_affine
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import SKELETONS, Skeleton
from edgepose.runtime.pipeline import Pipeline, open_pipeline

FRAMES = emulated_engines.frames(6)
LSP = SKELETONS["lsp14"]
FIELDS = ModelSpec(
    name="fields",
    skeleton=replace(LSP, limbs=(*LSP.limbs, ("neck", "right_shoulder"), ("neck", "left_shoulder"))),
    input=InputSpec(size=(64, 96)),
    codec=PafCodec(min_joints=2, min_score=0.0),
    crop=CropSpec(padding=1.0),
    outputs=("maps", "fields"),
)


class Fields:
    """A session that sees one person, whose place depends on the pixel in the middle of the canvas."""

    inputs, outputs = ("input",), ("maps", "fields")

    def run(self, feed):
        level = float(feed["input"][0, 0, 32, 48])
        xy = np.linspace((2.0, 2.0), (20.0 + level, 12.0), 14)[None]
        limbs = np.array(FIELDS.skeleton.limb_indices())
        maps, fields = paf.encode(xy, np.ones((1, 14), bool), limbs, (16, 24), sigma=1.0, width=1.0)
        return {"maps": maps[None], "fields": fields.reshape(1, -1, 16, 24)}


@dataclass(frozen=True, kw_only=True)
class OneStage(Codec):
    """A toy: each row of the only output is a person's score and joints in input pixels."""

    name: ClassVar[str] = "one-stage"
    decodes: ClassVar[tuple[str, ...]] = ("people",)
    output_names: ClassVar[tuple[str, ...]] = ("people",)
    finds_people: ClassVar[bool] = True

    threshold: float = 0.3

    def shapes(self, skeleton: Skeleton, input: InputSpec) -> tuple[tuple[Axis, ...], ...]:
        return (("rows", (1 + 2 * len(skeleton),)),)

    def decode(self, outputs: Any, flipped: Any, inverse: Any, contract: ModelSpec) -> People:
        rows = outputs[0][0]
        rows = rows[rows[:, 0] > self.threshold]
        xy = apply_affine(inverse[0], rows[:, 1:].reshape(len(rows), -1, 2)).astype(np.float32)
        scores = np.repeat(rows[:, :1], len(contract.skeleton), axis=1)
        return with_boxes(xy, scores, rows[:, 0])

    def merge_flip(self, outputs: Any, flipped: Any, contract: ModelSpec) -> tuple[np.ndarray, ...]:
        raise NotImplementedError


class Rows:
    """A session of a one-stage network: one person, and one row whose score is too low."""

    inputs, outputs = ("input",), ("people",)

    def run(self, feed):
        rows = np.full((1, 2, 29), 7.0, np.float32) + feed["input"][0, 0, 32, 48]
        rows[0, :, 0] = 0.8, 0.1
        rows[0, :, 1:15] += 20
        return {"people": rows}


NETWORKS = {
    "host, finds people": (Fields(), FIELDS),
    "host, finds people in one stage": (Rows(), replace(FIELDS, codec=OneStage(), outputs=("people",))),
}


@pytest.fixture(params=["host", *NETWORKS, "device", "device, finds people"])
def pipeline(request: pytest.FixtureRequest) -> Iterator[Pipeline]:
    if request.param == "host":
        given = request.getfixturevalue("session"), request.getfixturevalue("spec")
        given[0].xy_heatmap = given[0].xy_heatmap[:1]  # every person gets the same joints
    elif request.param.startswith("device"):
        if choice.native is None:
            pytest.skip("the kernels' matrices come from the host extension")
        codec = "quarter" if request.param == "device" else "onestage"
        given = request.getfixturevalue("open_session")(codec), emulated_engines.spec_of(codec)
    else:
        given = NETWORKS[request.param]
    with open_pipeline(*given) as opened:
        assert opened.kind == request.param.partition(",")[0]
        assert opened.finds_people == ("finds people" in request.param)
        yield opened
    opened.close()  # twice is as good as once


def boxes_of(pipeline: Pipeline, n: int = 2) -> tuple[np.ndarray, ...]:
    """What a call takes besides the image."""
    return () if pipeline.finds_people else (emulated_engines.people(n), np.linspace(0.9, 0.5, n, dtype=np.float32))


def found_as_many_as_it_should(pipeline: Pipeline, poses: Poses) -> bool:
    """Without boxes: one person, and several where the network of candidates finds them."""
    return len(poses) > 1 if pipeline.kind == "device" and pipeline.finds_people else len(poses) == 1


def test_a_call_is_begun_and_finished(pipeline: Pipeline) -> None:
    boxes = boxes_of(pipeline)
    poses = pipeline(FRAMES[0], *boxes)
    assert isinstance(poses, Poses) and poses.skeleton is pipeline.spec.skeleton
    assert len(boxes[0]) == len(poses) if boxes else found_as_many_as_it_should(pipeline, poses)
    if boxes:
        np.testing.assert_array_equal(poses.boxes_xyxy, boxes[0])
        np.testing.assert_array_equal(poses.box_scores, boxes[1])
    assert_same(pipeline.begin(FRAMES[0], *boxes)(), poses)


def test_without_boxes_the_frame_is_the_box(pipeline: Pipeline) -> None:
    poses, frame = pipeline(FRAMES[0]), frame_box((48, 64))
    assert found_as_many_as_it_should(pipeline, poses)
    if pipeline.finds_people:
        with pytest.raises(ValueError, match="boxes_xyxy: expected None"):
            pipeline(FRAMES[0], frame)
        with pytest.raises(ValueError, match="boxes_xyxy: expected None"):
            pipeline.stages(FRAMES[0], frame)
    else:
        assert_same(pipeline(FRAMES[0], frame), poses)


def test_as_many_frames_are_unfinished_as_it_says(pipeline: Pipeline) -> None:
    """And the caller may change a frame as soon as it has begun."""
    boxes = boxes_of(pipeline)
    expected = [pipeline(image, *boxes) for image in FRAMES]
    waiting, found, scratch = [], [], FRAMES[0].copy()
    for image in FRAMES:
        scratch[:] = image
        waiting.append(pipeline.begin(scratch, *boxes))
        scratch[:] = 0
        while len(waiting) > pipeline.ahead:
            found.append(waiting.pop(0)())
    found += [finish() for finish in waiting]
    for poses, one in zip(found, expected, strict=True):
        assert_same(poses, one)


def test_nobody(pipeline: Pipeline) -> None:
    if not pipeline.finds_people:
        assert len(pipeline(FRAMES[0], np.zeros((0, 4), np.float32))) == 0
        assert len(pipeline.begin(FRAMES[0], np.zeros((0, 4), np.float32), np.zeros(0, np.float32))()) == 0


def test_stages(pipeline: Pipeline) -> None:
    boxes = boxes_of(pipeline)[:1]
    stages = pipeline.stages(FRAMES[0], *boxes)
    assert list(stages) == ["preprocess", "inference", "decode", "end_to_end", "network"]
    for stage in stages.values():
        stage()
    found = stages["end_to_end"]()
    assert isinstance(found, Poses)
    assert_same(found, pipeline(FRAMES[0], *boxes))
    assert pipeline.slowed_by == ""


def test_a_one_stage_network_gives_people_in_image_pixels() -> None:
    """The frame [48, 64] fills the input [64, 96] from top to bottom, with black on both sides."""
    session, contract = NETWORKS["host, finds people in one stage"]
    with open_pipeline(session, contract) as pipeline:
        image = np.zeros((48, 64, 3), np.uint8)
        poses = pipeline(image)
    level = -contract.input.mean[0] / contract.input.std[0]
    assert poses.scores.tolist() == [[pytest.approx(0.8)] * 14]
    expected = (np.array([27, 27, 7, 7]) + level + 0.5) * 0.75 - [4.5, 0.5, 4.5, 0.5]
    np.testing.assert_allclose(poses.xy_image[0, [0, -1]].ravel(), expected, atol=1e-4)
    np.testing.assert_allclose(poses.boxes_xyxy[0], [*poses.xy_image[0, -1], *poses.xy_image[0, 0]])
