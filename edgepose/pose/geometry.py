"""Conversions between coordinate spaces: image, crop and heatmap. No other module defines them.

A coordinate is (x, y) in pixels, with pixel centers at integers: the first pixel covers [-0.5, 0.5), as in OpenCV,
COCO and (after subtracting 1) LSP. A grid of W pixels covers [-0.5, W - 0.5]. Therefore a change of resolution by a
factor s maps x to (x + 0.5) * s - 0.5, and a mirror maps x to W - 1 - x. Affine matrices are [2, 3] and map column
vectors (x, y, 1). Networks trained with UDP use another rule between crop and heatmap, see `corner_affine`.

Sizes are (height, width). Boxes are `box_xyxy`, with edges in the same coordinates.
"""

from __future__ import annotations

import math

import numpy as np

from edgepose._checks import Array, check_array

Size = tuple[int, int]
PLACES = ("center", "top_left", "stretch")  # where a box is in a canvas
RESIZES = ("exact", "round", "truncate")  # how many pixels a resized box has
FARTHEST_PX = 1e6  # No image is larger, so a coordinate beyond this is damaged data.


def grid_affine(source: Size, target: Size) -> Array:
    """Return the matrix between pixel coordinates at two resolutions of the same grid.

    Args:
        source: The (height, width) of the first grid, pixels.
        target: The (height, width) of the second grid, pixels.

    Returns:
        The matrix source -> target, [2, 3] float64.
    """
    sy, sx = target[0] / source[0], target[1] / source[1]
    return np.array([[sx, 0, 0.5 * sx - 0.5], [0, sy, 0.5 * sy - 0.5]])


def corner_affine(source: Size, target: Size) -> Array:
    """Return the matrix between two resolutions that maps the centers of corner pixels to centers of corner pixels.

    This is the rule of UDP (Huang et al., CVPR 2020, section 3.2): a length is counted in steps between pixels, so x
    maps to x * (target - 1) / (source - 1). An axis with only one pixel in either grid has no two corners to align; it
    follows the half-pixel rule of `grid_affine`.

    Args:
        source: The (height, width) of the first grid, pixels.
        target: The (height, width) of the second grid, pixels.

    Returns:
        The matrix source -> target, [2, 3] float64.
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
    """Return the matrix from image coordinates to the crop of a bounding box.

    The box is enlarged about its center to the aspect ratio of the crop, then by `padding`. An empty box counts as one
    pixel large.

    Args:
        box_xyxy: The bounding box, [4] float, image pixels.
        size: The (height, width) of the crop, pixels.
        padding: The factor by which the box is enlarged.
        rotation_deg: The rotation about the center of the box, degrees; positive turns the content clockwise on screen.
        mirror: Whether to exchange left and right after the rotation.

    Returns:
        The matrix image -> crop, [2, 3] float64.

    Raises:
        ValueError: The box has another shape or is not finite.
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


def letterbox_affine(
    box_xyxy: Array,  # [4] float
    size: Size,
    *,
    place: str = "center",
    resize: str = "exact",
) -> Array:
    """Return the matrix from image coordinates to a canvas that shows a box as whole-image networks were trained.

    The box is resized to the largest size that fits into the canvas with its aspect ratio, and placed there. `resize`
    says which numbers of pixels that size may have, and the pixels are resized to exactly that many, so the scales of
    the two axes may differ by a fraction of a pixel. In the center, a box of whole pixels begins at a whole pixel, and
    the odd pixel of the rest lies behind it.

    Args:
        box_xyxy: The box, [4] float, image pixels; that of the frame for a network that sees whole images.
        size: The (height, width) of the canvas, pixels.
        place: Where the box is: "center", "top_left", or "stretch", which fills the canvas.
        resize: "exact" for any size, or the whole numbers of pixels that "round" or "truncate" give.

    Returns:
        The matrix image -> canvas, [2, 3] float64.

    Raises:
        ValueError: The box has another shape or is not finite, or a rule is unknown.
    """
    check_array("box_xyxy", box_xyxy, (4,))
    x0, y0, x1, y1 = (float(v) for v in box_xyxy)
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        raise ValueError(f"box_xyxy: expected finite numbers, got {[x0, y0, x1, y1]}")
    if place not in PLACES or resize not in RESIZES:
        raise ValueError(f"expected one of {PLACES} and one of {RESIZES}, got {place!r} and {resize!r}")
    height, width = size
    sides = max(x1 - x0, 1.0), max(y1 - y0, 1.0)
    ratio = min(height / sides[1], width / sides[0])  # in this order of operations, as the networks' own code
    rows = []
    for axis, (low, side, canvas) in enumerate(zip((x0, y0), sides, (width, height), strict=True)):
        shown: float = canvas if place == "stretch" else side * ratio
        if place != "stretch" and resize != "exact":
            shown = max(1, round(shown) if resize == "round" else int(shown))
        before = (canvas - shown) / 2 if place == "center" else 0.0
        before = before if resize == "exact" else math.floor(before)
        scale = shown / side
        rows.append([*(scale * np.eye(2)[axis]), before - 0.5 - scale * low])
    return np.array(rows)


def invert_affine(matrix: Array) -> Array:
    """Return the inverse of affine matrices.

    Args:
        matrix: [2, 3] or [N, 2, 3] float.

    Returns:
        The inverse, [2, 3] or [N, 2, 3] float64.

    Raises:
        ValueError: A matrix cannot be inverted.
    """
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
    """Return the matrix that applies one affine map after another.

    Args:
        second: The map that is applied last, [2, 3] float.
        first: The map that is applied first, [2, 3] float.

    Returns:
        [2, 3] float64.
    """
    linear = second[:, :2] @ first[:, :2]
    return np.column_stack([linear, second[:, :2] @ first[:, 2] + second[:, 2]])


def apply_affine(matrix: Array, xy: Array) -> Array:
    """Map points by an affine matrix.

    Args:
        matrix: One matrix [2, 3] for all points, or one per item [N, 2, 3].
        xy: Points [..., 2], or [N, ..., 2] if there is one matrix per item.

    Returns:
        The mapped points, in the shape of `xy`.
    """
    if matrix.ndim == 2:
        return np.asarray(xy @ matrix[:, :2].T + matrix[:, 2])
    lead = (slice(None), *([None] * (xy.ndim - 2)))
    linear, shift = matrix[..., :2][lead], matrix[..., 2][lead]
    return np.asarray((linear @ xy[..., None])[..., 0] + shift)


def box_of_joints(xy: Array, labeled: Array) -> Array:
    """Return the tight box around the labeled joints of one person.

    Args:
        xy: [K, 2] float.
        labeled: [K] bool.

    Returns:
        box_xyxy, [4] float64.

    Raises:
        ValueError: No joint is labeled.
    """
    points = xy[labeled]
    if not len(points):
        raise ValueError("labeled: expected at least one labeled joint")
    return np.concatenate([points.min(axis=0), points.max(axis=0)]).astype(np.float64)


def clip_boxes(boxes_xyxy: Array, size: Size) -> Array:
    """Clip boxes to an image, whose edges are at -0.5 and size - 0.5.

    Args:
        boxes_xyxy: [N, 4] float, image pixels.
        size: The (height, width) of the image, pixels.

    Returns:
        [N, 4] float.
    """
    height, width = size
    low, high = -0.5, np.array([width, height, width, height]) - 0.5
    return np.clip(boxes_xyxy, low, high)
