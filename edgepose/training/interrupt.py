"""Handle Ctrl-C, SIGTERM and SIGHUP between two training steps, so that a checkpoint always holds complete steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from edgepose._stop import SIGNALS, interruption


class StopRequest:
    """A context manager that records the first Ctrl-C, SIGTERM or SIGHUP in `asked`. The second one raises `error`.

    A SIGHUP that is ignored, as `nohup` does, stays so. Outside the main thread, where Python cannot handle signals,
    `asked` stays False.
    """

    def __init__(self) -> None:
        self.asked = False
        self._number = signal.SIGINT
        self._before: dict[signal.Signals, Any] = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._number = signal.Signals(number)
        if self.asked:
            raise self.error()
        self.asked = True

    def error(self) -> KeyboardInterrupt:
        """Return the exception of the signal that came last, or KeyboardInterrupt if none came to this process."""
        return interruption(self._number)

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, *SIGNALS):
                if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                    continue
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():  # None if the handler was not set from Python
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
