"""Films of every kind that cameras, phones and recorders write."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from edgepose.media.sources import open_source

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "video"
PAUSE = [*(0.033 * i for i in range(11)), *(2.33 + 0.02 * i for i in range(19))]
# file -> (frames, time of the last one in seconds)
EXPECTED = {
    "plain.mp4": (30, 1.16),
    "interlaced.mp4": (15, 1.12),
    "vfr_pause.mkv": (30, 2.69),
    "vfr_pause.mp4": (30, 2.69),
    "held_frames.avi": (30, 2.69),
    "fps1000.mp4": (30, 0.029),
    "cover_art.mkv": (30, 1.16),
    "av1.mp4": (30, 1.16),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_cases(name, capfd):
    """All show the same person, so that a picture that is black or another one is noticed."""
    if not (CASES / name).is_file():
        pytest.skip(f"no {CASES / name}")
    notes = []
    with open_source(str(CASES / name), note=notes.append) as source:
        frames = list(source)
    count, last = EXPECTED[name]
    assert len(frames) == count and frames[0].time_s == 0
    assert frames[-1].time_s == pytest.approx(last, abs=1e-4)
    assert all(frame.image.shape == (300, 240, 3) and 140 < frame.image.mean() < 155 for frame in frames)
    assert all(a.time_s < b.time_s for a, b in itertools.pairwise(frames))
    assert capfd.readouterr() == ("", "")
    assert [("interlaced" in line) for line in notes] == ([True] if name == "interlaced.mp4" else [False] * len(notes))


@pytest.mark.parametrize("name", ["vfr_pause.mp4", "vfr_pause.mkv"])
def test_a_pause_is_kept(name):
    if not (CASES / name).is_file():
        pytest.skip(f"no {CASES / name}")
    with open_source(str(CASES / name)) as source:
        times = [frame.time_s for frame in source]
    np.testing.assert_allclose(times, PAUSE, atol=1e-3)
