"""Frames to write, and what outputs know of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepose.media.draw import Drawing
from edgepose.media.results import OUTPUTS, open_sink
from edgepose.media.results.sink import ResultSink, RunFacts
from edgepose.media.sources import Frame
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import SKELETONS

Frames = Callable[[int], Frame]
Open = Callable[..., ResultSink]


@pytest.fixture
def frame() -> Frames:
    """Frame number i of a clip with 10 frames per second, 120 x 100 pixels."""
    image = np.zeros((100, 120, 3), np.uint8)
    return lambda i: Frame(index=i, name=f"clip-{i:06d}", image_id=i, time_s=i / 10, image=image)


@pytest.fixture
def about() -> RunFacts:
    return RunFacts(name="clip", skeleton=SKELETONS["lsp14"], fps=10.0, draw=Drawing())


@pytest.fixture
def opened(about: RunFacts, tmp_path: Path) -> Open:
    """Open an output by name; `place` is by default `out` in the folder of the test."""

    def open_by_name(name: str, place: Any = None, **changed: Any) -> ResultSink:
        if OUTPUTS[name].package is not None:
            pytest.importorskip(OUTPUTS[name].package[0])
        suffix = ".mp4" if name == "video" else ""
        return open_sink(name, place or tmp_path / f"out{suffix}", replace(about, **changed))

    return open_by_name


@pytest.fixture
def nobody() -> Poses:
    return Poses.empty(SKELETONS["lsp14"])


@pytest.fixture
def tracked(two_people: Poses) -> Poses:
    """The two people, of whom the first is tracked as number 7."""
    return replace(two_people, track_ids=np.array([7, -1]))
