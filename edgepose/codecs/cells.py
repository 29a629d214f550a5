"""What a cell of an output map stands for in the network's input, and what is at places between cells.

The rules are those of heatmaps, see `codecs.grids.grid`: 'centers', 'stride' and 'corners'.
"""

from __future__ import annotations

import numpy as np

from edgepose._checks import Array
from edgepose.codecs import grids
from edgepose.errors import SpecError
from edgepose.pose.geometry import Size, compose_affine

# rule -> the matrix between two resolutions, in either direction: those of heatmaps
RULES = grids.GRIDS


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
