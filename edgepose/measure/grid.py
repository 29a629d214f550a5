"""Measure which crop coordinate a heatmap pixel stands for, without labels: a person and the mirror image must agree.

A joint at x of a crop W wide is at W - 1 - x of the mirrored crop. Where a network was trained with another grid than
its contract says, the decoded coordinates of both are too large by the same offset, so that they add up to W - 1 plus
twice the offset. Peaks are refined by DARK, whatever the contract says, since a quarter of a heatmap pixel is too
coarse to tell the grids of small strides apart.

The rules 'centers' and 'corners' are both symmetric, so that this measurement cannot tell one from the other.

    found = measure_grid(run, spec, crops)
    print(found.line())
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec
from edgepose.codecs.grids import implied_grid
from edgepose.codecs.heatmap import HeatmapCodec
from edgepose.errors import ModelError
from edgepose.kernels.image import mirrored
from edgepose.pose.geometry import Size

PEOPLE = 32  # about 500 joints, whose median is known to 0.05 pixels
FEWEST_JOINTS = 100
CLOSE = 0.05  # of the crop's width: further apart, the network has seen another joint in the mirror image
AGREEING = 0.6  # share of joints that must be close; networks that are not trained find nothing twice
SURE = 0.5  # of the median score: joints below it are left out
RESAMPLES = 200
PERCENTILES = (2.5, 97.5)
LEAST_PX, MOST_PX = 0.25, 0.5  # limits of the tolerance


@dataclass(frozen=True, kw_only=True)
class GridMeasurement:
    """What an image and its mirror image say about the grid of a network.

    Attributes:
        offset_px: By how much the contract reads x too large, crop pixels: the median over joints.
        low_px: The lower end of its 95 % interval over crops.
        high_px: The upper end.
        joints: The number of joints that were compared.
        tolerance_px: The offset up to which the contract fits.
        rule: The rule that fits: that of the contract, another one, or None where only a number does.
        given: The rule of the contract, in words.
        proposed: The codec to use instead; None where the contract fits, or the interval leaves it open.
    """

    offset_px: float
    low_px: float
    high_px: float
    joints: int
    tolerance_px: float
    rule: str | None
    given: str
    proposed: HeatmapCodec | None = None

    def evidence(self) -> str:
        """Return what was measured, as a clause."""
        return (
            f"a crop and its mirror image agree where x is read {self.offset_px:+.2f} px too large "
            f"(95 % interval {self.low_px:+.2f} to {self.high_px:+.2f}, {self.joints} joints)"
        )

    def remedy(self) -> str:
        """Return what to write into the contract, as a clause."""
        if self.proposed is None:
            return f"{self.given} fits"
        parts = [f'grid = "{self.proposed.rule}"'] if self.proposed.rule else []
        parts += [f"offset = {self.proposed.offset:g}"] if self.proposed.offset else []
        text = ", ".join(parts) or "leave out grid and offset"
        return f"use {text} in codec" if parts else text

    def line(self) -> str:
        """Return the result as one line."""
        return f"heatmap grid: {self.evidence()}; {self.remedy()}"


def measure_grid(run: Callable[[Array], Array], spec: ModelSpec, crops: Array) -> GridMeasurement | None:
    """Measure the grid of a network on crops of people.

    Args:
        run: Computes the heatmaps [N, K, h, w] of crops [N, *spec.input.shape].
        spec: The contract.
        crops: The network's input for some people, [N, *spec.input.shape].

    Returns:
        The measurement; None where the codec is another, or the network does not find the same joints in the mirror
        images.
    """
    codec = spec.codec
    if not isinstance(codec, HeatmapCodec) or not len(crops):
        return None
    rule = codec.rule or implied_grid(codec.refine)
    plain = replace(spec, codec=replace(codec, refine="dark", rule=rule, pictorial=None))
    maps = run(crops)
    if maps.ndim != 4 or maps.shape[1] != len(spec.skeleton):  # an output of which another check speaks
        return None
    try:
        here, there = _joints(maps, plain), _joints(run(mirrored(crops, spec.input)), plain)
    except ModelError:  # an overflow, of which another check speaks
        return None
    found = _offsets(here, there[:, list(spec.skeleton.flip_order())], spec.input.size[1])
    if found is None:
        return None
    offsets, owners = found
    low, high = _interval(offsets, owners, len(maps))
    measured = float(np.median(offsets))
    size = (maps.shape[2], maps.shape[3])
    tolerance = _tolerance(codec, size, spec.input.size)
    wanted = _center(codec, size, spec.input.size) - measured
    fits = abs(measured) <= tolerance and not codec.offset
    fitting = rule if fits else _fitting(codec, size, spec.input.size, wanted, tolerance)
    clear = low > tolerance or high < -tolerance
    return GridMeasurement(
        offset_px=measured,
        low_px=low,
        high_px=high,
        joints=len(offsets),
        tolerance_px=tolerance,
        rule=fitting,
        given=f'grid = "{rule}"' + (f" with offset = {codec.offset:g}" if codec.offset else ""),
        proposed=_proposed(codec, fitting, wanted) if clear else None,
    )


def _joints(maps: Array, spec: ModelSpec) -> Array:
    """Return the joints in crop pixels, [N, K, 3] of x, y and score."""
    same = np.tile(np.eye(3)[:2], (len(maps), 1, 1))
    joints = spec.codec.decode([maps], None, same, spec)
    assert isinstance(joints, np.ndarray)
    return joints.astype(np.float64)


def _offsets(here: Array, there: Array, width: int) -> tuple[Array, Array] | None:
    """Return the offsets [J] of the joints that both crops show, and the crop [J] of each; None for too few."""
    offsets = (here[..., 0] + there[..., 0] - (width - 1)) / 2
    scores = np.minimum(here[..., 2], there[..., 2])
    sure = scores > SURE * np.median(scores)
    close = (np.abs(offsets) < CLOSE * width) & (np.abs(here[..., 1] - there[..., 1]) < 2 * CLOSE * width)
    used = sure & close
    if used.sum() < FEWEST_JOINTS or used.sum() < AGREEING * sure.sum():
        return None
    return offsets[used], np.nonzero(used)[0]


def _interval(offsets: Array, owners: Array, crops: int) -> tuple[float, float]:
    """Return the 95 % interval of the median, by drawing crops again."""
    rng = np.random.default_rng(0)
    parts = [offsets[owners == crop] for crop in range(crops)]
    drawn = [
        np.median(np.concatenate([parts[crop] for crop in rng.integers(0, crops, crops)] + [offsets[:1]]))
        for _ in range(RESAMPLES)
    ]
    low, high = np.percentile(drawn, PERCENTILES)
    return float(low), float(high)


def _center(codec: HeatmapCodec, size: Size, crop_size: Size) -> float:
    """Return where the middle of the maps lies from the middle of the crop, crop pixels: 0 for a symmetric grid."""
    matrix = codec.to_crop(size, crop_size)
    return float(matrix[0, 0] * (size[1] - 1) / 2 + matrix[0, 2] - (crop_size[1] - 1) / 2)


def _tolerance(codec: HeatmapCodec, size: Size, crop_size: Size) -> float:
    """Return a quarter of the distance between the rules, within limits."""
    step = abs(_center(replace(codec, rule="stride", offset=0.0), size, crop_size))
    return min(max(step / 4, LEAST_PX), MOST_PX)


def _fitting(codec: HeatmapCodec, size: Size, crop_size: Size, wanted: float, tolerance: float) -> str | None:
    for rule in (implied_grid(codec.refine), "stride"):
        if abs(_center(replace(codec, rule=rule, offset=0.0), size, crop_size) - wanted) <= tolerance:
            return rule
    return None


def _proposed(codec: HeatmapCodec, rule: str | None, wanted: float) -> HeatmapCodec:
    implied = implied_grid(codec.refine)
    if rule is None:
        return replace(codec, rule=None, offset=round(wanted, 2))
    return replace(codec, rule=None if rule == implied else rule, offset=0.0)
