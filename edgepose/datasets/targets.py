"""Training targets: a person's joints in the network's order, and what the network should return for them.

A target is a callable (xy_crop [K, 2], labeled [K] bool, size) -> arrays. It is made in the processes that
cut the crops, so it must be picklable: the classes here are frozen dataclasses of plain numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array
from edgepose.codecs import heatmap, regression
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
    """Makes Gaussians: heatmaps [K, H / stride, W / stride] float32, and weight [K] float32, 1 where the joint counts.

    A joint outside the crop is not an error of the network, so its weight is 0.

    Attributes:
        stride: The width of a heatmap cell, crop pixels.
        sigma: The standard deviation, heatmap cells.
        decode: The contract's `decode`, which says which crop coordinate a cell stands for.
    """

    stride: int
    sigma: float
    decode: str = "quarter"

    def __call__(self, xy_crop: Array, labeled: Array, size: Size) -> tuple[Array, Array]:
        cells = cells_of(size, self.stride)
        weight = labeled & inside_crop(xy_crop, size)
        xy_cells = apply_affine(heatmap.grid(self.decode, size, cells), xy_crop)
        return heatmap.encode(xy_cells, weight, cells, self.sigma), weight.astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class RegressionTarget:
    """Makes coordinates [K, 2] float32 as the codec has them, and weight [K] float32, 1 where the joint is labeled.

    A joint outside the crop keeps its place there: coordinates can express it, where a heatmap cannot.

    Attributes:
        range: The contract's `range`.
    """

    range: str = "centered"

    def __call__(self, xy_crop: Array, labeled: Array, size: Size) -> tuple[Array, Array]:
        known = labeled & np.isfinite(xy_crop).all(axis=-1)
        return regression.encode(np.where(known[:, None], xy_crop, 0), size, self.range), known.astype(np.float32)
