"""Top-down with sessions that know the answer: image coordinates, batches, flips of every codec, wrong contracts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgepose.artifacts.spec import InputSpec
from edgepose.codecs import grids, heatmap, regression, simcc
from edgepose.codecs.heatmap import HeatmapCodec
from edgepose.codecs.regression import RegressionCodec
from edgepose.codecs.simcc import SimccCodec
from edgepose.codecs.springs import PictorialSpec
from edgepose.errors import ModelError, SpecError
from edgepose.pose.geometry import apply_affine, crop_affine, grid_affine, invert_affine
from edgepose.runtime.host import HostPipeline

IMAGE = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
BOXES = np.array([[50, 40, 120, 260], [-20, 10, 90, 310], [200, 100, 380, 190]], np.float32)


def truth(cells, box, spec):
    """[14, 2]: the image position of cells [14, 2] of a box's crop."""
    crop = apply_affine(grid_affine((64, 48), spec.input.size), cells)
    return apply_affine(invert_affine(crop_affine(box, spec.input.size, padding=spec.crop.padding)), crop)


def test_joints_come_back_where_they_were_put(session, spec):
    poses = HostPipeline(session, spec)(IMAGE, BOXES, np.array([0.9, 0.8, 0.7], np.float32))
    assert len(poses) == 3
    for i, box in enumerate(BOXES):
        expected = truth(session.xy_heatmap[i], box, spec)
        cell = np.ptp(truth(np.array([[0.0, 0], [1, 0]]), box, spec)[:, 0])  # image pixels
        assert np.abs(poses.xy_image[i] - expected).max() < 0.02 * cell
    assert np.array_equal(poses.boxes_xyxy, BOXES)
    assert poses.box_scores.tolist() == pytest.approx([0.9, 0.8, 0.7])
    assert (poses.scores > 0.85).all()


def test_a_frame_is_one_batch(session, spec):
    HostPipeline(session, spec)(IMAGE, BOXES)
    assert [batch.shape for batch in session.batches] == [(3, 3, 256, 192)]


def test_a_crowd_is_run_in_several_goes(session, spec):
    boxes = np.tile(BOXES, (3, 1))
    poses = HostPipeline(session, spec, largest_batch=4)(IMAGE, boxes)
    assert [len(batch) for batch in session.batches] == [4, 4, 1]
    session.given = 0
    assert np.array_equal(poses.xy_image, HostPipeline(session, spec)(IMAGE, boxes).xy_image)


def test_a_tree_of_springs_decodes_as_one_body(session, spec):
    """With springs that cost nothing: the same joints; with stiff ones: bodies as the springs want them."""
    free = PictorialSpec(parents=(-1, *[0] * 13), mean=((0.1, 0.2),) * 14, variance=((1e-5, 1e-5),) * 14, weight=0.0)
    found = []
    for tree in (None, free, replace(free, weight=1e4)):
        session.given = 0
        found.append(HostPipeline(session, replace(spec, codec=replace(spec.codec, pictorial=tree)))(IMAGE, BOXES))
    assert np.allclose(found[0].xy_image, found[1].xy_image, atol=1e-3)
    assert not np.allclose(found[0].xy_image, found[2].xy_image, atol=5)
    assert np.ptp(found[2].xy_image[:, 1:], axis=1).max() < 30  # all of them in one place


def test_nobody_costs_nothing(session, spec):
    assert len(HostPipeline(session, spec)(IMAGE, np.zeros((0, 4), np.float32))) == 0
    assert not session.batches


class Knowing:
    """Knows where the joints of each crop are, and says it in the way of a codec; mirrored, where it is asked so."""

    def __init__(self, spec, xy_crop, nudge=(0, 0)):
        self.spec, self.xy_crop, self.nudge = spec, xy_crop, nudge  # nudge: what only the mirrored run says
        self.inputs, self.outputs = (spec.input.name,), spec.outputs
        self.plain = None

    def run(self, feed):
        crops, xy = feed[self.inputs[0]], self.xy_crop
        if self.plain is not None:  # the second run of a pair
            assert np.array_equal(crops, self.plain[..., ::-1])
            xy = xy[:, list(self.spec.skeleton.flip_order())] * [-1, 1] + [self.spec.input.size[1] - 1, 0] + self.nudge
        self.plain = crops if self.plain is None else None
        return dict(zip(self.outputs, SAYS[self.spec.codec.name](self.spec, xy), strict=True))


def say_heatmaps(spec, xy):
    cells = apply_affine(grids.grid(spec.codec.refine, spec.input.size, (64, 48)), xy)
    return [heatmap.encode(cells, np.ones(xy.shape[:2], bool), (64, 48), spec.codec.sigma)]


def say_simcc(spec, xy):
    return simcc.encode(xy, np.ones(xy.shape[:2], bool), spec.input.size, spec.codec.split, 6.0)


def say_coordinates(spec, xy):
    coords = regression.encode(xy, spec.input.size, spec.codec.range)
    return [np.concatenate([coords, np.full((*xy.shape[:2], 1), 0.75, np.float32)], axis=-1)]


SAYS = {"heatmap": say_heatmaps, "simcc": say_simcc, "regression": say_coordinates}
CODECS = {
    "dark": (HeatmapCodec(refine="dark"), 0.1),
    "udp": (HeatmapCodec(refine="udp"), 0.1),
    "simcc": (SimccCodec(), 0.25),  # half a bin
    "simcc x3": (SimccCodec(split=3.0), 1 / 6),
    "centered": (RegressionCodec(), 1e-3),
    "unit": (RegressionCodec(range="unit"), 1e-3),
}


@pytest.mark.parametrize("flip_test", [False, True])
@pytest.mark.parametrize("name", CODECS)
def test_every_codec_brings_the_joints_back(spec, name, flip_test):
    """Within what the codec can resolve, in crop pixels; and the mirrored run says the same."""
    codec, resolved = CODECS[name]
    spec = replace(spec, codec=codec, outputs=("first", "second")[: len(codec.decodes)])
    xy_crop = np.random.default_rng(1).uniform(40, 150, (3, 14, 2))
    poses = HostPipeline(Knowing(spec, xy_crop), spec, flip_test=flip_test)(IMAGE, BOXES)
    to_crop = np.stack([crop_affine(box, spec.input.size, padding=spec.crop.padding) for box in BOXES])
    assert np.abs(apply_affine(to_crop, poses.xy_image) - xy_crop).max() < resolved + 1e-3
    assert (poses.scores > 0.7).all()


def test_half_of_what_only_the_mirrored_run_says_arrives(spec):
    spec = replace(spec, codec=RegressionCodec(), outputs=("joints",))
    network = HostPipeline(Knowing(spec, np.full((1, 14, 2), 96.0), nudge=(10, 4)), spec, flip_test=True)
    crops, inverse = network.preprocess(IMAGE, BOXES[:1])
    poses = network.decode(network.infer(crops), inverse, BOXES[:1])
    assert np.allclose(poses.xy_image, apply_affine(inverse, np.full((1, 14, 2), (91.0, 98.0))), atol=1e-3)


def test_the_contract_is_checked(session, spec):
    with pytest.raises(SpecError, match="input 'data' is not the network's"):
        HostPipeline(session, replace(spec, input=InputSpec(name="data")))
    with pytest.raises(SpecError, match="output 'maps' is not the network's"):
        HostPipeline(session, replace(spec, outputs=("maps",)))


@pytest.mark.parametrize("name", ["dark", "simcc", "unit"])
def test_a_network_that_overflowed(spec, name):
    spec = replace(spec, codec=CODECS[name][0], outputs=("first", "second")[: len(CODECS[name][0].decodes)])
    xy_crop = np.full((3, 14, 2), 96.0)
    session = Knowing(spec, xy_crop)
    outputs = session.run({"input": np.zeros((3, 3, 256, 192), np.float32)})
    outputs[spec.outputs[-1]][1, 2, 0] = np.nan
    with pytest.raises(ModelError, match="overflowed"):
        HostPipeline(session, spec).decode(outputs, np.tile(np.eye(3)[:2], (3, 1, 1)), BOXES)


def test_a_network_with_other_joints_is_refused(session, spec):
    network = HostPipeline(session, spec)
    outputs = {"heatmaps": np.zeros((3, 17, 64, 48), np.float32)}
    with pytest.raises(SpecError, match=r"shape \[3, 17, 64, 48\].*expect heatmaps \[3, 14, h, w\]"):
        network.decode(outputs, np.tile(np.eye(3)[:2], (3, 1, 1)), BOXES)
