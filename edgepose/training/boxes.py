"""Loss of person detectors: which cells find which person, and how wrong their scores and boxes are.

Assignment: SimOTA (Ge et al., "YOLOX", 2021, section 2.1). A person is learned by the cells near the center or inside
the box whose predictions are already best, and their number follows from how well they overlap.

Loss: the score of a cell is trained to be the overlap of its box with the person, by the varifocal loss (Zhang et al.,
CVPR 2021, equation 2), and the box by 1 - GIoU (Rezatofighi et al., CVPR 2019), weighted by the same overlap.

A region of which nobody knows whether it shows people (a crowd, or a person of whom a teacher is unsure) is no
background: cells in it that no person takes do not count.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from edgepose.models.people import Cells

NEAR = 2.5  # strides from the center of a person at which a cell may find the person
BEST = 10  # cells whose overlaps, added up, say how many cells learn a person
BOX_COST = 3.0  # weight of -log(overlap) against the cost of the score in the assignment
FAR = 1e5  # cost of a cell that is inside the box but not near the center, or the other way round
NEVER = 1e8
NEGATIVE, FOCUS = 0.75, 2.0  # alpha and gamma of the varifocal loss
BOX_WEIGHT = 2.0  # of the loss of boxes against that of scores

PERSON, REGION = 1.0, 0.0  # kinds of a labeled box; padding has a negative kind


def varifocal_giou(
    cells: Cells,  # B images, A cells
    boxes_xyxy: Tensor,  # [B, P, 4]
    kinds: Tensor,  # [B, P]
) -> Tensor:
    """Return the scalar loss of a batch.

    Args:
        cells: The output of the network.
        boxes_xyxy: Labeled boxes [B, P, 4] in pixels of the input, padded to the same number for each image.
        kinds: What each box is, [B, P]: 1 for a person, 0 for a region that does not count, -1 for padding.
    """
    found, logits = cells.boxes_xyxy().float(), cells.logits.float()
    boxes, kinds = boxes_xyxy.float(), kinds.float()
    with torch.no_grad():
        person, overlap = assign(cells, boxes, kinds)
        learns = person >= 0
        counts = learns | ~_inside(cells.centers, boxes, kinds == REGION).any(dim=1)
        target = torch.where(learns, overlap, torch.zeros_like(overlap))
        total = target.sum().clamp(min=1.0)
        weight = torch.where(learns, target, NEGATIVE * torch.sigmoid(logits) ** FOCUS) * counts
    scores = functional.binary_cross_entropy_with_logits(logits, target, weight=weight, reduction="sum")
    wanted = boxes.gather(1, person.clamp(min=0)[..., None].expand(-1, -1, 4))
    wrong = ((1 - giou(found, wanted)) * target).sum()
    return (scores + BOX_WEIGHT * wrong) / total


def assign(
    cells: Cells,  # B images, A cells
    boxes_xyxy: Tensor,  # [B, P, 4]
    kinds: Tensor,  # [B, P]
) -> tuple[Tensor, Tensor]:
    """Decide which cell learns which person.

    Args:
        cells: The output of the network.
        boxes_xyxy: Labeled boxes [B, P, 4] in pixels of the input.
        kinds: What each box is, [B, P], see `varifocal_giou`.

    Returns:
        The index of the person of each cell, [B, A] int64, -1 for background; and the overlap (intersection over
        union) of the cell's box with that person, [B, A].
    """
    found, scores = cells.boxes_xyxy().float(), torch.sigmoid(cells.logits.float())
    people = kinds == PERSON
    inside = _inside(cells.centers, boxes_xyxy, people)  # [B, P, A]
    middles = (boxes_xyxy[..., :2] + boxes_xyxy[..., 2:]) / 2
    away = (cells.centers[None, None] - middles[:, :, None]).abs().amax(dim=-1)
    near = (away <= NEAR * cells.strides) & people[..., None]
    able = inside | near
    overlap = iou(boxes_xyxy[:, :, None], found[:, None]) * able
    cost = -torch.log(scores.clamp(min=1e-8))[:, None] - BOX_COST * torch.log(overlap + 1e-8)
    cost = cost + FAR * ~(inside & near) + NEVER * ~able
    best = min(BEST, overlap.shape[-1])
    count = overlap.topk(best, dim=-1).values.sum(dim=-1).floor().clamp(min=1).long()  # [B, P]
    cheapest, order = cost.topk(best, dim=-1, largest=False)
    taken = (torch.arange(best, device=cost.device) < count[..., None]) & (cheapest < NEVER / 2)
    chosen = torch.zeros_like(able).scatter(-1, order, taken)
    price = torch.where(chosen, cost, torch.full_like(cost, torch.inf))
    lowest, person = price.min(dim=1)  # a cell that several people chose learns the one it fits best
    person = torch.where(torch.isfinite(lowest), person, torch.full_like(person, -1))
    mine = overlap.gather(1, person.clamp(min=0)[:, None])[:, 0]
    return person, mine * (person >= 0)


def _inside(
    centers: Tensor,  # [A, 2]
    boxes_xyxy: Tensor,  # [B, P, 4]
    chosen: Tensor,  # [B, P] bool
) -> Tensor:
    """Return which centers lie in which of the chosen boxes, [B, P, A] bool."""
    low, high = boxes_xyxy[:, :, None, :2], boxes_xyxy[:, :, None, 2:]
    return ((centers > low) & (centers < high)).all(dim=-1) & chosen[..., None]


def iou(
    a: Tensor,  # [..., 4]
    b: Tensor,  # [..., 4]
) -> Tensor:
    """Return the intersection over union of boxes [..., 4] xyxy."""
    shared, either = _shared(a, b)
    return shared / either.clamp(min=1e-6)


def giou(
    a: Tensor,  # [..., 4]
    b: Tensor,  # [..., 4]
) -> Tensor:
    """Return the generalized intersection over union of boxes [..., 4] xyxy, -1 to 1."""
    shared, either = _shared(a, b)
    around = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    hull = (around[..., 0] * around[..., 1]).clamp(min=1e-6)
    return shared / either.clamp(min=1e-6) - (hull - either) / hull


def _shared(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the areas of the intersection and of the union."""
    sides = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0)
    shared = sides[..., 0] * sides[..., 1]
    areas = [((box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1])).clamp(min=0) for box in (a, b)]
    return shared, areas[0] + areas[1] - shared
