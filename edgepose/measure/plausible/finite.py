"""Outputs that are not finite, or that do not depend on the image."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgepose.measure.plausible.finding import ERROR, WARNING, Evidence, Finding

SAME = 1e-6  # relative difference between images below which an output is constant


def check_finite(evidence: Evidence) -> Iterator[Finding]:
    """Refuse NaN and infinity; doubt outputs that are equal for all images."""
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
        elif len(values) > 1 and np.ptp(values, axis=0).max() <= SAME * np.abs(values).max():
            yield Finding(
                severity=WARNING,
                what=f"output {name!r}",
                evidence=f"it is the same for all of {evidence.source}",
                remedy="the network ignores its input: look at its weights, and at input.mean, input.std and "
                "input.scale",
            )
