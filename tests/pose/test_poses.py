"""Poses: nobody, somebody, and arrays that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.pose import SKELETONS, Poses

LSP = SKELETONS["lsp14"]


def arrays(n=3):
    return {
        "xy_image": np.zeros((n, 14, 2), np.float32),
        "scores": np.zeros((n, 14), np.float32),
        "boxes_xyxy": np.zeros((n, 4), np.float32),
        "box_scores": np.zeros(n, np.float32),
        "track_ids": np.zeros(n, np.int64),
    }


def test_length():
    assert len(Poses(skeleton=LSP, **arrays())) == 3
    assert len(Poses(skeleton=LSP, **arrays(0))) == 0
    nobody = Poses.empty(SKELETONS["coco17"])
    assert len(nobody) == 0
    assert nobody.xy_image.shape == (0, 17, 2)
    assert nobody.track_ids is None


@pytest.mark.parametrize("name", arrays())
def test_each_array_is_checked(name):
    good = arrays()
    with pytest.raises(ValueError, match=f"{name}: expected shape"):
        Poses(
            skeleton=LSP,
            **good | {name: good[name][:2]} if name != "xy_image" else good | {name: good[name][..., :1]},
        )
    with pytest.raises(ValueError, match=f"{name}: expected dtype"):
        Poses(skeleton=LSP, **good | {name: good[name].astype(np.float64)})


def test_joints_are_the_skeletons():
    with pytest.raises(ValueError, match=r"xy_image: expected shape \[N, 17, 2\], got \[3, 14, 2\]"):
        Poses(skeleton=SKELETONS["coco17"], **arrays())


def test_a_person_that_is_not_there():
    with pytest.raises(IndexError, match="person 3 of 3"):
        Poses(skeleton=LSP, **arrays())[3]
    with pytest.raises(IndexError, match="person -1 of 0"):
        Poses.empty(LSP)[-1]
    assert len(Poses(skeleton=LSP, **arrays())[-3]) == 1
