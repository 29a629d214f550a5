"""Coordinates and maps inside a network: drawn, found and cut out as numpy's definitions say."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edgepose.codecs import heatmap, regression  # noqa: E402
from edgepose.models.places import peaks, render, windows  # noqa: E402
from edgepose.pose.geometry import apply_affine, grid_affine  # noqa: E402

CROP, CELLS = (64, 48), (16, 12)


def test_render_is_the_heatmap_codec() -> None:
    xy_crop = np.random.default_rng(0).uniform(0, [47, 63], (3, 5, 2))
    xy_cells = apply_affine(grid_affine(CROP, CELLS), xy_crop)
    wanted = heatmap.encode(xy_cells, np.ones((3, 5), bool), CELLS, 1.5)
    found = render(torch.from_numpy(regression.encode(xy_crop, CROP)), CELLS, 1.5)
    assert np.allclose(found.numpy(), wanted, atol=1e-5)


def test_peaks_are_the_middles_of_the_highest_cells() -> None:
    maps = torch.randn(4, 5, *CELLS)
    found, value = peaks(maps)
    xy_cells, scores = heatmap.decode(maps.numpy(), "argmax")
    xy_crop = apply_affine(grid_affine(CELLS, CROP), xy_cells)
    assert np.allclose(regression.decode(found.numpy(), CROP)[0], xy_crop, atol=1e-4)
    assert np.array_equal(value.numpy(), scores)


def test_a_window_on_the_grid_is_a_slice() -> None:
    """Windows of 6x4 cells whose pixels lie on the maps' own: nothing is interpolated."""
    maps = torch.randn(2, 3, *CELLS)
    corners = torch.tensor([[[2, 5], [8, 0]], [[0, 10], [4, 4]]])  # x, y of the first cell
    middles = (corners + torch.tensor([2.0, 3.0])) / torch.tensor([12.0, 16.0]) - 0.5
    extent = torch.tensor([[[4 / 12, 6 / 16]]])
    found = windows(maps, middles, extent, (6, 4))
    assert found.shape == (4, 3, 6, 4)
    for b in range(2):
        for k in range(2):
            x, y = corners[b, k].tolist()
            torch.testing.assert_close(found[2 * b + k], maps[b, :, y : y + 6, x : x + 4], atol=1e-4, rtol=0)


def test_a_window_beyond_the_crop_is_zero_there() -> None:
    maps = torch.ones(1, 1, 8, 8)
    found = windows(maps, torch.tensor([[[-0.5, 0.0]]]), torch.tensor([[[1.0, 1.0]]]), (8, 8))
    assert not found[..., :4].any()
    assert torch.allclose(found[..., 4:], torch.ones(()))


def test_windows_of_different_extents() -> None:
    """A ramp tells where each pixel of a window came from; the second person's window is twice as wide."""
    ramp = (torch.arange(32.0) + 0.5).expand(2, 1, 32, 32)
    extent = torch.tensor([[[0.25, 0.25]], [[0.5, 0.5]]])
    found = windows(ramp, torch.zeros(2, 1, 2), extent, (4, 4))[:, 0, 0]
    torch.testing.assert_close(found[0], torch.tensor([13.0, 15.0, 17.0, 19.0]))
    torch.testing.assert_close(found[1], torch.tensor([10.0, 14.0, 18.0, 22.0]))


def test_gradients_reach_what_is_cut_out() -> None:
    maps = torch.randn(1, 2, 8, 8, requires_grad=True)
    windows(maps, torch.zeros(1, 1, 2), torch.tensor([[[0.5, 0.5]]]), (4, 4)).sum().backward()
    assert maps.grad is not None and maps.grad[:, :, 3, 3].all() and not maps.grad[:, :, 0, 0].any()
