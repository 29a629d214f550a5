"""Heatmaps: where their maxima lie, and whether the decoder can read their values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgepose.measure.plausible.finding import WARNING, Evidence, Finding

AT_BORDER = 0.95  # share of maxima in the outermost pixels
LOGARITHMS = ("dark", "udp")  # decoders that take the logarithm of a map


def check_heatmaps(evidence: Evidence) -> Iterator[Finding]:
    """Doubt maxima that are always at the border, and maps without positive values where the decoder needs them."""
    spec = evidence.spec
    if spec.codec.name != "heatmap" or not evidence.outputs or not np.isfinite(evidence.outputs[0]).all():
        return
    maps = np.asarray(evidence.outputs[0], np.float32)
    height, width = maps.shape[2:]
    y, x = np.divmod(maps.reshape(*maps.shape[:2], -1).argmax(axis=-1), width)
    border = (x == 0) | (y == 0) | (x == width - 1) | (y == height - 1)
    flat = np.ptp(maps, axis=(2, 3)) == 0  # as an untrained network may give
    if min(height, width) > 4 and border.mean() >= AT_BORDER and not flat.any():
        yield Finding(
            severity=WARNING,
            what=f"output {spec.outputs[0]!r}",
            evidence=f"{border.mean():.0%} of the maxima lie at the border of the maps on {evidence.source}",
            remedy="the network sees no people: look at input.mean, input.std, input.scale and input.layout",
        )
    peaks = maps.max(axis=(2, 3))
    method = spec.codec.parameters()["decode"]
    if method in LOGARITHMS and (peaks <= 0).mean() > 0.5:
        yield Finding(
            severity=WARNING,
            what=f'codec.decode = "{method}"',
            evidence=f"{(peaks <= 0).mean():.0%} of the maps have no value above 0 on {evidence.source}",
            remedy='it takes logarithms: add a Sigmoid before the output, or use decode = "quarter"',
        )
