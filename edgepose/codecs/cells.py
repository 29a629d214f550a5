"""What a cell of an output map stands for in the network's input, and what is at places between cells.

Networks that find everyone in an image differ in this rule. For a stride s (input pixels per cell) cell x stands for:

    centers    s * x + (s - 1) / 2: a cell covers s pixels, and the edges of both grids coincide
    stride     s * x: the labels were divided by s
    corners    x * (W - 1) / (w - 1): the corner pixels coincide, for inputs of s * n + 1 pixels
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgepose._checks import Array
from edgepose.errors import SpecError
from edgepose.pose.geometry import Size, compose_affine, corner_affine, grid_affine


def _by_stride(source: Size, target: Size) -> Array:
    """Return the matrix of rule 'stride': coordinates are multiplied, without a shift."""
    return np.array([[target[1] / source[1], 0.0, 0.0], [0.0, target[0] / source[0], 0.0]])


# rule -> the matrix between two resolutions, in either direction
RULES: dict[str, Callable[[Size, Size], Array]] = {
    "centers": grid_affine,
    "stride": _by_stride,
    "corners": corner_affine,
}


def cells_to_image(rule: str, maps: Size, input_size: Size, inverse: Array) -> Array:
    """Return the affine map from cells to image pixels.

    Args:
        rule: A key of `RULES`.
        maps: (height, width) of the output maps.
        input_size: (height, width) of the network's input.
        inverse: [2, 3] float, network input -> image.

    Returns:
        [2, 3] float64.
    """
    return compose_affine(inverse, RULES[rule](maps, input_size))


def refuse_flip(rule: str, codec: str) -> None:
    """Raise SpecError where maps of a mirrored image do not lie on the cells of the others.

    Args:
        rule: A key of `RULES`.
        codec: The name of the codec, for the message.

    Raises:
        SpecError: If the rule is 'stride'.
    """
    if rule == "stride":
        raise SpecError(
            f"codec {codec!r} with grid = 'stride': the maps of a mirrored image lie between the cells of the others; "
            "run without flip test"
        )


def bilinear(maps: Array, xy: Array) -> Array:
    """Read each map at its own place, between cells by linear interpolation; places outside count as the border.

    Args:
        maps: [K, h, w] float.
        xy: [..., K, 2] float, cells.

    Returns:
        [..., K] float64.
    """
    last = np.array(maps.shape[:0:-1]) - 1  # x, y
    inside = np.clip(np.asarray(xy, np.float64), 0, last)
    low = np.floor(inside).astype(int)
    high, part = np.minimum(low + 1, last), inside - low
    joint = np.arange(len(maps))
    (x0, y0), (x1, y1) = np.moveaxis(low, -1, 0), np.moveaxis(high, -1, 0)
    across, down = part[..., 0], part[..., 1]
    top = maps[joint, y0, x0] * (1 - across) + maps[joint, y0, x1] * across
    bottom = maps[joint, y1, x0] * (1 - across) + maps[joint, y1, x1] * across
    return np.asarray(top * (1 - down) + bottom * down)


def nearest(xy: Array, size: Size) -> Array:
    """Return the cells that places are nearest to, inside the map.

    Args:
        xy: [..., 2] float, cells.
        size: (height, width) of the map.

    Returns:
        [..., 2] int64, x and y.
    """
    return np.clip(np.floor(np.asarray(xy, np.float64) + 0.5), 0, np.array(size[::-1]) - 1).astype(np.int64)
