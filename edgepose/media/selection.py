"""Which frames of a film are taken: from where, to where, every how many, and what happens at damaged ones."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from edgepose.errors import UsageError

_CLOCK = re.compile(r"^(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)$")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which frames of a film a source gives.

    Attributes:
        start_s: The time of the first frame that is taken, in seconds after the first frame of the film.
        end_s: The time at which the selection ends, in the same seconds; frames from this time on are left out. None
            takes the frames up to the end.
        every: Take one frame of so many. The first frame that is taken is the first one of the selection.
        skip_errors: Whether to leave out damaged frames and go on after them. Otherwise the first of them raises
            DataError.
    """

    start_s: float = 0.0
    end_s: float | None = None
    every: int = 1
    skip_errors: bool = False

    def __post_init__(self) -> None:
        """Refuse a selection that holds no frame.

        Raises:
            UsageError: A time is negative or no number, the end is not after the start, or `every` is below 1.
        """
        for name, value in (("start", self.start_s), ("end", self.end_s)):
            if value is not None and (not math.isfinite(value) or value < 0):
                raise UsageError(f"--{name} {value:g}: expected a time in seconds from 0 on")
        if self.end_s is not None and self.end_s <= self.start_s:
            raise UsageError(f"--end {self.end_s:g} is not after --start {self.start_s:g}; nothing would be read")
        if self.every < 1:
            raise UsageError(f"--every {self.every}: expected 1 (every frame) or more")

    @property
    def everything(self) -> bool:
        """Whether all frames are taken."""
        return self.start_s == 0 and self.end_s is None and self.every == 1


ALL = Selection()


def seconds_of(text: str) -> float:
    """Return the time that a text gives, in seconds.

    Args:
        text: Seconds ("83.5"), MM:SS ("1:23.5") or HH:MM:SS ("0:01:23.5").

    Raises:
        UsageError: The text has another form.

    Examples:
        >>> seconds_of("1:23.5")
        83.5
    """
    found = _CLOCK.match(text.strip())
    hours, minutes, seconds = (None if found is None else found[i] for i in (1, 2, 3))
    below = (hours is None or int(minutes or 0) < 60) and (minutes is None or float(seconds or 0) < 60)
    if seconds is None or not below:
        raise UsageError(f"{text!r} is no time; write seconds (83.5) or HH:MM:SS (0:01:23.5)")
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + float(seconds)
