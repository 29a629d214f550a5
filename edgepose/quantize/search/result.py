"""What a search returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from edgepose._checks import Array
from edgepose.artifacts.scales import Scales

# Outputs of the float network and of a candidate on the same crops, by name -> metric -> predicted retention, at most
# 1; empty where it cannot be predicted.
Judge = Callable[[Mapping[str, Array], Mapping[str, Array]], Mapping[str, float]]
# Outputs of the float network and of a graph on the same crops -> relative squared error of each crop.
Errors = Callable[[Mapping[str, Array], Mapping[str, Array]], tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the real graph of a candidate gave on the crops of the search.

    Attributes:
        error: Relative squared error of the outputs against the float network, on all crops.
        hard: The same on the hardest crops, which the errors of single units are measured on.
        retention: Metric -> what is predicted to be retained of it; empty where joints cannot be compared.
    """

    error: float
    hard: float
    retention: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One placement on the path.

    Attributes:
        keep_float: Name of a node that stays in float -> the reason, for `Scales.keep_float`.
        error: Relative squared error of the outputs on the hardest crops that the sum of the errors of single units
            predicts; NaN where no unit was measured.
        measured: What the real graph gave.
        int8_share: Share of the multiply-adds that run in int8; None where shapes are not fixed.
        time: Estimated time of the network relative to the float network.
        int8_ends: Names of first and last layers that are int8, for `Scales.int8_ends`.
        corrected: The scales of the graph that was run, with `keep_float` and corrected biases; None where an earlier
            search ran it.
    """

    keep_float: Mapping[str, str]
    error: float
    measured: Measured
    int8_share: float | None
    time: float
    int8_ends: tuple[str, ...] = ()
    corrected: Scales | None = field(default=None, compare=False)  # a search that goes on gives equal candidates


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The path of a search.

    Attributes:
        candidates: Nested placements, from the one with most float layers to the one with most int8 layers.
        errors: Node that names a unit -> relative squared error of the outputs when it alone is quantized.
        searched: Whether units were measured. It is False where the first graph was good already.
        graphs: Number of quantized graphs that were run.
    """

    candidates: tuple[Candidate, ...]
    errors: Mapping[str, float] = field(default_factory=dict)
    searched: bool = True
    graphs: int = 0
