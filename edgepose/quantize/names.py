"""Which nodes a pattern names: the one rule of `keep_float` in the contract, the options and every precision."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from edgepose.errors import UsageError, nearest


def matches(pattern: str, name: str) -> bool:
    """Tell whether a pattern names a node.

    An exact name always matches. In a pattern, `*` and `?` are wildcards and `[ab]` is a set of characters; since
    exporters write brackets into names (`/layers[6]/conv`), brackets also match themselves.

    Args:
        pattern: A pattern as in `fnmatch`, or the name of a node.
        name: The name of a node.
    """
    return name == pattern or fnmatchcase(name, pattern) or fnmatchcase(name, pattern.replace("[", "[[]"))


def named_by(pattern: str, names: Iterable[str], source: str) -> list[str]:
    """Return the names that a pattern matches.

    Args:
        pattern: A pattern as in `matches`.
        names: The names of all nodes.
        source: Where the pattern comes from, for the message.

    Raises:
        UsageError: The pattern matches none of the names.
    """
    known = list(names)
    found = [name for name in known if matches(pattern, name)]
    if not found:
        raise UsageError(f"{source}: {pattern!r} names no node of the network{nearest(pattern, known[:12])}")
    return found
