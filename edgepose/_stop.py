"""Signals that end a command as Ctrl-C does: SIGTERM (kill, systemd, docker stop) and SIGHUP (a closed terminal)."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_held = 0  # how many blocks of `held` the main thread is in
_waiting: int | None = None  # the signal that arrived meanwhile


class Stopped(KeyboardInterrupt):
    """A signal asked the program to stop. It is handled wherever Ctrl-C is.

    Args:
        number: The number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def interruption(number: int) -> KeyboardInterrupt:
    """Return the exception of a signal: KeyboardInterrupt for Ctrl-C, `Stopped` for the others."""
    return KeyboardInterrupt() if number == signal.SIGINT else Stopped(number)


def exit_code(error: BaseException) -> int:
    """Return the exit code of an interrupted program: 128 and the number of the signal, 130 for Ctrl-C."""
    return 128 + (error.number if isinstance(error, Stopped) else int(signal.SIGINT))


@contextlib.contextmanager
def stop_signals() -> Iterator[None]:
    """Raise `Stopped` in the main thread when SIGTERM or SIGHUP arrives, and KeyboardInterrupt at Ctrl-C.

    A signal that is ignored stays so: `nohup` ignores SIGHUP. Outside the main thread, where Python cannot handle
    signals, nothing changes.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, *SIGNALS):
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                before[number] = signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let a signal of `stop_signals` wait until the end of a short block that must not be left half done."""
    global _held, _waiting
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _held += 1
    try:
        yield
    finally:
        _held -= 1
        if not _held and _waiting is not None:
            number, _waiting = _waiting, None
            raise interruption(number)


def _stop(number: int, frame: FrameType | None) -> None:
    global _waiting
    if _held:
        _waiting = number
    else:
        raise interruption(number)
