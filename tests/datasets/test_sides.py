"""Exchanged sides: found in published labels after they were exchanged, and not before."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.datasets.open import open_data
from edgepose.datasets.sides import swapped_sides
from edgepose.pose.skeletons import SKELETONS, Skeleton

SETS = ["lsp:lsp:test", "lsp:lsp:train", "mpii:mpii", "coco:coco-mini:train2017", "lspet:lspet"]


@pytest.fixture(scope="module", params=SETS)
def published(request, data_root):
    """(xy, labeled, skeleton) of everybody who counts."""
    kind, _, rest = request.param.partition(":")
    data = open_data(f"{kind}:{data_root}/{rest}")
    samples = [data[i] for i in range(min(len(data), 3000)) if not data[i].ignore]
    return np.stack([s.xy_image for s in samples]), np.stack([s.labeled for s in samples]), data.skeleton


def exchanged(xy, labeled, skeleton, people=slice(None), *joints):
    """Copies with left and right exchanged for some people, in all joints or those named."""
    order = np.arange(len(skeleton))
    flip = np.array(skeleton.flip_order())
    which = np.array([not joints or joint.partition("_")[2] in joints for joint in skeleton.joints])
    order[which] = flip[which]
    xy, labeled = xy.copy(), labeled.copy()
    xy[people], labeled[people] = xy[people][:, order], labeled[people][:, order]
    return xy, labeled, skeleton


def test_published_labels_are_in_order(published):
    assert swapped_sides(*published) == []


def test_everything_exchanged(published):
    (said,) = swapped_sides(*exchanged(*published))
    assert "throughout" in said


@pytest.mark.parametrize("joint", ["elbow", "wrist"])
def test_one_joint_exchanged(published, joint):
    said = swapped_sides(*exchanged(*published, slice(None), joint))
    assert said
    assert all("crosses over" in line and joint in line for line in said)


def test_a_stretch_exchanged(published):
    if len(published[0]) < 600:
        pytest.skip("too few people to tell a stretch from the rest")
    said = swapped_sides(*exchanged(*published, slice(200, 400)))
    assert len(said) == 2
    assert "people 200 to 299" in said[0]
    assert "people 300 to 399" in said[1]


def test_eyes_exchanged(data_root):
    """No limb tells eyes apart from their pair; the other pairs do."""
    data = open_data(f"coco:{data_root}/coco-mini:train2017")
    samples = [data[i] for i in range(len(data)) if not data[i].ignore]
    xy, labeled = np.stack([s.xy_image for s in samples]), np.stack([s.labeled for s in samples])
    (said,) = swapped_sides(*exchanged(xy, labeled, data.skeleton, slice(None), "eye"))
    assert said.startswith("left_eye and right_eye look exchanged")


def test_too_few_people_and_no_pairs_show_nothing():
    lsp = SKELETONS["lsp14"]
    xy = np.random.default_rng(0).uniform(0, 100, (20, 14, 2))
    assert swapped_sides(xy, np.ones((20, 14), bool), lsp) == []
    bare = Skeleton(name="bare", joints=("a", "b"), limbs=(("a", "b"),))
    assert swapped_sides(np.zeros((50, 2, 2)), np.ones((50, 2), bool), bare) == []
    assert swapped_sides(np.zeros((0, 14, 2)), np.zeros((0, 14), bool), lsp) == []


def test_the_order_in_which_pairs_are_written_does_not_matter(data_root):
    data = open_data(f"lsp:{data_root}/lsp:test")
    xy, labeled = np.stack([s.xy_image for s in data]), np.stack([s.labeled for s in data])
    turned = Skeleton(
        name="turned",
        joints=data.skeleton.joints,
        flips=tuple((b, a) for a, b in data.skeleton.flips),
        limbs=tuple((b, a) for a, b in data.skeleton.limbs),
    )
    assert swapped_sides(xy, labeled, turned) == []
    assert "throughout" in swapped_sides(*exchanged(xy, labeled, turned))[0]
