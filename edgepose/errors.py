"""Every error edgepose raises on purpose.

A message says what is wrong, where (file, field, expected and got), and what to do next. The command
line prints it on one line and exits with 1; a traceback means a bug in edgepose.

    EdgeposeError
    ├── UsageError         an option or argument that cannot mean anything (exit code 2)
    ├── MissingPackage     an optional package is not installed; names the extra to install
    ├── DataError          images, labels, videos, cameras
    ├── SpecError          a ModelSpec that is missing, unknown, or of the wrong shape
    ├── ModelError         a checkpoint or an ONNX file that cannot be used
    │   └── ParityError    an export that does not compute what the checkpoint computes
    ├── CalibrationError   ranges that cannot be observed, or a scales.json that is stale
    ├── BuildError         a backend could not compile the graph
    └── EngineError        an engine folder that is damaged, or made for another machine
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EdgeposeError(Exception):
    """The root: catch this to catch everything edgepose raises on purpose."""


class UsageError(EdgeposeError):
    """An option or argument that cannot mean anything."""


class MissingPackage(EdgeposeError):
    """An optional package is not installed."""


class DataError(EdgeposeError):
    """An image, a label file, a video or a camera that cannot be used."""


class SpecError(EdgeposeError):
    """A ModelSpec that is missing, has an unknown key, or contradicts its network."""


class ModelError(EdgeposeError):
    """A checkpoint or an ONNX file that cannot be used."""


class ParityError(ModelError):
    """An exported graph does not compute what the checkpoint computes."""


class CalibrationError(EdgeposeError):
    """Ranges cannot be observed, or a scales file belongs to something else."""


class BuildError(EdgeposeError):
    """A backend could not compile the graph."""


class EngineError(EdgeposeError):
    """An engine folder is damaged, or was made for another machine or version."""


def one_line(error: BaseException, limit: int = 300) -> str:
    """A library's message on one line, to stand inside one of ours; its type's name when it says nothing."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 3] + "..."


def nearest(word: str, choices: Iterable[str]) -> str:
    """The tail of an "unknown X" message: `; did you mean 'Y'?` or the list of choices."""
    known = sorted(choices)
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(known)}" if known else ""
