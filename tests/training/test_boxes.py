"""Assignment and loss of person detectors, on cells that were made by hand."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from edgepose.models import create  # noqa: E402
from edgepose.models.people import Cells  # noqa: E402
from edgepose.training.boxes import assign, giou, iou, varifocal_giou  # noqa: E402

PERSON, REGION, NOTHING = 1.0, 0.0, -1.0


def cells_for(boxes: Tensor, score: float = 0.0) -> Cells:
    """An 8x8 grid of stride 8, of which every cell predicts the same box [4], all with one logit."""
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    centers = torch.stack([x.flatten(), y.flatten()], dim=1) * 8 + 3.5
    distances = torch.cat([centers - boxes[:2], boxes[2:] - centers], dim=1) / 8
    return Cells(
        logits=torch.full((1, 64), score), distances=distances[None], centers=centers, strides=torch.full((64,), 8.0)
    )


def labels(*rows: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """Boxes [1, P, 4] and kinds [1, P] of rows x0, y0, x1, y1, kind."""
    table = torch.tensor(rows)[None]
    return table[..., :4], table[..., 4]


def test_overlaps() -> None:
    a = torch.tensor([0.0, 0, 10, 10])
    assert iou(a, torch.tensor([5.0, 0, 15, 10])).item() == pytest.approx(1 / 3)
    assert giou(a, torch.tensor([5.0, 0, 15, 10])).item() == pytest.approx(1 / 3)
    assert giou(a, torch.tensor([20.0, 0, 30, 10])).item() == pytest.approx(-1 / 3)
    assert giou(a, a).item() == pytest.approx(1.0)


def test_a_person_is_learned_by_cells_at_its_center() -> None:
    box = torch.tensor([16.0, 8, 48, 56])
    boxes, kinds = labels((16, 8, 48, 56, PERSON), (0, 0, 0, 0, NOTHING))
    person, overlap = assign(cells_for(box), boxes, kinds)
    taken = torch.nonzero(person[0] == 0).flatten()
    assert len(taken) == 10  # ten cells whose overlap is 1
    away = (cells_for(box).centers[taken] - torch.tensor([32.0, 32])).abs().amax(dim=1)
    assert (away <= 2.5 * 8).all()
    assert torch.allclose(overlap[0, taken], torch.ones(10)) and overlap.sum() == pytest.approx(10.0)


def test_a_person_smaller_than_a_cell_is_learned_by_one() -> None:
    boxes, kinds = labels((29, 29, 34, 34, PERSON))
    person, _ = assign(cells_for(torch.tensor([0.0, 0, 64, 64])), boxes, kinds)
    assert int((person >= 0).sum()) == 1


def test_a_cell_learns_the_person_it_fits() -> None:
    """Two people share their center; all cells predict the larger one, so each person has cells of its own."""
    boxes, kinds = labels((8, 8, 56, 56, PERSON), (24, 24, 40, 40, PERSON))
    person, _ = assign(cells_for(torch.tensor([8.0, 8, 56, 56])), boxes, kinds)
    assert int((person == 0).sum()) >= 8
    assert int((person == 1).sum()) <= 1


def test_right_boxes_and_scores_cost_little_and_background_nothing() -> None:
    box = torch.tensor([16.0, 8, 48, 56])
    boxes, kinds = labels((16, 8, 48, 56, PERSON))
    cells = cells_for(box, -12.0)
    person, _ = assign(cells, boxes, kinds)
    right = cells._replace(logits=torch.where(person >= 0, 12.0, -12.0))
    assert varifocal_giou(right, boxes, kinds).item() < 1e-3
    assert varifocal_giou(cells, boxes, kinds).item() > 5
    moved = right._replace(distances=right.distances + torch.tensor([0.5, 0, -0.5, 0]))
    assert varifocal_giou(moved, boxes, kinds).item() > 0.2


def test_regions_do_not_count() -> None:
    """A high score in a region costs nothing, and elsewhere it does."""
    cells = cells_for(torch.tensor([0.0, 0, 64, 64]), -12.0)
    inside = ((cells.centers > 30) & (cells.centers < 64)).all(dim=1)
    sure = cells._replace(logits=torch.where(inside, 8.0, -12.0)[None])
    region, person = labels((30, 30, 64, 64, REGION)), labels((0, 0, 0, 0, NOTHING))
    assert varifocal_giou(sure, *region).item() < 1e-3
    assert varifocal_giou(sure, *person).item() > 10


def test_a_step_lowers_the_loss() -> None:
    torch.manual_seed(0)
    network = create("people", 0).train()
    images = torch.randn(2, 3, 64, 64)
    boxes, kinds = labels((8, 8, 40, 60, PERSON), (0, 0, 0, 0, NOTHING))
    batch = images, boxes.expand(2, -1, -1), kinds.expand(2, -1)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    losses = []
    for _ in range(8):
        loss = varifocal_giou(network(batch[0]), *batch[1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(value.grad is not None for value in network.parameters())
    assert losses[-1] < 0.95 * losses[0]
