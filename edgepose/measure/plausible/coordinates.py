"""Regressed coordinates: their values say whether they count pixels, the crop from 0 to 1, or from its center."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgepose._checks import Array
from edgepose.measure.plausible.finding import ERROR, WARNING, Evidence, Finding

FAR = 2.0  # crops; a joint whose coordinate is typically further away is not counted in crops
CENTERED = (-0.75, 0.75)  # between these lie centered coordinates of people in their crops
UNIT = (-0.05, 1.25)  # likewise for unit coordinates
LOGIT = 0.5  # outside 0..1; the value of a heatmap's peak, which some networks give, is not so far away
TALL = 1.2  # crops; a person is rarely so much higher than the crop
PERCENT = 105.0
NEGATIVE = 0.3  # share of negative coordinates that people from the corner of the crop do not have


def check_coordinates(evidence: Evidence) -> Iterator[Finding]:
    """Judge the range of the coordinates and of the scores."""
    spec = evidence.spec
    if spec.codec.name != "regression" or not evidence.outputs:
        return
    values = np.asarray(evidence.outputs[0], np.float64)
    if not np.isfinite(values).all():
        return
    finding = _range(values[..., :2], evidence)
    if finding is not None:
        yield finding
    if values.shape[-1] == 3 and (values[..., 2].min() < -LOGIT or values[..., 2].max() > 1 + LOGIT):
        low, high = values[..., 2].min(), values[..., 2].max()
        yield Finding(
            severity=WARNING,
            what=f"output {spec.outputs[0]!r}",
            evidence=f"its scores lie between {low:.3g} and {high:.3g} on {evidence.source}, not between 0 and 1",
            remedy="they look like logits: add a Sigmoid to the scores before the output",
        )


def _range(xy: Array, evidence: Evidence) -> Finding | None:
    height, width = evidence.spec.input.size
    kind: str = evidence.spec.codec.parameters()["range"]
    lowest, highest = xy.min(axis=(0, 1)), xy.max(axis=(0, 1))
    seen = (
        f"x lies between {lowest[0]:.3g} and {highest[0]:.3g} and y between {lowest[1]:.3g} and {highest[1]:.3g} on "
        f"{evidence.source} of {height} x {width} pixels"
    )
    if float(np.median(np.abs(xy).max(axis=-1))) > FAR:
        remedy = _remedy(lowest, highest, (width, height))
        return _finding(ERROR, kind, seen, remedy)
    negative = (xy < 0).mean() > NEGATIVE
    if negative and float(np.median(np.ptp(xy, axis=1).max(axis=-1))) > TALL:
        remedy = 'they seem to count from -1 to 1: multiply them by 0.5 in the graph, and use range = "centered"'
        return _finding(WARNING, kind, f"{seen}, {(xy < 0).mean():.0%} of them negative", remedy)
    if kind == "unit" and negative and _within(xy, CENTERED):
        return _finding(WARNING, kind, f"{seen}, {(xy < 0).mean():.0%} of them negative", 'use range = "centered"')
    if kind == "centered" and _within(xy, UNIT) and np.median(xy) > 0.25 and highest.max() > 0.75:
        return _finding(WARNING, kind, f"{seen}, so that they count from the corner", 'use range = "unit"')
    return None


def _remedy(lowest: Array, highest: Array, size: tuple[int, int]) -> str:
    """Say what coordinates that are not counted in crops probably are; x, y each."""
    ranges = "the contract's ranges are 'centered' (-0.5 to 0.5) and 'unit' (0 to 1): scale them in the graph"
    side = np.array(size)
    if (lowest < -0.25 * side).any() or (highest > 1.5 * side).any() or (highest < 0.4 * side).all():
        return ranges
    if (lowest < -0.1 * highest).all():
        return ranges
    percent = "; if they are percent, multiply them by 0.01 instead" if highest.max() <= PERCENT else ""
    return (
        "these are pixels: divide x by the width and y by the height in the graph (a Div before the output), and use "
        f'range = "unit"{percent}'
    )


def _within(xy: Array, limits: tuple[float, float]) -> bool:
    return bool(xy.min() >= limits[0] and xy.max() <= limits[1])


def _finding(severity: str, kind: str, evidence: str, remedy: str) -> Finding:
    return Finding(severity=severity, what=f'codec.range = "{kind}"', evidence=evidence, remedy=remedy)
