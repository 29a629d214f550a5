"""Worker processes that try damaged inputs: one that crashes, hangs or takes too much memory costs one input."""

from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np

from fuzzing.damage import UNDAMAGED
from fuzzing.kind import GOOD, LONGEST_MESSAGE, Kind, SilentlyWrong

LIMIT_S = 60.0  # for one input
MEMORY = 6 << 30  # bytes of address space that an input may take beyond what the process had before


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How the attempt on one input ended.

    Attributes:
        kind: The kind of input.
        seed: The number of the input; with the kind it decides the input.
        mutation: The names of the mutations.
        ending: One of `kind.OUTCOMES`.
        detail: The error, for a person.
        seconds: How long it took.
        command: Whether the real command line was tried as well.
    """

    kind: str
    seed: int
    mutation: str
    ending: str
    detail: str = ""
    seconds: float = 0.0
    command: bool = False


def try_input(kind: Kind, seed: int, sound: Path, case: Path, command: bool) -> Outcome:
    """Make one damaged input in the empty folder `case` and try it in this process.

    Args:
        kind: The kind of input.
        seed: The number of the input.
        sound: The folder of the sound inputs.
        case: The folder that receives the damaged input.
        command: Whether to try the real command line too.
    """
    mutation = kind.mutate(sound, case, np.random.default_rng([seed, *kind.name.encode()]))
    (case / "mutation.txt").write_text(mutation)
    began = time.perf_counter()
    ending, detail = _attempt(kind, sound, case)
    if ending == "refused" and mutation.endswith(UNDAMAGED):
        ending, detail = "silently wrong", f"a sound input is refused: {detail}"
    if command and ending in GOOD:
        ending, detail = _command(kind.words(sound, case), ending, detail)
    seconds = time.perf_counter() - began
    return Outcome(
        kind=kind.name, seed=seed, mutation=mutation, ending=ending, detail=detail, seconds=seconds, command=command
    )


def _attempt(kind: Kind, sound: Path, case: Path) -> tuple[str, str]:
    from edgepose.errors import EdgeposeError

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ending, detail = "right", ""
        try:
            kind.attempt(sound, case)
        except EdgeposeError as error:
            ending, detail = _refusal(str(error))
        except SilentlyWrong as error:
            ending, detail = "silently wrong", str(error)
        except MemoryError:
            ending, detail = "memory", traceback.format_exc()
        except Exception:  # any other exception is a traceback for the user, which is what the campaign counts
            ending, detail = "traceback", traceback.format_exc()
    if ending in GOOD and caught:
        line = warnings.formatwarning(caught[0].message, caught[0].category, caught[0].filename, caught[0].lineno)
        return "traceback", f"a warning of Python: {line}"
    if ending in GOOD and (left := [path for path in case.rglob(".*") if path.parent.name == "out"]):
        return "silently wrong", f"left {left[0].name} behind after: {ending} {detail}"
    return ending, detail


def _refusal(text: str) -> tuple[str, str]:
    if not text.strip() or "\n" in text or len(text) > LONGEST_MESSAGE:
        return "traceback", f"the message of the error is not one line of at most {LONGEST_MESSAGE} characters: {text}"
    return "refused", text


def _command(words: list[str], ending: str, detail: str) -> tuple[str, str]:
    """Run the command line; a traceback, a crash or a hang there counts in place of `ending`."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "edgepose", *words], capture_output=True, text=True, timeout=LIMIT_S, check=False,
            errors="replace", stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "hang", f"edgepose {' '.join(words)}"
    if done.returncode < 0:
        return "crash", f"signal {-done.returncode}: edgepose {' '.join(words)}"
    failed = [line for line in done.stderr.splitlines() if line.startswith("edgepose: ")]
    if "Traceback" in done.stderr or done.returncode not in (0, 1, 2) or (done.returncode == 1 and not failed):
        return "traceback", f"exit code {done.returncode}: edgepose {' '.join(words)}\n{done.stderr[-3000:]}"
    return ending, detail


def _work(connection: Connection, kinds: tuple[Kind, ...], sound: Path, work: Path) -> None:
    """Try the inputs that the parent names, until it hangs up."""
    errors = (work / "stderr.txt").open("w")
    os.dup2(errors.fileno(), 2)  # libraries written in C++ complain there
    faulthandler.enable(errors)
    _limit_memory()
    by_name = {kind.name: kind for kind in kinds}
    case = work / "case"
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            name, seed, command = connection.recv()
            shutil.rmtree(case, ignore_errors=True)
            case.mkdir()
            connection.send(try_input(by_name[name], seed, sound / name, case, command))


def _limit_memory() -> None:
    import cv2  # noqa: F401  (large libraries are there before memory is limited)
    import onnx  # noqa: F401
    import onnxruntime  # noqa: F401
    import openvino  # noqa: F401

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Worker:
    """A process that tries one input at a time."""

    def __init__(self, kinds: tuple[Kind, ...], sound: Path, work: Path) -> None:
        self.kinds, self.sound, self.work = kinds, sound, work
        work.mkdir(parents=True, exist_ok=True)
        self.job: tuple[str, int, bool] | None = None
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        arguments = (theirs, self.kinds, self.sound, self.work)
        self.process: Any = context.Process(target=_work, args=arguments, daemon=False)
        self.process.start()
        theirs.close()

    def give(self, job: tuple[str, int, bool]) -> None:
        """Hand an input to the process."""
        self.job, self.began = job, time.monotonic()
        self.connection.send(job)

    def take(self) -> Outcome | None:
        """Return how the input ended, or None while the process is busy with it."""
        assert self.job is not None
        try:
            if self.connection.poll():
                found: Outcome = self.connection.recv()
                return found
        except (EOFError, ConnectionError):
            return self._ended("crash")
        return self._ended("hang") if time.monotonic() - self.began > LIMIT_S * (3 if self.job[2] else 1) else None

    def _ended(self, ending: str) -> Outcome:
        assert self.job is not None
        self.process.kill() if ending == "hang" else None
        self.process.join()
        detail = f"exit code {self.process.exitcode}: {(self.work / 'stderr.txt').read_text(errors='replace')[-2000:]}"
        mutation = self.work / "case" / "mutation.txt"
        self._start()
        return Outcome(
            kind=self.job[0], seed=self.job[1], mutation=mutation.read_text() if mutation.exists() else "",
            ending=ending, detail=detail, seconds=time.monotonic() - self.began, command=self.job[2],
        )  # fmt: skip

    def close(self) -> None:
        """End the process."""
        self.connection.close()
        self.process.join(5)
        self.process.kill()


def try_all(
    kinds: tuple[Kind, ...], jobs: Iterator[tuple[str, int, bool]], root: Path, workers: int
) -> Iterator[tuple[Outcome, Path]]:
    """Yield how each input ended, and the folder where it still is until the next outcome is asked for.

    Args:
        kinds: The kinds of input.
        jobs: Name of the kind, number of the input, and whether to try the command line too.
        root: The folder of the campaign; the sound inputs are in `root/sound`.
        workers: Number of processes.
    """
    for kind in kinds:
        folder = root / "sound" / kind.name
        if not folder.is_dir():
            folder.mkdir(parents=True)
            kind.prepare(folder)
    team = [Worker(kinds, root / "sound", root / f"worker{i}") for i in range(workers)]
    try:
        busy = [worker for worker in team if _next(worker, jobs)]
        while busy:
            wait([worker.connection for worker in busy], timeout=1.0)
            for worker in list(busy):
                outcome = worker.take()
                if outcome is not None:
                    yield outcome, worker.work / "case"
                    if not _next(worker, jobs):
                        busy.remove(worker)
    finally:
        for worker in team:
            worker.close()


def _next(worker: Worker, jobs: Iterator[tuple[str, int, bool]]) -> bool:
    job = next(jobs, None)
    if job is not None:
        worker.give(job)
    return job is not None
