"""What an imported graph keeps of its recognition: JSON in the metadata, under `edgepose.recognized`.

The contract itself has no such field, so the hashes of contracts stay what they are.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from edgepose.artifacts.spec import RECOGNIZED_KEY, get_metadata, set_metadata
from edgepose.recognize.candidate import Guess, Recognized

if TYPE_CHECKING:
    import onnx

WORDS = {
    "metadata": "from its metadata",
    "files": "from the files beside it",
    "names": "by the names of its inputs and outputs",
    "shapes": "by the shapes of its inputs and outputs",
}


@dataclass(frozen=True, kw_only=True)
class Recognition:
    """How a network was recognized.

    Attributes:
        family: The name of its family.
        source: "metadata", "files", "names" or "shapes".
        rewritten: Whether its graph got other inputs or outputs.
        guesses: The values of its contract that no evidence states.
    """

    family: str
    source: str
    rewritten: bool = False
    guesses: tuple[Guess, ...] = ()

    def lines(self) -> list[str]:
        """Return one line about the family, and one for each guess."""
        first = f"recognized as {self.family} {WORDS.get(self.source, self.source)}"
        return [first, *(guess.line() for guess in self.guesses)]


def recognition_from(found: Recognized, *, rewritten: bool) -> Recognition:
    """Return what is kept of a recognition."""
    return Recognition(family=found.family, source=found.source, rewritten=rewritten, guesses=found.guesses)


def keep_recognized(model: onnx.ModelProto, found: Recognized, *, rewritten: bool) -> None:
    """Write into the metadata of a graph how it was recognized, in place."""
    kept = asdict(recognition_from(found, rewritten=rewritten))
    set_metadata(model, RECOGNIZED_KEY, json.dumps(kept, separators=(",", ":")))


def recognition_of(model: onnx.ModelProto) -> Recognition | None:
    """Return how an imported graph was recognized; None for one that was not, or whose entry cannot be read."""
    text = get_metadata(model, RECOGNIZED_KEY)
    try:
        return None if text is None else msgspec.json.decode(text, type=Recognition)
    except msgspec.DecodeError:
        return None


def without_said(found: Recognized, table: dict[str, Any]) -> Recognized:
    """Leave out the guesses about values that a spec states.

    Args:
        found: The network.
        table: What the spec says.
    """
    kept = tuple(guess for guess in found.guesses if not _says(table, guess.field))
    return replace(found, guesses=kept)


def _says(table: dict[str, Any], field: str) -> bool:
    value: Any = table
    for key in field.split("."):
        if not isinstance(value, dict) or key not in value:
            return not isinstance(value, dict)  # the whole was given in another form, such as a name
        value = value[key]
    return True
