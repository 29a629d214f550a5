"""Top-down with a session of known heatmaps: image coordinates, batches, flips, wrong contracts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgepose.artifacts.spec import CodecSpec, InputSpec, PictorialSpec
from edgepose.codecs import heatmap
from edgepose.errors import SpecError
from edgepose.pose.geometry import apply_affine, crop_affine, grid_affine, invert_affine
from edgepose.runtime.topdown import TopDown

IMAGE = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
BOXES = np.array([[50, 40, 120, 260], [-20, 10, 90, 310], [200, 100, 380, 190]], np.float32)


def truth(cells, box, spec):
    """[14, 2]: the image position of cells [14, 2] of a box's crop."""
    crop = apply_affine(grid_affine((64, 48), spec.input.size), cells)
    return apply_affine(invert_affine(crop_affine(box, spec.input.size, padding=spec.crop.padding)), crop)


def test_joints_come_back_where_they_were_put(session, spec):
    poses = TopDown(session, spec)(IMAGE, BOXES, np.array([0.9, 0.8, 0.7], np.float32))
    assert len(poses) == 3
    for i, box in enumerate(BOXES):
        expected = truth(session.xy_heatmap[i], box, spec)
        cell = np.ptp(truth(np.array([[0.0, 0], [1, 0]]), box, spec)[:, 0])  # image pixels
        assert np.abs(poses.xy_image[i] - expected).max() < 0.02 * cell
    assert np.array_equal(poses.boxes_xyxy, BOXES)
    assert poses.box_scores.tolist() == pytest.approx([0.9, 0.8, 0.7])
    assert (poses.scores > 0.85).all()


def test_a_frame_is_one_batch(session, spec):
    TopDown(session, spec)(IMAGE, BOXES)
    assert [batch.shape for batch in session.batches] == [(3, 3, 256, 192)]


def test_a_crowd_is_run_in_several_goes(session, spec):
    boxes = np.tile(BOXES, (3, 1))
    poses = TopDown(session, spec, largest_batch=4)(IMAGE, boxes)
    assert [len(batch) for batch in session.batches] == [4, 4, 1]
    session.given = 0
    assert np.array_equal(poses.xy_image, TopDown(session, spec)(IMAGE, boxes).xy_image)


def test_a_tree_of_springs_decodes_as_one_body(session, spec):
    """With springs that cost nothing: the same joints; with stiff ones: bodies as the springs want them."""
    free = PictorialSpec(parents=(-1, *[0] * 13), mean=((0.1, 0.2),) * 14, variance=((1e-5, 1e-5),) * 14, weight=0.0)
    found = []
    for tree in (None, free, replace(free, weight=1e4)):
        session.given = 0
        found.append(TopDown(session, replace(spec, codec=replace(spec.codec, pictorial=tree)))(IMAGE, BOXES))
    assert np.allclose(found[0].xy_image, found[1].xy_image, atol=1e-3)
    assert not np.allclose(found[0].xy_image, found[2].xy_image, atol=5)
    assert np.ptp(found[2].xy_image[:, 1:], axis=1).max() < 30  # all of them in one place


def test_nobody_costs_nothing(session, spec):
    assert len(TopDown(session, spec)(IMAGE, np.zeros((0, 4), np.float32))) == 0
    assert not session.batches


def test_flip_test_merges_the_mirrored_maps(session, spec):
    class Mirror(type(session)):
        """The second run of a pair answers as a perfect network would for the mirrored crop."""

        def run(self, feed):
            if len(self.batches) % 2 == 0:
                return super().run(feed)
            assert np.array_equal(feed["input"], self.batches[-1][..., ::-1])
            self.batches.append(feed["input"])
            cells = self.xy_heatmap[: len(feed["input"]), list(spec.skeleton.flip_order())].copy()
            cells[..., 0] = 47 - cells[..., 0]
            return {"heatmaps": heatmap.encode(cells, np.ones(cells.shape[:2], bool), (64, 48), 2.0)}

    plain = TopDown(session, spec)(IMAGE, BOXES)
    both = TopDown(Mirror(session.xy_heatmap), spec, flip_test=True)(IMAGE, BOXES)
    assert np.abs(both.xy_image - plain.xy_image).max() < 1e-2


def test_the_contract_is_checked(session, spec):
    with pytest.raises(SpecError, match="input 'data' is not the network's"):
        TopDown(session, replace(spec, input=InputSpec(name="data")))
    with pytest.raises(SpecError, match="output 'maps' is not the network's"):
        TopDown(session, replace(spec, outputs=("maps",)))
    with pytest.raises(SpecError, match="codec 'simcc' cannot be run yet"):
        TopDown(session, replace(spec, codec=CodecSpec(type="simcc")))


def test_a_network_with_other_joints_is_refused(session, spec):
    network = TopDown(session, spec)
    outputs = {"heatmaps": np.zeros((3, 17, 64, 48), np.float32)}
    with pytest.raises(SpecError, match=r"shape \[3, 17, 64, 48\].*wants heatmaps \[3, 14, h, w\]"):
        network.decode(outputs, np.tile(np.eye(3)[:2], (3, 1, 1)), BOXES)
