"""Signals that end a command as Ctrl-C does: SIGTERM (kill, systemd, docker stop) and SIGHUP (a closed terminal)."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_held = 0  # how many blocks of `held` the main thread is in
_waiting: int | None = None  # the signal that arrived meanwhile
_raised: int | None = None  # the last signal that became an exception, which a library may have changed
_process = 0  # the process that `stop_signals` is for
_late: int = signal.SIGINT  # the signal that arrived during an import
_AGAIN_S = 0.02  # how often a signal that arrived during an import looks whether the import has ended


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


def last_signal() -> KeyboardInterrupt | None:
    """Return the exception of the last signal since `stop_signals` began, or None; a library may have changed it."""
    return None if _raised is None else interruption(_raised)


def exit_code(error: BaseException) -> int:
    """Return the exit code of an interrupted program: 128 and the number of the signal, 130 for Ctrl-C."""
    return 128 + (error.number if isinstance(error, Stopped) else int(signal.SIGINT))


@contextlib.contextmanager
def stop_signals() -> Iterator[None]:
    """Raise `Stopped` in the main thread when SIGTERM or SIGHUP arrives, and KeyboardInterrupt at Ctrl-C.

    A signal that is ignored stays so: `nohup` ignores SIGHUP. Outside the main thread, where Python cannot handle
    signals, nothing changes. A signal that arrives during an import is raised after it: within it, callbacks and
    packages swallow the exception, and the command would go on. A process that a library forks ends as usual.
    """
    global _process, _raised
    _process, _raised, before = os.getpid(), None, {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, *SIGNALS):
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                before[number] = signal.signal(number, _stop)
        if before and signal.getsignal(signal.SIGALRM) == signal.SIG_DFL:
            before[signal.SIGALRM] = signal.signal(signal.SIGALRM, _stop_late)
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


def end_at_once(code: int) -> None:
    """Let every further signal end the process with this exit code: the work is over, and Python only shuts down."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, *SIGNALS):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, lambda number, frame: os._exit(code))


def _stop(number: int, frame: FrameType | None) -> None:
    global _waiting, _late, _raised
    if os.getpid() != _process:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    elif _held:
        _waiting = number
    elif _imports(frame) and signal.getsignal(signal.SIGALRM) is _stop_late:
        _late = number
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
    else:
        signal.setitimer(signal.ITIMER_REAL, 0)
        _raised = number
        raise interruption(number)


def _stop_late(number: int, frame: FrameType | None) -> None:
    _stop(_late, frame)


def _imports(frame: FrameType | None) -> bool:
    """Whether the main thread is within an import."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
