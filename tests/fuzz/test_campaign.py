"""A short form of the campaign of `make fuzz`: fixed damaged inputs of every kind, in a process of their own."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")
pytest.importorskip("scipy")
pytest.importorskip("h5py")

from fuzz import jobs_of
from fuzzing import pool
from fuzzing.kind import GOOD, Kind, SilentlyWrong
from fuzzing.registry import KINDS

INPUTS = 150


def test_damaged_inputs_are_right_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path / "cache"))
    jobs = ((kind, seed, False) for kind, seed, _ in jobs_of(KINDS, INPUTS))
    outcomes = [outcome for outcome, _ in pool.try_all(KINDS, jobs, tmp_path, workers=1)]
    assert len(outcomes) == INPUTS
    assert {outcome.kind for outcome in outcomes} == {kind.name for kind in KINDS}
    faults = [f"{one.ending}: {one.kind} {one.seed}, {one.mutation}: {one.detail}" for one in outcomes
              if one.ending not in GOOD]  # fmt: skip
    assert faults == []


# A kind of input whose attempts end in every way; the name of the way is the content of its file.
WAYS = {
    "right": "right", "refused": "refused", "two lines": "refused", "error": "traceback", "warning": "traceback",
    "wrong": "silently wrong", "memory": "memory", "exit": "crash", "sleep": "hang",
}  # fmt: skip


def prepare(sound: Path) -> None:
    (sound / "sound.txt").write_text("right")


def mutate(sound: Path, case: Path, random: np.random.Generator) -> str:
    way = list(WAYS)[int((sound / "next.txt").read_text())]
    (case / "way.txt").write_text(way)
    return way


def attempt(sound: Path, case: Path) -> None:
    import warnings

    from edgepose.errors import DataError

    way = (case / "way.txt").read_text()
    if way == "refused":
        raise DataError("no joint; correct it")
    if way == "two lines":
        raise DataError("no\njoint")  # which its message shows as one line
    if way == "error":
        raise KeyError(way)
    if way == "warning":
        warnings.warn(way, stacklevel=1)
    if way == "wrong":
        raise SilentlyWrong(way)
    if way == "memory":
        bytearray(1 << 60)
    if way == "exit":
        os.abort()
    if way == "sleep":
        time.sleep(60)


def words(sound: Path, case: Path) -> list[str]:
    return []


TOY = Kind(name="toy", share=1, prepare=prepare, mutate=mutate, attempt=attempt, words=words)


def test_every_ending_is_told_apart(tmp_path: Path) -> None:
    """All but those that take the process down."""
    sound = tmp_path / "sound"
    sound.mkdir()
    for number, (way, ending) in enumerate(WAYS.items()):
        if ending in ("crash", "hang"):
            continue
        case = tmp_path / str(number)
        case.mkdir()
        (sound / "next.txt").write_text(str(number))
        outcome = pool.try_input(TOY, number, sound, case, command=False)
        assert (outcome.ending, outcome.mutation) == (ending, way), outcome.detail


class Pipe:
    """The parent's end of a pipe to a process that has ended, or that says nothing."""

    def __init__(self, ended: bool) -> None:
        self.ended = ended

    def poll(self) -> bool:
        return self.ended

    def recv(self) -> Any:
        raise EOFError


class Process:
    """A process that can be killed."""

    exitcode = -11
    killed = False

    def kill(self) -> None:
        self.killed = True

    def join(self, timeout: float | None = None) -> None:
        pass


@pytest.mark.parametrize("ending", ["crash", "hang"])
def test_a_worker_that_crashes_or_hangs_costs_one_input(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = []
    monkeypatch.setattr(pool.Worker, "_start", lambda self: starts.append(self))
    worker = pool.Worker((TOY,), tmp_path, tmp_path)
    worker.connection, worker.process = Pipe(ended=ending == "crash"), Process()  # type: ignore[assignment]
    worker.job, worker.began = ("toy", 3, False), time.monotonic() - (2 * pool.LIMIT_S if ending == "hang" else 0)
    (tmp_path / "stderr.txt").write_text("Fatal Python error: Segmentation fault")
    outcome = worker.take()
    assert outcome is not None
    assert (outcome.ending, outcome.kind, outcome.seed) == (ending, "toy", 3)
    assert "Segmentation fault" in outcome.detail
    assert len(starts) == 2
