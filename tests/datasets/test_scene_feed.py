"""Items of several people: everybody's targets, weights where labels lack, the same crop as for one person."""

from __future__ import annotations

import functools
import pickle
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgepose.artifacts.spec import CropSpec, InputSpec, ModelSpec  # noqa: E402
from edgepose.datasets.augment import AugmentOptions  # noqa: E402
from edgepose.datasets.coco import load_coco  # noqa: E402
from edgepose.datasets.samples import Sample, SampleList  # noqa: E402
from edgepose.datasets.scene_feed import SceneItems, SceneTarget  # noqa: E402
from edgepose.datasets.synthetic import SyntheticPeople  # noqa: E402
from edgepose.datasets.targets import HeatmapTarget  # noqa: E402
from edgepose.datasets.torch_feed import TrainingItems, batches  # noqa: E402
from edgepose.pose.geometry import apply_affine, crop_affine, grid_affine  # noqa: E402
from edgepose.pose.skeletons import SKELETONS  # noqa: E402

LSP = SKELETONS["lsp14"].linked()
SIZE = (64, 64)
SPEC = ModelSpec(name="test", skeleton=LSP, input=InputSpec(mean=(0, 0, 0), std=(1, 1, 1)), crop=CropSpec(padding=1.5))
TARGET = SceneTarget(stride=4, sigma=1.5, limbs=LSP.limb_indices())


def noise(seed):
    return np.random.default_rng(seed).integers(0, 256, (120, 160, 3), np.uint8)


def person(left, image=0, **changes):
    """A figure in a box of 40 x 80 that begins at x = left."""
    xy = np.random.default_rng(int(left)).uniform([left, 20], [left + 40, 100], (14, 2)).astype(np.float32)
    known = np.ones(14, bool)
    return Sample(**{
        "image_id": image, "name": f"{image}.png", "read": functools.partial(noise, image), "xy_image": xy,
        "labeled": known, "occluded": ~known, "box_xyxy": np.array([left, 20, left + 40, 100], np.float32),
        "area": 3200.0, **changes,
    })  # fmt: skip


def scene(*people):
    ids = tuple({sample.image_id for sample in people})
    return SampleList(name="scene", skeleton=LSP, samples=people, image_ids=ids)


def items(data, options=None):
    return SceneItems([data], SPEC, SIZE, TARGET, 1, 0, options)


def cells_of(sample, box):
    matrix = crop_affine(box, SIZE, padding=1.5)
    return apply_affine(grid_affine(SIZE, (16, 16)), apply_affine(matrix, sample.xy_image))


def test_everybody_is_in_the_maps_and_fields():
    a, b = person(20), person(60)
    crop, maps, fields, of_maps, of_fields = items(scene(a, b))[0]
    assert [part.shape for part in (crop, maps, fields)] == [(3, 64, 64), (15, 16, 16), (26, 16, 16)]
    assert (of_maps.shape, of_fields.shape) == (maps.shape, fields.shape)
    assert of_maps.all() and of_fields.all()
    for sample in (a, b):
        for k, (x, y) in enumerate(np.rint(cells_of(sample, a.box_xyxy)).astype(int)):
            if 0 <= x < 16 and 0 <= y < 16:
                assert maps[k, y, x] > 0.7
    alone = items(scene(a))[0]
    assert (maps[:14] >= alone[1][:14]).all() and maps[:14].sum() > alone[1][:14].sum()
    assert np.array_equal(maps[14], 1 - maps[:14].max(axis=0))
    assert np.array_equal(items(scene(a, b, person(20, image=1)))[0][1], maps)  # another image is nobody here


def test_alone_the_maps_are_those_of_one_person():
    a = person(20)
    for options in (None, AugmentOptions()):
        one = TrainingItems([scene(a)], SPEC, SIZE, HeatmapTarget(stride=4, sigma=1.5), 1, 0, options)[0]
        many = items(scene(a), options)[0]
        assert np.array_equal(many[0], one[0])
        inside = one[2] > 0  # the other joints are outside the crop; their Gaussians may still reach into it
        assert np.array_equal(many[1][:14][inside], one[1][inside])


def test_a_crowd_is_no_background():
    """Nobody knows who is in its box: no map or field is taught there, but where a labeled joint is."""
    a = person(20)
    crowd = replace(person(70), ignore=True, crowd=True, box_xyxy=np.array([65, 0, 110, 119], np.float32))
    _, maps, fields, of_maps, of_fields = items(scene(a, crowd))[0]
    alone = items(scene(a))[0]
    assert np.array_equal(maps, alone[1]) and np.array_equal(fields, alone[2])
    matrix = crop_affine(a.box_xyxy, SIZE, padding=1.5)
    edge = apply_affine(grid_affine(SIZE, (16, 16)), apply_affine(matrix, np.array([65.0, 60.0])))[0]
    beyond = np.arange(16) > edge
    assert beyond.any() and not beyond.all()
    assert np.array_equal(of_maps[:14] == 1, (maps[:14] > 0.01) | ~beyond)
    assert np.array_equal(of_fields[0] == 1, (fields[0] != 0) | (fields[1] != 0) | ~beyond)


def test_an_unlabeled_joint_is_not_taught_as_absent():
    known = np.ones(14, bool)
    known[LSP.index("left_wrist")] = False
    a = replace(person(20), labeled=known)
    _, _, _, of_maps, of_fields = items(scene(a))[0]
    wrist, arm = LSP.index("left_wrist"), LSP.limb_indices().index((LSP.index("left_elbow"), LSP.index("left_wrist")))
    others = [k for k in range(14) if k != wrist]
    assert of_maps[others].all() and not of_maps[wrist].all() and of_maps[wrist].any()
    assert np.array_equal(of_maps[14], of_maps[wrist])  # the background knows it as little
    assert not of_fields[2 * arm].all()
    assert [i for i in range(26) if not of_fields[i].all()] == [2 * arm, 2 * arm + 1]


def test_a_mirror_exchanges_the_sides_of_everybody():
    options = AugmentOptions(scale=0, rotate=0, shift=0, mirror=1.0, half_body=0, color=0)
    plain, mirrored = items(scene(person(20), person(60)))[0], items(scene(person(20), person(60)), options)[0]
    order = [*LSP.flip_order(), 14]
    assert np.allclose(mirrored[1], plain[1][order][..., ::-1], atol=1e-5)
    limbs = LSP.limb_indices()
    flip = LSP.flip_order()
    for i, (a, b) in enumerate(limbs):
        j = limbs.index((flip[a], flip[b]))
        assert np.allclose(mirrored[2][2 * i], -plain[2][2 * j][..., ::-1], atol=1e-5)
        assert np.allclose(mirrored[2][2 * i + 1], plain[2][2 * j + 1][..., ::-1], atol=1e-5)


def test_data_of_one_person_an_image_is_not_searched():
    data = SyntheticPeople(2, size=(96, 96))
    found = items(data)[1]
    assert found[1].shape == (15, 16, 16) and found[1][:14].max() > 0.5


def test_batches_of_coco(data_root):
    data = load_coco(data_root / "coco-mini", "val2017")
    spec = replace(SPEC, skeleton=SKELETONS["coco17"].linked())
    target = SceneTarget(stride=8, sigma=0.9, limbs=spec.skeleton.limb_indices())
    crowded = SceneItems([data], spec, (128, 128), target, 1, 0, AugmentOptions())
    feed, _ = batches(crowded, 4, workers=0)
    shapes = [tuple(part.shape) for part in next(feed)]
    feed.close()
    assert shapes == [(4, 3, 128, 128), (4, 18, 16, 16), (4, 36, 16, 16), (4, 18, 16, 16), (4, 36, 16, 16)]
    assert any(len(people) > 1 for people in crowded.together)


def test_it_travels_to_other_processes():
    """As a loader that does not fork sends it: who stands beside whom must not hang on where objects lie."""
    there = pickle.loads(pickle.dumps(items(scene(person(20), person(60)))))
    here = items(scene(person(20), person(60)))
    assert all(np.array_equal(a, b) for a, b in zip(there[1], here[1], strict=True))
