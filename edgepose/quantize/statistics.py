"""Statistics of one tensor, collected while the float network runs over the calibration images.

A statistic sees the values of one image at a time and keeps a summary of fixed size, so memory does not grow with the
number of images. A quantization pass names the statistics it needs; the one observation run collects exactly those.
To add a statistic, write its class here and add a line to `STATISTICS`.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Protocol

import cv2
import numpy as np

from edgepose._checks import Array

BINS = 2048
_PIECE = 1 << 20  # values histogrammed at once


class Statistic(Protocol):
    """A running summary of one tensor's values."""

    name: ClassVar[str]

    def add(self, values: Array, low: float, high: float) -> None:
        """Take in the values [...] float32 of one image, all of them finite, and their minimum and maximum."""
        ...

    def to_json(self) -> Any:
        """Return what scales.json keeps of it, or None where it is needed only while scales are chosen."""
        ...


class Range:
    """The smallest and the largest value, and the number of values."""

    name: ClassVar[str] = "range"

    def __init__(self) -> None:
        self.low, self.high = math.inf, -math.inf
        self.total = 0

    @property
    def magnitude(self) -> float:
        """The largest absolute value."""
        return max(-self.low, self.high, 0.0)

    def add(self, values: Array, low: float, high: float) -> None:
        """Take in the values of one image."""
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.total += values.size

    def to_json(self) -> dict[str, float]:
        """Return {"min", "max"}."""
        return {"min": self.low, "max": self.high}


class Histogram:
    """Counts of absolute values in `BINS` equal bins over [0, limit).

    The limit is a power of two. When a larger value comes, pairs of bins are merged and the limit doubles, so the
    counts equal those of a histogram made over the final limit at once: the edges stay exact binary fractions.
    """

    name: ClassVar[str] = "histogram"

    def __init__(self) -> None:
        self.limit = 0.0
        self.counts = np.zeros(BINS, np.int64)

    def add(self, values: Array, low: float, high: float) -> None:
        """Take in the values of one image."""
        flat = values.reshape(-1)
        self._grow(max(-low, high))
        if self.limit == 0.0:  # only zeros so far
            self.counts[0] += flat.size
            return
        for start in range(0, flat.size, _PIECE):
            piece = np.abs(flat[start : start + _PIECE]).reshape(1, -1)
            counts = cv2.calcHist([piece], [0], None, [BINS], [0.0, self.limit])
            self.counts += counts.reshape(-1).astype(np.int64)

    def _grow(self, largest: float) -> None:
        """Make the limit the smallest power of two above `largest`, unless it is larger already."""
        wanted = math.ldexp(1.0, math.frexp(largest)[1]) if largest > 0 else 0.0
        if self.limit == 0.0:
            self.limit = wanted
        while self.limit < wanted:
            self.counts = np.concatenate([self.counts.reshape(-1, 2).sum(1), np.zeros(BINS // 2, np.int64)])
            self.limit *= 2

    def to_json(self) -> None:
        """Return None: two thousand counts a tensor are not kept."""


class ImageMaximum:
    """The mean over the images of the largest absolute value in each image."""

    name: ClassVar[str] = "image_max"

    def __init__(self) -> None:
        self.sum = 0.0
        self.images = 0

    @property
    def mean(self) -> float:
        """The mean of the per-image maxima; 0 before the first image."""
        return self.sum / max(self.images, 1)

    def add(self, values: Array, low: float, high: float) -> None:
        """Take in the values of one image."""
        self.sum += max(-low, high, 0.0)
        self.images += 1

    def to_json(self) -> float:
        """Return the mean."""
        return self.mean


class ChannelMean:
    """The mean of each channel (axis 1 of [N, C, ...] or the last axis of [N, C]) over images and positions."""

    name: ClassVar[str] = "channel_mean"

    def __init__(self) -> None:
        self.sum: Array = np.zeros(0)
        self.count = 0

    @property
    def mean(self) -> Array:
        """[C] float64."""
        return self.sum / max(self.count, 1)

    def add(self, values: Array, low: float, high: float) -> None:
        """Take in the values [1, C, ...] of one image."""
        channels = values.shape[1] if values.ndim > 1 else 1
        rows = values.reshape(len(values), channels, -1)
        total = rows.sum(axis=(0, 2), dtype=np.float64)
        self.sum = total if not self.sum.size else self.sum + total
        self.count += rows.shape[0] * rows.shape[2]

    def to_json(self) -> list[float]:
        """Return the means."""
        return [float(value) for value in self.mean]


class ChannelMaximum:
    """The largest absolute value of each channel (axis 1) over images and positions."""

    name: ClassVar[str] = "channel_max"

    def __init__(self) -> None:
        self.largest: Array = np.zeros(0, np.float32)

    def add(self, values: Array, low: float, high: float) -> None:
        """Take in the values [1, C, ...] of one image."""
        channels = values.shape[1] if values.ndim > 1 else 1
        rows = values.reshape(len(values), channels, -1)
        axes = (0, 2)
        found = np.maximum(rows.max(axis=axes), -rows.min(axis=axes))
        self.largest = found if self.largest.shape != found.shape else np.maximum(self.largest, found)

    def to_json(self) -> list[float]:
        """Return the largest values, rounded to four digits: they are compared, not computed with."""
        return [float(f"{value:.4g}") for value in self.largest]


STATISTICS: dict[str, type[Statistic]] = {
    kind.name: kind for kind in (Range, Histogram, ImageMaximum, ChannelMean, ChannelMaximum)
}


class Observed:
    """The statistics of one tensor: `observed["histogram"]`, ...

    Args:
        needs: Names of the statistics to collect, keys of `STATISTICS`.
    """

    def __init__(self, needs: tuple[str, ...]) -> None:
        self._kept: dict[str, Any] = {name: STATISTICS[name]() for name in needs}

    def __getitem__(self, name: str) -> Any:
        """Return a statistic by its name."""
        return self._kept[name]

    def add(self, values: Array) -> None:
        """Take in the values of one image.

        Raises:
            ValueError: A value is not finite; nothing is counted then.
        """
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError("holds values that are not finite")
        for statistic in self._kept.values():
            statistic.add(values, low, high)

    def to_json(self) -> dict[str, Any]:
        """Return the statistics that scales.json keeps, by name."""
        values = {name: statistic.to_json() for name, statistic in self._kept.items()}
        return {name: value for name, value in values.items() if value is not None}
