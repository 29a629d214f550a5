"""Handle Ctrl-C and SIGTERM between two training steps, so that a checkpoint always holds complete steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class StopRequest:
    """A context manager that records the first Ctrl-C or SIGTERM in `asked`. The second one raises KeyboardInterrupt.

    Outside the main thread, where Python cannot handle signals, `asked` stays False.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():  # None if the handler was not set from Python
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
