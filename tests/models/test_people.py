"""The person detector: its cells and boxes, its cost, and that its graph is the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from edgepose.errors import UsageError  # noqa: E402
from edgepose.export.onnx import export  # noqa: E402
from edgepose.models import create  # noqa: E402
from edgepose.models.cost import multiply_adds, parameters  # noqa: E402
from edgepose.models.people import REACH, STRIDES, Cells  # noqa: E402
from edgepose.training.recipe import read_recipe  # noqa: E402


def test_what_it_costs() -> None:
    network = create("people", 0)
    assert parameters(network) == 1_281_231
    assert multiply_adds(network, (320, 320)) == 782_262_400


def test_the_cells_cover_the_input() -> None:
    """The finest grid first; a center is the middle of its cell, in pixels with centers at integers."""
    cells = create("people", 0).train()(torch.zeros(2, 3, 64, 96))
    assert isinstance(cells, Cells)
    counts = [64 * 96 // stride**2 for stride in STRIDES]
    assert cells.logits.shape == (2, sum(counts)) and cells.distances.shape == (2, sum(counts), 4)
    assert cells.strides.tolist() == [s for s, count in zip(STRIDES, counts, strict=True) for _ in range(count)]
    assert cells.centers[0].tolist() == [3.5, 3.5] and cells.centers[1].tolist() == [11.5, 3.5]
    assert cells.centers[12].tolist() == [3.5, 11.5]
    assert cells.centers[-1].tolist() == [79.5, 47.5]


def test_candidates_are_the_cells_in_pixels() -> None:
    network = create("people", 0).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        rows = network(images)
    assert rows.shape == (2, 64 + 16 + 4, 5)
    assert (rows[..., 4] < 0.02).all()  # everything is background before training
    reach = float(functional.softplus(torch.tensor(REACH))) * 8
    wanted = torch.tensor([3.5 - reach, 3.5 - reach, 3.5 + reach, 3.5 + reach])
    torch.testing.assert_close(rows[0, 0, :4], wanted, atol=0.3 * reach, rtol=0)


def test_it_finds_no_joints() -> None:
    with pytest.raises(UsageError, match="people finds people and no joints; set codec = 'onestage'"):
        create("people", 14)


def test_the_graph_is_the_network(tmp_path: Path) -> None:
    """At another size than that of the recipe, too, and for every batch."""
    spec = read_recipe("people").spec()
    network = create("people", 0).eval()
    torch.nn.init.normal_(network.heads[0].score.weight, std=0.5)
    crops = np.random.default_rng(0).normal(size=(3, 3, *spec.input.size)).astype(np.float32)
    parity = export(network, spec, tmp_path / "people.onnx", crops)
    assert parity.max_abs_error <= 1e-4 * parity.scale
