"""Springs from labels: a mirrored, scaled and moved set of people gives the springs of its crops."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgepose.artifacts.spec import ModelSpec, spec_from_dict
from edgepose.datasets.lsp import load_lsp
from edgepose.datasets.springs import learn_springs
from edgepose.errors import DataError
from edgepose.pose.geometry import apply_affine, crop_affine
from edgepose.pose.skeletons import SKELETONS

LSP = SKELETONS["lsp14"]
SPEC = ModelSpec(name="test", skeleton=LSP)


def test_the_body_of_lsp(data_root: Path) -> None:
    """Limbs are springs, left and right alike; a spring's mean is where people have that joint."""
    data = load_lsp(data_root / "lsp", "train")
    tree = learn_springs(data, SPEC)
    names = {frozenset((LSP.joints[k], LSP.joints[p])) for k, p in enumerate(tree.parents) if p >= 0}
    limbs = {frozenset(limb) for limb in LSP.limbs}
    assert len(names & limbs) >= 8
    assert frozenset(("neck", "head_top")) in names
    k = next(k for k, parent in enumerate(tree.parents) if parent >= 0)
    parent = tree.parents[k]
    matrices = [crop_affine(sample.box_xyxy, (256, 192)) for sample in data.samples]
    xy = np.stack([apply_affine(m, sample.xy_image) for m, sample in zip(matrices, data.samples, strict=True)]) / 256
    assert np.allclose(tree.mean[k], (xy[:, k] - xy[:, parent]).mean(axis=0), atol=1e-5)
    assert np.allclose(tree.variance[k], (xy[:, k] - xy[:, parent]).var(axis=0), atol=1e-5)
    made = replace(SPEC, codec=replace(SPEC.codec, pictorial=tree))
    assert spec_from_dict(made.to_json(), "test") == made


def test_nobody_to_learn_from(data_root: Path) -> None:
    data = replace(load_lsp(data_root / "lsp", "val"), samples=())
    with pytest.raises(DataError, match="has no people to learn springs from"):
        learn_springs(data, SPEC)


def test_a_joint_that_the_data_does_not_label(data_root: Path) -> None:
    data = load_lsp(data_root / "lsp", "val")
    with pytest.raises(DataError, match="no 10 people show joints"):
        learn_springs(data, replace(SPEC, skeleton=SKELETONS["coco17"]))
