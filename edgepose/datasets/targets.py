"""Training targets: a person's joints in the order of the network, and the output the network should give for them.

A target is a callable (xy_crop [K, 2], labeled [K] bool, size) -> arrays. It runs in the worker processes that cut the
crops, so it must be picklable: the classes here are frozen dataclasses of plain numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array
from edgepose.codecs import grids, heatmap, regression
from edgepose.datasets.samples import Sample
from edgepose.errors import UsageError
from edgepose.pose.geometry import Size, apply_affine
from edgepose.pose.skeletons import Skeleton

Target = Callable[[Array, Array, Size], tuple[Array, ...]]


def joints_in(sample: Sample, skeleton: Skeleton, source: Skeleton) -> tuple[Array, Array]:
    """Return the joints of a person in the order of another skeleton.

    Args:
        sample: The person.
        skeleton: The order to return.
        source: The skeleton of the sample.

    Returns:
        xy_image [K, 2] float64 and labeled [K] bool; joints that `source` does not have are not labeled.
    """
    xy = np.zeros((len(skeleton), 2), np.float64)
    labeled = np.zeros(len(skeleton), bool)
    for joint in skeleton.shared(source):
        to, at = skeleton.index(joint), source.index(joint)
        xy[to], labeled[to] = sample.xy_image[at], sample.labeled[at]
    return xy, labeled


def inside_crop(
    xy_crop: Array,  # [..., K, 2]
    size: Size,
) -> Array:
    """Return which joints a crop shows.

    Args:
        xy_crop: [..., K, 2] float, crop pixels.
        size: (height, width) of the crop.

    Returns:
        [..., K] bool; False for NaN.
    """
    last = np.array([size[1], size[0]]) - 0.5
    return np.asarray(((xy_crop >= -0.5) & (xy_crop <= last)).all(axis=-1))


def cells_of(size: Size, stride: int) -> Size:
    """Return (height, width) of a crop in heatmap cells.

    Args:
        size: (height, width) of the crop, pixels.
        stride: The width of a cell, pixels.

    Raises:
        UsageError: If the cells do not divide the crop evenly.
    """
    if size[0] % stride or size[1] % stride:
        raise UsageError(f"a crop of {size[0]}x{size[1]} has no whole number of cells of {stride} pixels")
    return size[0] // stride, size[1] // stride


@dataclass(frozen=True, kw_only=True)
class HeatmapTarget:
    """Makes Gaussian heatmaps [K, H / stride, W / stride] float32, and weights [K] float32.

    The weight is 1 for a labeled joint in the crop. It is 0 for a joint outside the crop, which a heatmap cannot show.

    Attributes:
        stride: The width of a heatmap cell, crop pixels.
        sigma: The standard deviation, heatmap cells.
        decode: The contract's `decode`, which defines the crop coordinate of a cell.
    """

    stride: int
    sigma: float
    decode: str = "quarter"

    def __call__(self, xy_crop: Array, labeled: Array, size: Size) -> tuple[Array, Array]:
        """Return the heatmaps and the weights of one person.

        Args:
            xy_crop: [K, 2] float, crop pixels.
            labeled: [K] bool.
            size: (height, width) of the crop, pixels.
        """
        cells = cells_of(size, self.stride)
        weight = labeled & inside_crop(xy_crop, size)
        xy_cells = apply_affine(grids.grid(self.decode, size, cells), xy_crop)
        return heatmap.encode(xy_cells, weight, cells, self.sigma), weight.astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class RegressionTarget:
    """Makes normalized coordinates [K, 2] float32, and weights [K] float32, 1 for labeled joints.

    A joint outside the crop keeps its position, because coordinates can express it and a heatmap cannot.

    Attributes:
        range: The contract's `range`.
    """

    range: str = "centered"

    def __call__(self, xy_crop: Array, labeled: Array, size: Size) -> tuple[Array, Array]:
        """Return the coordinates and the weights of one person.

        Args:
            xy_crop: [K, 2] float, crop pixels.
            labeled: [K] bool.
            size: (height, width) of the crop, pixels.
        """
        known = labeled & np.isfinite(xy_crop).all(axis=-1)
        return regression.encode(np.where(known[:, None], xy_crop, 0), size, self.range), known.astype(np.float32)
