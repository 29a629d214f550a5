"""Pictorial structures: a body is a tree of joints held by springs, and the best body of all is found exactly.

Felzenszwalb and Huttenlocher, "Pictorial Structures for Object Recognition", IJCV 2005. A pose costs what its
joints' heatmaps say (the logarithm, section 2.2) and how far each joint is from where its parent expects it, a
Gaussian of the displacement (section 3). On a tree the best pose follows from one message a joint, which is a
generalized distance transform of the child's map (section 4.1, and "Distance Transforms of Sampled Functions",
2012, equation 1); the transform is exact, also where the mean displacement is no whole number of cells. The
tree and its springs are learned from labels (sections 2.3 and 4.2 "learning": the spanning tree of the most
certain displacements).

A decoder for any heatmap network: `codec.pictorial` in its contract selects it, and `codec.decode` then refines the
cells that were chosen. Displacements are in heights of the crop, so they hold at any resolution of the maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.codecs import heatmap
from edgepose.codecs.overflow import refuse_overflow
from edgepose.codecs.refine import REFINEMENTS
from edgepose.codecs.springs import PictorialSpec
from edgepose.errors import DataError, SpecError, nearest
from edgepose.pose.geometry import Size, apply_affine

LEAST_VARIANCE = 1e-5  # crop heights squared; a spring stiffer than this would be finer than any map
FEWEST = 10  # people who must show both ends of a spring


def fit(
    xy: Array,  # [N, K, 2] float, joints in crop heights
    labeled: Array,  # [N, K] bool
    weight: float = PictorialSpec.weight,
    floor: float = PictorialSpec.floor,
) -> PictorialSpec:
    """Learn the tree whose displacements are the most certain, and its springs.

    The displacement of two joints costs its entropy, (log of the variances) / 2; the tree is the spanning tree of
    lowest cost, which is the maximum-likelihood tree. Its root is the joint with the smallest distance, counted in
    springs, to the farthest joint.

    Args:
        xy: [N, K, 2] float, joints of N people in heights of the crop.
        labeled: [N, K] bool.
        weight: See `PictorialSpec`.
        floor: See `PictorialSpec`.

    Returns:
        The tree.

    Raises:
        DataError: If fewer than 10 people show some joint together with the rest.
    """
    sizes = check_array("xy", xy, ("N", "K", 2))
    check_array("labeled", labeled, (sizes["N"], sizes["K"]), bool)
    mean, variance = _displacements(np.asarray(xy, np.float64), labeled)
    parents = _rooted(_spanning_tree(0.5 * np.log(variance).sum(axis=2)))
    springs = [(k, parent) for k, parent in enumerate(parents)]
    return PictorialSpec(
        parents=tuple(parents),
        mean=tuple((0.0, 0.0) if p < 0 else _pair(mean[p, k]) for k, p in springs),
        variance=tuple((1.0, 1.0) if p < 0 else _pair(variance[p, k]) for k, p in springs),
        weight=weight,
        floor=floor,
    )


def _pair(values: Array) -> tuple[float, float]:
    return round(float(values[0]), 6), round(float(values[1]), 7)


def _displacements(xy: Array, labeled: Array) -> tuple[Array, Array]:
    """(mean, variance) [K, K, 2] of xy[k] - xy[p] at [p, k]; an infinite variance where too few show both."""
    joints = xy.shape[1]
    mean, variance = np.zeros((joints, joints, 2)), np.full((joints, joints, 2), np.inf)
    for p in range(joints):
        for k in range(joints):
            both = labeled[:, p] & labeled[:, k]
            if p != k and both.sum() >= FEWEST:
                away = xy[both, k] - xy[both, p]
                mean[p, k] = away.mean(axis=0)
                variance[p, k] = np.maximum(away.var(axis=0), LEAST_VARIANCE)
    return mean, variance


def _spanning_tree(cost: Array) -> list[tuple[int, int]]:
    """The edges of the spanning tree of least total cost [K, K] (Prim)."""
    inside, edges = [0], list[tuple[int, int]]()
    while len(inside) < len(cost):
        outside = [k for k in range(len(cost)) if k not in inside]
        reach = cost[np.ix_(inside, outside)]
        if not np.isfinite(reach).any():
            raise DataError(
                f"no {FEWEST} people show joints {outside} together with any of {inside}; a tree cannot join them"
            )
        i, j = np.unravel_index(reach.argmin(), reach.shape)
        edges.append((inside[int(i)], outside[int(j)]))
        inside.append(outside[int(j)])
    return edges


def _rooted(edges: Sequence[tuple[int, int]]) -> list[int]:
    """The parent of each joint, -1 for the root: the joint in the middle of the tree."""
    trees = [_parents_from(root, edges) for root in range(len(edges) + 1)]
    return min(trees, key=lambda parents: max(_depths(parents)))


def _parents_from(root: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    parents = [-1] * (len(edges) + 1)
    waiting = [root]
    while waiting:
        here = waiting.pop()
        for a, b in edges:
            other = b if a == here else a
            if here in (a, b) and other != parents[here]:
                parents[other] = here
                waiting.append(other)
    return parents


def _depths(parents: Sequence[int]) -> list[int]:
    """How many springs each joint is away from the root."""
    depths = []
    for k in range(len(parents)):
        depth, at = 0, k
        while parents[at] >= 0:
            depth, at = depth + 1, parents[at]
        depths.append(depth)
    return depths


def decode(
    heatmaps: Array,  # [N, K, h, w]
    tree: PictorialSpec,
    method: str = "quarter",
    *,
    sigma: float = 2.0,
) -> tuple[Array, Array]:
    """Find the joints of the best body in heatmaps.

    Args:
        heatmaps: [N, K, h, w] float.
        tree: The tree of springs.
        method: How the chosen cell is refined, as in `heatmap.decode`.
        sigma: As in `heatmap.decode`.

    Returns:
        xy_heatmap [N, K, 2] float32, and scores [N, K] float32, the values of the chosen cells.

    Raises:
        SpecError: If the method is unknown, or the tree has another number of joints.
        ModelError: If the heatmaps hold NaN or infinity.
    """
    sizes = check_array("heatmaps", heatmaps, ("N", "K", "h", "w"))
    if len(tree.parents) != sizes["K"]:
        raise SpecError(f"codec.pictorial has {len(tree.parents)} joints, the network gives {sizes['K']} maps")
    if method not in REFINEMENTS:
        raise SpecError(f"codec.decode = {method!r}{nearest(method, REFINEMENTS)}")
    maps = np.ascontiguousarray(heatmaps, np.float32)
    refuse_overflow(maps, "heatmaps")
    cells = best_cells(np.log(np.maximum(maps, tree.floor)), springs_of(tree, sizes["h"]))
    return _refined(maps, cells, method, sigma)


def _refined(maps: Array, cells: Array, method: str, sigma: float) -> tuple[Array, Array]:
    n, joints, height, width = maps.shape
    x, y = (cells[..., axis].reshape(-1) for axis in (0, 1))
    flat = maps.reshape(n * joints, height, width)
    xy = np.stack([x, y], axis=1).astype(np.float32)
    REFINEMENTS[method](flat, x, y, sigma, xy)
    return xy.reshape(n, joints, 2), flat[np.arange(len(flat)), y, x].reshape(n, joints)


def joints_in_image(
    heatmaps: Array,  # [N, K, h, w]
    inverse: Array,  # [N, 2, 3] float, crop -> image
    crop_size: Size,
    codec: heatmap.HeatmapCodec,  # with `pictorial`
) -> Array:
    """Find the joints of the best bodies in the image.

    Args:
        heatmaps: [N, K, h, w] float.
        inverse: [N, 2, 3] float, crop -> image.
        crop_size: (height, width) of the crops.
        codec: The codec, with `pictorial`.

    Returns:
        [N, K, 3] float32: x and y in the image, and the score.

    Raises:
        SpecError: As `decode`.
        ModelError: As `decode`.
    """
    check_array("inverse", inverse, (len(heatmaps), 2, 3))
    if codec.pictorial is None:
        raise SpecError("codec.pictorial is not given")
    xy_heatmap, scores = decode(heatmaps, codec.pictorial, codec.refine, sigma=codec.sigma)
    to_crop = codec.to_crop((heatmaps.shape[2], heatmaps.shape[3]), crop_size)
    xy_image = apply_affine(np.asarray(inverse, np.float64), apply_affine(to_crop, xy_heatmap))
    return np.concatenate([xy_image, scores[..., None]], axis=2).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Springs:
    """A tree of springs, in heatmap cells.

    Attributes:
        order: The joints, every one before its parent, the root last.
        parents: The parent of each joint; -1 for the root.
        mean: [K, 2] float64, the mean displacement (x, y) from the parent.
        stiffness: [K, 2] float64, weight / (2 variance): the cost of a squared cell.
    """

    order: tuple[int, ...]
    parents: tuple[int, ...]
    mean: Array
    stiffness: Array


def springs_of(tree: PictorialSpec, height: int) -> Springs:
    """Convert a tree to springs in heatmap cells.

    Args:
        tree: The tree, in heights of the crop.
        height: The height of the heatmaps, cells.
    """
    depths = _depths(tree.parents)
    return Springs(
        order=tuple(sorted(range(len(depths)), key=lambda k: -depths[k])),
        parents=tree.parents,
        mean=np.array(tree.mean) * height,
        stiffness=tree.weight / (2 * np.array(tree.variance) * height**2),
    )


def best_cells(
    unary: Array,  # [N, K, h, w]: what each cell is worth to each joint
    springs: Springs,
) -> Array:
    """Find the body of highest value, exactly (max-sum on a tree).

    Args:
        unary: [N, K, h, w], the value of each cell for each joint.
        springs: The springs.

    Returns:
        [N, K, 2] int: the cell (x, y) of each joint.
    """
    n, joints, _, width = unary.shape
    belief = unary.astype(np.float32)
    chosen: dict[int, tuple[Array, Array]] = {}
    for k in springs.order[:-1]:
        message, x, y = distance_transform(belief[:, k], springs.mean[k], springs.stiffness[k])
        belief[:, springs.parents[k]] += message
        chosen[k] = x, y
    cells = np.zeros((n, joints, 2), np.int64)
    root, people = springs.order[-1], np.arange(n)
    cells[:, root, 1], cells[:, root, 0] = np.divmod(belief[:, root].reshape(n, -1).argmax(axis=1), width)
    for k in reversed(springs.order[:-1]):
        at_x, at_y = cells[:, springs.parents[k], 0], cells[:, springs.parents[k], 1]
        x, y = chosen[k]
        cells[:, k, 0], cells[:, k, 1] = x[people, at_y, at_x], y[people, at_y, at_x]
    return cells


def distance_transform(
    values: Array,  # [N, h, w] float32
    mean: Array,  # [2]: x, y
    stiffness: Array,  # [2]: x, y
) -> tuple[Array, Array, Array]:
    """Find, for each cell p, the cell q of highest value after the cost of its spring (section 4.1).

    value(p) = max over q of values(q) - stiffness . (q - p - mean)^2. The two axes follow one another, each over all
    pairs of cells on a line: with about 64 cells per line that is faster in numpy than the linear-time envelope of
    parabolas, whose steps depend on each other. The arithmetic is float32, so either of two bodies whose values differ
    by less than its rounding may win.

    Args:
        values: [N, h, w] float32.
        mean: [2] float, x and y.
        stiffness: [2] float, x and y.

    Returns:
        value, x and y of q, [N, h, w] each.
    """
    height, width = values.shape[1:]
    along_x = _penalty(width, float(mean[0]), float(stiffness[0]))
    rows = values[:, :, None, :] - along_x  # [N, h, p_x, q_x]
    x = rows.argmax(axis=3)
    best = np.take_along_axis(rows, x[..., None], axis=3)[..., 0]  # [N, q_y, p_x]
    along_y = _penalty(height, float(mean[1]), float(stiffness[1]))
    columns = best.transpose(0, 2, 1)[:, :, None, :] - along_y  # [N, p_x, p_y, q_y]
    y = columns.argmax(axis=3).transpose(0, 2, 1)  # [N, p_y, p_x]
    value = np.take_along_axis(columns, y.transpose(0, 2, 1)[..., None], axis=3)[..., 0].transpose(0, 2, 1)
    return value, np.take_along_axis(x, y, axis=1), y


def _penalty(count: int, mean: float, stiffness: float) -> Array:
    """[p, q] float32: stiffness * (q - p - mean)^2 for cells on a line."""
    cells = np.arange(count, dtype=np.float64)
    return np.asarray(stiffness * (cells[None] - cells[:, None] - mean) ** 2, np.float32)
