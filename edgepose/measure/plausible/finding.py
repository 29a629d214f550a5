"""`Finding`: what cannot be right about a contract. `Evidence`: what a finding is drawn from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec
from edgepose.measure.grid import GridMeasurement

ERROR = "error"  # no network is used like this
WARNING = "warning"  # some network may be, but it is unlikely


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something about a contract that cannot be right, or is unlikely to be.

    Attributes:
        severity: "error" or "warning".
        what: The key of the contract or the output that it is about.
        evidence: What was seen.
        remedy: What to do.
    """

    severity: str
    what: str
    evidence: str
    remedy: str

    def line(self) -> str:
        """Return the finding as one line."""
        return f"{self.what}: {self.evidence}; {self.remedy}"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known about a network and its contract.

    Attributes:
        spec: The contract.
        free_size: Whether the graph takes images of any height and width, so that only the contract says the size.
        outputs: The outputs that the codec decodes, [N, ...] each, for the crops of N people; empty where the network
            was not run.
        source: What the crops are of, such as "8 calibration images".
        grid: What mirrored crops say about the grid of heatmaps; None where it was not measured.
    """

    spec: ModelSpec
    free_size: bool = False
    outputs: tuple[Array, ...] = ()
    source: str = ""
    grid: GridMeasurement | None = None


Check = Callable[[Evidence], Iterator[Finding]]
