"""The projects that edgepose is compared with, in the order of the table. A project is one module and one line."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

from projects.comparison import Comparison

# name -> the module whose `compare(folder)` yields the comparisons
PROJECTS = {
    "transformers": "projects.transformers_networks",  # before those that bring a stand-in for torchvision
    "mmpose": "projects.mmpose_networks",
    "rtmlib": "projects.rtmlib_networks",
    "ultralytics": "projects.ultralytics_networks",
}


def comparing(name: str) -> Callable[[Path], Iterator[Comparison]]:
    """Import the module of a project and return its `compare`.

    Args:
        name: A key of `PROJECTS`.
    """
    compare: Callable[[Path], Iterator[Comparison]] = importlib.import_module(PROJECTS[name]).compare
    return compare
