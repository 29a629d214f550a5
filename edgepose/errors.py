"""The errors that edgepose raises on purpose.

A message says what is wrong, where it is wrong (file, field, expected and actual value), and what to do next. The
command line prints the message on one line and exits with code 1. A traceback means that edgepose has a bug.

    EdgeposeError
    ├── UsageError         an option or argument is meaningless here (exit code 2)
    ├── MissingPackage     an optional package is not installed; names the extra to install
    ├── DataError          an image, label file, video or camera cannot be used
    ├── SpecError          a contract (ModelSpec) is missing or does not fit its network
    ├── ModelError         a checkpoint or an ONNX file cannot be used
    │   └── ParityError    an exported graph differs from its checkpoint
    ├── CalibrationError   calibration is impossible, or a scales.json is stale
    ├── BuildError         a backend cannot compile the graph
    └── EngineError        an engine folder is damaged, or was made for another machine
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

LONGEST = 1000  # characters of a message; names out of a damaged file can be of any length


class EdgeposeError(Exception):
    """The base class of all errors that edgepose raises on purpose. Its message is one line, without passwords."""

    def __str__(self) -> str:
        """Return the message without passwords, line breaks and control characters, shortened in its middle."""
        text = super().__str__()
        text = text if len(text) <= 4 * LONGEST else f"{text[: 2 * LONGEST]} ... {text[-2 * LONGEST :]}"
        text = redact(" ".join(text.split()))
        shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
        return shown if len(shown) <= LONGEST else f"{shown[: LONGEST * 2 // 3]} ... {shown[-LONGEST // 4 :]}"


class UsageError(EdgeposeError):
    """An option or argument is meaningless here."""


class MissingPackage(EdgeposeError):
    """An optional package is not installed; the message says how to install it."""


class DataError(EdgeposeError):
    """An image, a label file, a video or a camera cannot be used."""


class SpecError(EdgeposeError):
    """A contract (ModelSpec) is missing, has an unknown key, or contradicts its network."""


class ModelError(EdgeposeError):
    """A checkpoint or an ONNX file cannot be used."""


class ParityError(ModelError):
    """An exported graph does not compute the same as its checkpoint."""


class CalibrationError(EdgeposeError):
    """Calibration is impossible, or a scales file belongs to another network."""


class BuildError(EdgeposeError):
    """A backend cannot compile the graph."""


class EngineError(EdgeposeError):
    """An engine folder is damaged, or was made for another machine or another version."""


def one_line(error: BaseException, limit: int = 300) -> str:
    """Shorten the message of an error for use inside another message.

    Args:
        error: The error of a library.
        limit: Largest number of characters.

    Returns:
        The message on one line, or the name of the error's type where the message is empty.
    """
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 3] + "..."


def counted(count: int, what: str) -> str:
    """Return a number of things as text.

    Args:
        count: The number.
        what: The word for one of them, whose plural ends in "s".

    Examples:
        >>> counted(1, "frame")
        '1 frame'
    """
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return the end of a message about an unknown word.

    Args:
        word: The unknown word.
        choices: The known words.

    Returns:
        `; did you mean 'Y'?` where a known word is similar, else the list of known words.
    """
    known = sorted(choices)
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(known)}" if known else ""


HIDDEN = "***"
# A path drops the second slash, which leaves names of data such as images:/home as the other texts of this form.
_SCHEME = (
    r"(?:[a-z][a-z0-9+.-]{0,15}://|(?:https?|ftps?|sftp|srt|rtmps?|rtsps?|rtp|tcp|udp):"
    r"|[a-z][a-z0-9+.-]{0,15}:(?=/[^/:\s'\"]*:[^/\s'\"]*@))/*"
)
# Passwords may hold "/", "?", "#" and "@" that should have been escaped, so everything up to the last "@" is hidden.
_USER = re.compile(rf"({_SCHEME})[^\s'\"]*@", re.IGNORECASE)
# Without a scheme: //me:secret@camera or me:secret@192.168.1.5/stream. A kind of data, json:a@b.json, is no user.
_BARE = re.compile(
    r"(?<![^\s'\"=])(?://)?(?!(?:json|coco|lsp|lspet|mpii|flic|images|synthetic|camera):)[^\s'\"/:@]+:(?!/)[^\s'\"@]*"
    r"@(?=[\w.-]+(?::\d+|/))"
)
_QUERY = re.compile(rf"({_SCHEME}[^\s'\"?#]*[?#])[^\s'\"]+", re.IGNORECASE)
_ADDRESS = re.compile(rf"({_SCHEME}).*@", re.IGNORECASE | re.DOTALL)  # where the whole text is one, spaces count too


def redact(text: str) -> str:
    """Hide what a text tells about access to addresses: user, password, query and fragment.

    Args:
        text: An address, or a message that may hold addresses.

    Returns:
        The text, in which `***` stands for what is hidden.

    Examples:
        >>> redact("cannot open rtsp://me:secret@camera/1?token=abc")
        'cannot open rtsp://***@camera/1?***'
    """
    text = _BARE.sub(f"{HIDDEN}@", text) if "@" in text else text
    if ":/" not in text:
        return text
    if whole := _ADDRESS.match(text):
        text = f"{whole[1]}{HIDDEN}@{text[whole.end() :]}"
    text = _USER.sub(rf"\1{HIDDEN}@", text) if "@" in text else text
    return _QUERY.sub(rf"\1{HIDDEN}", text) if "?" in text or "#" in text else text


def printable(name: str) -> str:
    """Return the name of a file as text that every output takes: control characters and bad UTF-8 are escaped."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
