"""The only place that changes coordinate spaces: image, crop and heatmap.

A coordinate is (x, y) in pixels with pixel centers at integers: the first pixel covers [-0.5, 0.5), as in
OpenCV, COCO and (after subtracting 1) LSP. A grid of W pixels spans [-0.5, W - 0.5]. The half-pixel rule
follows: a change of resolution by s maps x to (x + 0.5) * s - 0.5, so sizes scale, not (size - 1), and a
mirror maps x to W - 1 - x. Affine matrices are [2, 3] and map column vectors (x, y, 1).
Networks trained with UDP follow another rule between crop and heatmap: `corner_affine`.

Sizes are (height, width); boxes are `box_xyxy` with edges in the same coordinates.
"""

from __future__ import annotations

import math

import numpy as np

from edgepose._checks import Array, check_array

Size = tuple[int, int]
FARTHEST_PX = 1e6  # no image is larger: a coordinate beyond this is damaged data


def grid_affine(source: Size, target: Size) -> Array:
    """[2, 3] float64: from pixel coordinates of a (height, width) grid to those of another resolution."""
    sy, sx = target[0] / source[0], target[1] / source[1]
    return np.array([[sx, 0, 0.5 * sx - 0.5], [0, sy, 0.5 * sy - 0.5]])


def corner_affine(source: Size, target: Size) -> Array:
    """[2, 3] float64: as `grid_affine`, but the centers of the corner pixels stay corner centers.

    The rule of UDP (Huang et al., CVPR 2020, section 3.2): a length is counted in steps between pixels, so x
    maps to x * (target - 1) / (source - 1). Where an axis is one pixel on either side there are no two corners
    to align, and it follows the half-pixel rule, which has the same center.
    """
    matrix = grid_affine(source, target)
    for axis, (old, new) in enumerate(zip(source[::-1], target[::-1], strict=True)):
        if min(old, new) > 1:
            matrix[axis, axis], matrix[axis, 2] = (new - 1) / (old - 1), 0.0
    return matrix


def crop_affine(
    box_xyxy: Array,  # [4] float
    size: Size,
    *,
    padding: float = 1.25,
    rotation_deg: float = 0.0,
    mirror: bool = False,
) -> Array:
    """[2, 3] float64: image coordinates -> crop coordinates of a (height, width) crop.

    The box is grown about its center to the crop's aspect ratio, then by `padding`. Rotation is about the
    box center, positive turns the content clockwise on screen. `mirror` flips left-right afterwards.
    An empty box is taken as one pixel large. Raises ValueError for a box that is not finite.
    """
    check_array("box_xyxy", box_xyxy, (4,))
    x0, y0, x1, y1 = (float(v) for v in box_xyxy)
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        raise ValueError(f"box_xyxy: expected finite numbers, got {[x0, y0, x1, y1]}")
    height, width = size
    box_w, box_h = max(x1 - x0, 1.0), max(y1 - y0, 1.0)
    scale = min(width / box_w, height / box_h) / padding  # crop pixels per image pixel
    angle = math.radians(rotation_deg)
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    across, down = ((-cos, sin) if mirror else (cos, -sin)), (sin, cos)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return np.array(
        [
            [*across, (width - 1) / 2 - (across[0] * x + across[1] * y)],
            [*down, (height - 1) / 2 - (down[0] * x + down[1] * y)],
        ]
    )


def invert_affine(matrix: Array) -> Array:
    """[..., 2, 3] float64: the inverse map. Raises ValueError when the matrix is singular or not finite."""
    matrix = np.asarray(matrix, np.float64)
    xx, xy, x = matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 0, 2]
    yx, yy, y = matrix[..., 1, 0], matrix[..., 1, 1], matrix[..., 1, 2]
    with np.errstate(over="ignore", invalid="ignore"):
        det = xx * yy - xy * yx
    if not (np.isfinite(matrix).all() and (np.abs(det) > 1e-12).all()):
        raise ValueError(f"matrix: expected an invertible affine map, got {matrix.tolist()}")
    inverse = np.empty_like(matrix)
    inverse[..., 0, 0], inverse[..., 0, 1], inverse[..., 0, 2] = yy, -xy, xy * y - yy * x
    inverse[..., 1, 0], inverse[..., 1, 1], inverse[..., 1, 2] = -yx, xx, yx * x - xx * y
    inverse /= det[..., None, None]
    return inverse


def compose_affine(second: Array, first: Array) -> Array:
    """[2, 3] float64: the map that applies `first`, then `second`."""
    linear = second[:, :2] @ first[:, :2]
    return np.column_stack([linear, second[:, :2] @ first[:, 2] + second[:, 2]])


def apply_affine(matrix: Array, xy: Array) -> Array:
    """Map points [..., 2] by one matrix [2, 3], or points [N, ..., 2] by a matrix each [N, 2, 3]."""
    if matrix.ndim == 2:
        return np.asarray(xy @ matrix[:, :2].T + matrix[:, 2])
    lead = (slice(None), *([None] * (xy.ndim - 2)))
    linear, shift = matrix[..., :2][lead], matrix[..., 2][lead]
    return np.asarray((linear @ xy[..., None])[..., 0] + shift)


def box_of_joints(xy: Array, labeled: Array) -> Array:
    """[4] float64 box_xyxy around the labeled joints of one person: xy [K, 2], labeled [K] bool."""
    points = xy[labeled]
    if not len(points):
        raise ValueError("labeled: expected at least one labeled joint")
    return np.concatenate([points.min(axis=0), points.max(axis=0)]).astype(np.float64)


def clip_boxes(boxes_xyxy: Array, size: Size) -> Array:
    """[N, 4]: boxes cut to the image of (height, width), edges at -0.5 and size - 0.5."""
    height, width = size
    low, high = -0.5, np.array([width, height, width, height]) - 0.5
    return np.clip(boxes_xyxy, low, high)
