"""Lines about the layers that stay in float: one for each kind of reason, with the first names."""

from __future__ import annotations

from collections.abc import Mapping

NAMED = 3  # nodes that a line names
BY_SEARCH = "by the search"


def grouped(kept: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the names of the nodes by the kind of reason.

    Args:
        kept: Node name -> reason.

    Returns:
        Kind -> names. Reasons of the search, "search: 2.4% of the error of all units" for example, are of one kind;
        every other reason is a kind of its own.
    """
    kinds: dict[str, list[str]] = {}
    for name, reason in kept.items():
        kinds.setdefault(BY_SEARCH if reason.split(":")[0] == "search" else reason, []).append(name)
    return kinds


def first_names(names: list[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def float_lines(kept: Mapping[str, str]) -> list[str]:
    """Return a line for each kind of reason.

    Args:
        kept: Name of each node that stays in float in the INT8 graph -> reason.
    """
    lines = []
    for kind, names in grouped(kept).items():
        nodes = "1 node stays" if len(names) == 1 else f"{len(names)} nodes stay"
        if kind == BY_SEARCH:
            lines.append(f"int8: {nodes} in float {kind} (edgepose inspect int8.onnx lists them): {first_names(names)}")
        else:
            lines.append(f"int8: {nodes} in float: {kind}: {first_names(names)}")
    return lines
