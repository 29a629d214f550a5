"""Targets: where joints land in the maps of any stride, and what counts."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from edgepose.codecs import heatmap
from edgepose.datasets.targets import HeatmapTarget, RegressionTarget, cells_of, inside_crop
from edgepose.errors import UsageError
from edgepose.pose.geometry import apply_affine, grid_affine

SIZE = (64, 48)


@pytest.mark.parametrize("stride", [1, 4, 8])
def test_the_peak_decodes_to_the_joint(stride: int) -> None:
    xy = np.random.default_rng(0).uniform(0, 1, (14, 2)) * [47, 63]
    maps, weight = HeatmapTarget(stride=stride, sigma=2.0)(xy, np.ones(14, bool), SIZE)
    assert maps.shape == (14, 64 // stride, 48 // stride) and maps.dtype == np.float32
    assert weight.tolist() == [1.0] * 14
    xy_cells, _ = heatmap.decode(maps[None], "argmax")
    back = apply_affine(grid_affine(maps.shape[1:], SIZE), xy_cells[0])
    assert np.abs(back - xy).max() <= stride / 2 + 1e-9


def test_outside_or_unlabeled_weighs_nothing() -> None:
    xy = np.array([[10.0, 10.0], [47.5, 63.5], [47.6, 10.0], [-0.6, 10.0], [10.0, np.nan], [20.0, 20.0]])
    labeled = np.array([True] * 5 + [False])
    assert inside_crop(xy, SIZE).tolist() == [True, True, False, False, False, True]
    maps, weight = HeatmapTarget(stride=4, sigma=2.0)(xy, labeled, SIZE)
    assert weight.tolist() == [1, 1, 0, 0, 0, 0]
    assert [bool(part.any()) for part in maps] == [True, True, False, False, False, False]


def test_a_size_that_does_not_divide_is_refused() -> None:
    assert cells_of((64, 48), 8) == (8, 6)
    with pytest.raises(UsageError, match="a crop of 64x50 has no whole number of cells of 8 pixels"):
        cells_of((64, 50), 8)


def test_coordinates_keep_joints_outside_the_crop() -> None:
    xy = np.array([[23.5, 31.5], [-24.5, 31.5], [5.0, np.nan], [0.0, 0.0]])
    found, weight = RegressionTarget()(xy, np.array([True, True, True, False]), SIZE)
    assert found.dtype == np.float32 and np.isfinite(found).all()
    assert found[:2].tolist() == [[0, 0], [-1, 0]]
    assert weight.tolist() == [1, 1, 0, 0]


def test_it_travels_to_other_processes() -> None:
    target = HeatmapTarget(stride=4, sigma=2.0)
    assert pickle.loads(pickle.dumps(target)) == target
