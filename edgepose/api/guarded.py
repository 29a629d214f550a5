"""What the guard of a build works with: what calibration found, the people to test on, candidates, and the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgepose.artifacts.certificate import CandidateResult, Certificate, MetricBound
from edgepose.artifacts.scales import Scales
from edgepose.errors import BuildError
from edgepose.quantize.guard import CANNOT, Bound

if TYPE_CHECKING:
    from edgepose.datasets.feeds import CalibrationFeed
    from edgepose.datasets.samples import PoseData
    from edgepose.quantize.search import Candidate

MORE = (
    "give more calibration images or a lower --keep, or fine-tune the network with: edgepose train --quantized "
    "OUT/scales.json --data KIND:PATH --out DIRECTORY"
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What calibration found, and the people who are left to test it.

    Attributes:
        scales: The scales, without the float layers of a search unless they were read from a file.
        source: The file that they were read from; None where they were observed now.
        feed: The calibration images; None without any.
        held_out: People of the same data who were not used to calibrate; None where there are too few images.
    """

    scales: Scales
    source: Path | None = None
    feed: CalibrationFeed | None = None
    held_out: PoseData | None = None


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """Scales to quantize with, and what is known about their accuracy.

    Attributes:
        scales: With the float layers and the bias corrections of the chosen candidate.
        certificate: None where the build has no guard, and nothing is known from earlier.
    """

    scales: Scales
    certificate: Certificate | None = None

    def refuse(self) -> None:
        """Raise BuildError where the accuracy cannot be kept."""
        if self.certificate is not None and cannot_keep(self):
            first, metrics, *_ = self.certificate.lines()
            raise BuildError(f"{first}. {self.certificate.reason or metrics}. No int8 engine is built; {MORE}")


def cannot_keep(guarded: Guarded | None) -> bool:
    """Whether the accuracy cannot be kept in INT8."""
    return guarded is not None and guarded.certificate is not None and guarded.certificate.answer == CANNOT


@dataclass(frozen=True, kw_only=True)
class Test:
    """The people to test on.

    Attributes:
        kind: `LABELS`, `JOINTS`, `BOXES` or `NOTHING`.
        reason: Why nothing is tested.
        data: The people; None where nothing is tested.
        images: Number of images.
        image_list_sha256: What identifies the images.
    """

    kind: str
    reason: str = ""
    data: PoseData | None = None
    images: int = 0
    image_list_sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One candidate: its scales, and what the search says about it."""

    scales: Scales
    candidate: Candidate | None = None

    def result(self, layers: int, bounds: Mapping[str, Bound]) -> CandidateResult:
        """Return the entry of the certificate."""
        about: dict[str, Any] = {}
        if self.candidate is not None:
            about = {
                "int8_share": self.candidate.int8_share,
                "time": _finite(self.candidate.time),
                "output_error": _finite(self.candidate.measured.error),
            }
        metrics = {
            name: MetricBound(retention=item.value, bound=item.low, floor=item.floor, images_needed=item.needed)
            for name, item in bounds.items()
        }
        return CandidateResult(float_layers=layers, metrics=metrics, **about)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
