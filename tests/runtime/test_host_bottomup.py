"""Bottom-up with a session that answers with known fields: image coordinates, boxes, flips, wrong contracts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgepose.artifacts.spec import CropSpec, InputSpec, ModelSpec
from edgepose.codecs import paf
from edgepose.codecs.paf import PafCodec
from edgepose.datasets.rendering import render_clip
from edgepose.errors import ModelError, SpecError
from edgepose.kernels.cropping import frame_box
from edgepose.media.draw import draw_poses
from edgepose.pose.geometry import apply_affine, box_of_joints, crop_affine, grid_affine
from edgepose.pose.skeletons import SKELETONS
from edgepose.runtime.host import HostPipeline

LSP = SKELETONS["lsp14"]
JOINED = replace(LSP, limbs=(*LSP.limbs, ("neck", "right_shoulder"), ("neck", "left_shoulder")))
SPEC = ModelSpec(
    name="fields",
    skeleton=JOINED,
    input=InputSpec(size=(368, 496)),
    codec=PafCodec(),
    crop=CropSpec(padding=1.0),
    outputs=("maps", "fields"),
)
SIZE = (92, 124)
IMAGE = np.random.default_rng(0).integers(0, 255, (300, 500, 3), dtype=np.uint8)
FRAME = np.array([-0.5, -0.5, 499.5, 299.5])
LIMBS = np.array(JOINED.limb_indices())


class Fields:
    """Answers with the maps of people [M, 14, 2] in the image; the second run of a pair is mirrored."""

    inputs, outputs = ("input",), ("maps", "fields")

    def __init__(self, xy_image, labeled=None, frame=FRAME, background=False):
        self.labeled = np.ones(xy_image.shape[:2], bool) if labeled is None else labeled
        to_input = crop_affine(frame, SPEC.input.size, padding=1.0)
        self.xy_input, self.background = apply_affine(to_input, xy_image), background
        self.canvases = []

    def run(self, feed):
        self.canvases.append(feed["input"])
        assert feed["input"].shape == (1, 3, *SPEC.input.size)
        xy, labeled = self.xy_input, self.labeled
        if len(self.canvases) == 2:
            assert np.array_equal(self.canvases[1], self.canvases[0][..., ::-1])
            order = list(JOINED.flip_order())
            xy, labeled = xy[:, order] * [-1, 1] + [SPEC.input.size[1] - 1, 0], labeled[:, order]
        cells = apply_affine(grid_affine(SPEC.input.size, SIZE), xy)
        maps, fields = paf.encode(cells, labeled, LIMBS, SIZE, sigma=1.5, width=1.0)
        if self.background:
            maps = np.concatenate([maps, 1 - maps.max(axis=0, keepdims=True)])
        return {"maps": maps[None], "fields": fields.reshape(1, -1, *SIZE)}


def two_people():
    """Standing side by side: [2, 14, 2] in the image."""
    unit = {
        "head_top": (0, -0.5), "neck": (0, -0.35), "right_shoulder": (-0.12, -0.33), "left_shoulder": (0.12, -0.33),
        "right_elbow": (-0.2, -0.15), "left_elbow": (0.2, -0.15), "right_wrist": (-0.26, 0.0),
        "left_wrist": (0.26, 0.0), "right_hip": (-0.08, 0.02), "left_hip": (0.08, 0.02), "right_knee": (-0.1, 0.25),
        "left_knee": (0.1, 0.25), "right_ankle": (-0.1, 0.5), "left_ankle": (0.1, 0.5),
    }  # fmt: skip
    person = np.array([unit[joint] for joint in LSP.joints])
    return np.stack([person * 220 + (120, 150), person * 180 + (350, 160)])


def left_first(poses):
    return np.argsort(poses.boxes_xyxy[:, 0])


@pytest.mark.parametrize("flip_test", [False, True])
@pytest.mark.parametrize("background", [False, True])
def test_people_come_back_where_they_were_put(flip_test, background):
    truth = two_people()
    session = Fields(truth, background=background)
    poses = HostPipeline(session, SPEC, flip_test=flip_test)(IMAGE)
    assert len(session.canvases) == 1 + flip_test
    assert len(poses) == 2
    order = left_first(poses)
    cell = 4 * 500 / 496  # image pixels
    assert np.abs(poses.xy_image[order] - truth).max() < 0.25 * cell
    assert (poses.scores > 0.8).all() and (poses.box_scores > 0.8).all()
    assert np.allclose(poses.boxes_xyxy[order], [box_of_joints(xy, np.ones(14, bool)) for xy in truth], atol=1)


def test_joints_that_were_not_found_are_said_to_be_missing():
    truth, labeled = two_people(), np.ones((2, 14), bool)
    hidden = [LSP.index("left_wrist"), LSP.index("right_ankle")]
    labeled[0, hidden] = False
    poses = HostPipeline(Fields(truth, labeled), SPEC)(IMAGE)
    order = left_first(poses)
    assert ((poses.scores[order] > 0) == labeled).all()
    assert not poses.xy_image[order][0, hidden].any()
    assert np.allclose(poses.boxes_xyxy[order][0], box_of_joints(truth[0], labeled[0]), atol=1)
    drawn = draw_poses(IMAGE, poses, threshold=0)
    assert np.array_equal(drawn[:20, :20], IMAGE[:20, :20])  # nothing leads to (0, 0)
    keypoints = np.reshape(poses.to_coco()[int(order[0])]["keypoints"], (14, 3))
    assert not keypoints[hidden].any()


@pytest.mark.parametrize("seed", [4, 5, 6])
def test_rendered_people_who_walk_past_each_other_are_told_apart(seed):
    """Three people, some in front of others: every joint in the frame is found, and is its own person's."""
    scene = next(iter(render_clip(seed, frames=1, size=(360, 480), people=3)))
    session = Fields(scene.joints_xy_image, scene.labeled, frame=np.array([-0.5, -0.5, 479.5, 359.5]))
    poses = HostPipeline(session, SPEC)(scene.image)
    assert len(poses) == 3
    for xy, labeled in zip(scene.joints_xy_image, scene.labeled, strict=True):
        away = np.linalg.norm(poses.xy_image - xy, axis=-1)[:, labeled]
        assert away.max(axis=1).min() < 3


def test_nobody_in_the_frame():
    poses = HostPipeline(Fields(np.zeros((0, 14, 2))), SPEC)(IMAGE)
    assert len(poses) == 0
    assert poses.boxes_xyxy.shape == (0, 4)


def test_the_canvas_is_the_letterboxed_frame():
    """A wide frame: its height does not fill the canvas, and what is above and below is black."""
    network = HostPipeline(Fields(two_people()), SPEC)
    canvas, inverse = network.preprocess(np.full((100, 400, 3), 255, np.uint8), frame_box((100, 400)))
    levels = canvas[0, 0] * SPEC.input.std[0] + SPEC.input.mean[0]
    assert (levels[:120] < 1).all() and (levels[-120:] < 1).all()
    assert (levels[125:243, 1:-1] > 254).all()  # the frame's edge is halfway to black
    corners = apply_affine(inverse[0], np.array([[-0.5, 184 - 62 - 0.5], [495.5, 184 + 62 - 0.5]]))
    assert np.allclose(corners, [[-0.5, -0.5], [399.5, 99.5]])


def test_the_contract_is_checked():
    session = Fields(two_people())
    with pytest.raises(SpecError, match="output 'vectors' is not the network's"):
        HostPipeline(session, replace(SPEC, outputs=("maps", "vectors")))
    lame = replace(JOINED, limbs=JOINED.limbs[1:])
    with pytest.raises(SpecError, match=r"has no mirror .* run without flip test"):
        HostPipeline(session, replace(SPEC, skeleton=lame), flip_test=True)
    with pytest.raises(SpecError, match=r"'fields' has shape \[1, 26, 92, 124\].*expect limb fields \[1, 22, h, w\]"):
        HostPipeline(session, replace(SPEC, skeleton=LSP))(IMAGE)


def test_an_overflow_and_a_crowd_are_errors_of_the_model():
    network = HostPipeline(Fields(two_people()), replace(SPEC, codec=PafCodec(capacity=1)))
    boxes = frame_box((300, 500))
    canvas, inverse = network.preprocess(IMAGE, boxes)
    outputs = network.infer(canvas)
    with pytest.raises(ModelError, match="2 peaks, and 1 are listed"):
        network.decode(outputs, inverse, boxes)
    outputs["maps"][0, 3, 4, 5] = np.inf
    with pytest.raises(ModelError, match="overflowed"):
        network.decode(outputs, inverse, boxes)


def test_boxes_are_refused():
    with pytest.raises(ValueError, match="finds people in the whole frame by itself"):
        HostPipeline(Fields(two_people()), SPEC)(IMAGE, frame_box((300, 500)))
