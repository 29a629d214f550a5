"""How much of an INT8 engine runs in int8: the share of the multiply-adds, in the graph and on this machine.

The graph says which layers are to run in int8. What a library does is another question: ONNX Runtime computes a
convolution in float unless its output is quantized as well, and CPUs without VNNI or AMX compute in float. The
precision that each layer runs in comes from the session, and its cost from the graph.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgepose.graph.cost import LayerCost, int8_share, layer_costs
from edgepose.graph.lookup import load_onnx

ENOUGH = 0.5  # an engine with a smaller share is not what its name says
SUFFIX = re.compile(r"(_nchwc|_token_\d+| \(\d+\))$")  # that libraries append to the name of a node


@dataclass(frozen=True, kw_only=True)
class Int8Share:
    """The share of an INT8 engine that is int8.

    Attributes:
        graph: Share of the multiply-adds that the graph asks for; None where its shapes are not fixed.
        multiply_adds: Layer -> its multiply-adds, for the layers of the engine that could be found in the graph.
    """

    graph: float | None = None
    multiply_adds: dict[str, int] = field(default_factory=dict)


def share_of(onnx_path: Path, layers: Mapping[str, str]) -> Int8Share:
    """Match the layers of an engine with the graph that it was built from.

    Args:
        onnx_path: The INT8 graph.
        layers: Layer -> precision, as the session reports them.
    """
    costs = layer_costs(load_onnx(onnx_path))
    return Int8Share(graph=int8_share(costs), multiply_adds=_matched(costs, layers))


def _matched(costs: Sequence[LayerCost], layers: Mapping[str, str]) -> dict[str, int]:
    """Return the multiply-adds of the layers; a layer that several nodes were fused into has their sum."""
    parts = {SUFFIX.sub("", part.strip()): name for name in layers for part in re.split(r" \+ |\|\|", name)}
    exact = {cost.names[0] for cost in costs} & parts.keys()
    found: dict[str, int] = {}
    for cost in costs:
        own = cost.names[0] in exact
        known = [name for name in cost.names[: 1 if own else None] if name in parts and (own or name not in exact)]
        if known:
            layer = parts[known[0]]
            found[layer] = found.get(layer, 0) + cost.multiply_adds
    return found


def share_that_runs(multiply_adds: Mapping[str, int], layers: Mapping[str, str]) -> float | None:
    """Return the share of the multiply-adds that run in int8; None where most layers are not known.

    Args:
        multiply_adds: Layer -> its multiply-adds, from the manifest.
        layers: Layer -> precision, as the session reports them on this machine.
    """
    total = sum(multiply_adds.values())
    known = sum(count for name, count in multiply_adds.items() if name in layers)
    if not total or known < ENOUGH * total:
        return None
    return sum(count for name, count in multiply_adds.items() if layers.get(name) == "int8") / known


def too_little(graph: float | None, runs: float | None) -> str | None:
    """Return a warning where less than half of the multiply-adds are int8, or None.

    Args:
        graph: The share in the graph; None where it is unknown.
        runs: The share that runs in int8; None where it is unknown.
    """
    asked = "" if graph is None else f"{graph:.0%} of the multiply-adds are int8 in the graph"
    if runs is not None and runs < ENOUGH:
        return f"this engine is INT8 in name only: {runs:.0%} of the multiply-adds run in int8 here" + (
            f" ({asked})" if asked else ""
        )
    if graph is not None and graph < ENOUGH:
        return f"only {asked}; the other layers stay in float"
    return None
