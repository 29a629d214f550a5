"""What a pass of the import is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, kw_only=True)
class ImportPass:
    """One rewriting of a foreign graph that leaves what it computes as it is.

    Attributes:
        name: Short name.
        run: Returns the rewritten copy, and the names of what was rewritten; none if the graph is as before.
        describe: Turns all names that were rewritten into one sentence for the user.
    """

    name: str
    run: Callable[[onnx.ModelProto], tuple[onnx.ModelProto, tuple[str, ...]]]
    describe: Callable[[tuple[str, ...]], str]


def listed(names: tuple[str, ...], limit: int = 3) -> str:
    """Return the first few names as text."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
