"""Which crop coordinate a pixel of a map stands for: a convention of the code that trained a network.

Coordinates are map pixels with centers at integers. The same rules hold for training targets as for decoding.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgepose._checks import Array
from edgepose.codecs.refine import REFINEMENTS
from edgepose.errors import SpecError, nearest
from edgepose.pose.geometry import Size, corner_affine, grid_affine


def _by_stride(source: Size, target: Size) -> Array:
    """Return the matrix of rule 'stride': a coordinate is multiplied by the stride, without a shift."""
    return np.array([[target[1] / source[1], 0.0, 0.0], [0.0, target[0] / source[0], 0.0]])


# rule -> the matrix between two resolutions, in either direction
GRIDS: dict[str, Callable[[Size, Size], Array]] = {
    "centers": grid_affine,
    "stride": _by_stride,
    "corners": corner_affine,
}


def implied_grid(method: str) -> str:
    """Return the rule of a contract that names none: 'corners' for decode 'udp', 'centers' for all others.

    Args:
        method: The contract's `decode`.

    Raises:
        SpecError: If the method is unknown.
    """
    check_method(method)
    return "corners" if method == "udp" else "centers"


def grid(method: str, source: Size, target: Size, rule: str | None = None) -> Array:
    """Return the affine map between the pixels of a crop and of its heatmaps, in either direction.

    For a stride s (crop pixels per heatmap pixel) the rules read heatmap pixel x as these crop pixels:

        centers    s * x + (s - 1) / 2: a heatmap pixel covers s crop pixels, and the edges of both grids coincide
        stride     s * x: mmpose, HRNet and SimpleBaseline scale the labels by 1 / s
        corners    x * (W - 1) / (w - 1): UDP aligns the centers of the corner pixels

    Args:
        method: The contract's `decode`, which implies the rule where none is given.
        source: (height, width) of the pixels to map from.
        target: (height, width) of the pixels to map to.
        rule: The contract's `grid`, a key of `GRIDS`; None for the rule that `method` implies.

    Returns:
        [2, 3] float64.

    Raises:
        SpecError: If the method or the rule is unknown.
    """
    implied = implied_grid(method)
    if rule is not None and rule not in GRIDS:
        raise SpecError(f"codec.grid = {rule!r}{nearest(rule, GRIDS)}")
    return GRIDS[rule or implied](source, target)


def to_crop(method: str, size: Size, crop_size: Size, rule: str | None = None, offset: float = 0.0) -> Array:
    """Return the affine map from the pixels of heatmaps to those of the crop.

    Args:
        method: The contract's `decode`.
        size: (height, width) of the heatmaps.
        crop_size: (height, width) of the crop.
        rule: The contract's `grid`.
        offset: The contract's `offset`, which is added to x and y, crop pixels.

    Returns:
        [2, 3] float64.

    Raises:
        SpecError: As `grid`.
    """
    matrix = grid(method, size, crop_size, rule)
    matrix[:, 2] += offset
    return matrix


def mirror_shift(to_crop: Array, width: int, crop_width: int) -> float:
    """Return by how many heatmap pixels the mirrored crop's maps are shifted when they are mirrored back.

    Where pixel x of a map shows what is at x_crop, the map of the mirrored crop shows it at width - 1 - x + shift. The
    shift is 0 for the rules 'centers' and 'corners', whose grids are symmetric, and 1 - 1 / stride for 'stride'.

    Args:
        to_crop: [2, 3] float64, heatmap -> crop.
        width: The width of the heatmaps.
        crop_width: The width of the crop.
    """
    scale, start = float(to_crop[0, 0]), float(to_crop[0, 2])
    return round((crop_width - 1 - 2 * start) / scale - (width - 1), 6) + 0.0  # no -0


def check_method(method: str) -> None:
    """Raise SpecError for an unknown `decode` of a contract."""
    if method not in REFINEMENTS:
        raise SpecError(f"codec.decode = {method!r}{nearest(method, REFINEMENTS)}")
