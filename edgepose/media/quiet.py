"""Silence OpenCV, whose warnings would stand beside the one line of our errors."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import cv2

_LOCK = threading.Lock()
_depth = 0
_level = 0


@contextmanager
def opencv_quiet() -> Iterator[None]:
    """Silence OpenCV's own warnings about files that it cannot open, which our errors report once.

    The level is one number of the process: the last of several threads in such a block restores it.
    """
    global _depth, _level
    with _LOCK:
        if _depth == 0:
            _level = cv2.utils.logging.getLogLevel()
            cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        _depth += 1
    try:
        yield
    finally:
        with _LOCK:
            _depth -= 1
            if _depth == 0:
                cv2.utils.logging.setLogLevel(_level)
