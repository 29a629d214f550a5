"""Part affinity fields as targets: for each link a unit vector along it, zero elsewhere. Plain numpy.

Cao et al., "Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields", CVPR 2017, section 2.2 (maps of
several people, equation 7) and 2.3 (fields, equations 8 and 9). Coordinates are heatmap cells with centres at
integers, as in pose/geometry.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.codecs import heatmap
from edgepose.pose.geometry import Size

WIDTH = 1.0  # cells on either side of a link, as in the authors' code (`thre = 1`)


def encode_maps(
    xy_cells: Array,  # [P, K, 2] float
    labelled: Array,  # [P, K] bool
    size: Size,
    sigma: float,
) -> Array:
    """[K, h, w] float32: for each joint the highest of all people's Gaussians (equation 7); 0 without people."""
    people = check_array("xy_cells", xy_cells, ("P", "K", 2))
    check_array("labelled", labelled, (people["P"], people["K"]))
    maps = heatmap.encode(xy_cells, labelled, size, sigma)
    return np.asarray(maps.max(axis=0, initial=0.0))


def encode_fields(
    xy_cells: Array,  # [P, K, 2] float
    labelled: Array,  # [P, K] bool
    links: Sequence[tuple[int, int]],
    size: Size,
    width: float = WIDTH,
) -> Array:
    """[2 L, h, w] float32: x and y of each link's unit vector, from its first joint to its second.

    It is set at cells whose centre is at most `width` beside the link, and between its ends (equation 8); where
    several people's links cross, their mean (equation 9). A link whose ends are not both labelled, or at the
    same place, leaves no trace.
    """
    people = check_array("xy_cells", xy_cells, ("P", "K", 2))
    check_array("labelled", labelled, (people["P"], people["K"]))
    fields = np.zeros((len(links), 2, *size), np.float32)
    for field, (a, b) in zip(fields, links, strict=True):
        count = np.zeros(size, np.float32)
        for p in np.flatnonzero(labelled[:, a] & labelled[:, b]):
            on, unit = _on_link(xy_cells[p, a], xy_cells[p, b], size, width)
            field += on * unit[:, None, None]
            count += on
        field /= np.maximum(count, 1)
    return fields.reshape(2 * len(links), *size)


def _on_link(start: Array, end: Array, size: Size, width: float) -> tuple[Array, Array]:
    """(cells on the link [h, w] bool, its unit vector [2])."""
    along = np.asarray(end, np.float64) - start
    length = float(np.hypot(*along))
    if not length > 0:  # also NaN
        return np.zeros(size, bool), np.zeros(2)
    unit = along / length
    y, x = np.mgrid[: size[0], : size[1]]
    way = (x - start[0]) * unit[0] + (y - start[1]) * unit[1]
    beside = (x - start[0]) * unit[1] - (y - start[1]) * unit[0]
    return (way >= 0) & (way <= length) & (np.abs(beside) <= width), unit
