"""Collect why nodes stay in float32. A node that several rules name keeps the reason of the first."""

from __future__ import annotations

from collections.abc import Iterator

from edgepose.quantize.float16.constants import unfit_constants
from edgepose.quantize.float16.indices import compared_values, integer_arithmetic
from edgepose.quantize.float16.operators import sensitive_operators, unfit_operators
from edgepose.quantize.float16.pixels import pixel_outputs
from edgepose.quantize.float16.ranges import observed_values
from edgepose.quantize.float16.view import View
from edgepose.quantize.names import named_by

# To add a rule, write a generator of (node name, reason) and add it here.
RULES = (unfit_operators, unfit_constants, integer_arithmetic, compared_values, observed_values, pixel_outputs)


def reasons_for_float32(view: View, patterns: tuple[str, ...] = (), sensitive: bool = True) -> dict[str, str]:
    """Map the name of each node that stays in float32 to the reason, in the order of the graph.

    Args:
        view: The prepared graph.
        patterns: Names and patterns of nodes that stay in float32.
        sensitive: Whether the operators of `operators.SENSITIVE` stay in float32.

    Raises:
        UsageError: A pattern names no node.
    """
    found: dict[str, str] = {}
    for name, reason in _every(view, patterns, sensitive):
        found.setdefault(name, reason)
    return {node.name: found[node.name] for node in view.graph.nodes if node.name in found}


def _every(view: View, patterns: tuple[str, ...], sensitive: bool) -> Iterator[tuple[str, str]]:
    names = [node.name for node in view.graph.nodes]
    for pattern in patterns:
        for name in named_by(pattern, names, "keep_float"):
            yield name, f"keep_float: {pattern!r}"
    if sensitive:
        yield from sensitive_operators(view)
    for rule in RULES:
        yield from rule(view)
