"""Outputs that are not finite."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgepose.measure.plausible.finding import ERROR, Evidence, Finding


def check_finite(evidence: Evidence) -> Iterator[Finding]:
    """Refuse NaN and infinity."""
    for name, values in zip(evidence.spec.outputs, evidence.outputs, strict=False):
        wrong = ~np.isfinite(values)
        if wrong.any():
            crops = int(wrong.reshape(len(values), -1).any(axis=1).sum())
            yield Finding(
                severity=ERROR,
                what=f"output {name!r}",
                evidence=f"{wrong.mean():.1%} of its values are NaN or infinity on {crops} of {evidence.source}",
                remedy="look at the network's weights, and at input.mean, input.std and input.scale",
            )
