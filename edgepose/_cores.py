"""The cores that this process may use, and work that is spread over them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


@lru_cache(maxsize=1)
def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def side_by_side(work: Callable[[Given], Made], items: Iterable[Given]) -> list[Made]:
    """Call a function for each item, on one thread for each core, and return what it returns in the order of the items.

    Runs of a network with one thread each are faster than one run after another with several: the threads of one run
    wait for each other after every layer.

    Args:
        work: The function, which releases the interpreter lock where it computes, and may run on several threads.
        items: The items.
    """
    with ThreadPoolExecutor(max_workers=cores()) as pool:
        return list(pool.map(work, items))
