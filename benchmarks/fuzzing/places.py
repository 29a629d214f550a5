"""Places that cannot be written, or not enough, or by two at once: a full disk, a read-only folder, a shared folder."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fuzzing.kills import COMMANDS, LIMIT_S, Command, edgepose

SIZES_KIB = (4, 16, 64, 128, 256, 1024, 4096)  # of the full disk


@dataclass(frozen=True, kw_only=True)
class Written:
    """How a command ended in such a place.

    Attributes:
        place: The place.
        command: The verb.
        done: Whether it succeeded.
        fault: What is wrong; empty where it succeeded or failed with one line, and all outputs can be read.
    """

    place: str
    command: str
    done: bool
    fault: str


@contextlib.contextmanager
def mounted(folder: Path, *options: str) -> Iterator[str]:
    """Mount something on a new folder for the block; yield why that is impossible, or an empty text."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    try:
        yield done.stderr.strip() if done.returncode else ""
    finally:
        if not done.returncode:
            subprocess.run(["umount", "--lazy", str(folder)], check=False)


def _ended(place: str, command: Command, out: Path, process: subprocess.Popen[str]) -> Written:
    fault = ""
    try:
        _, said = process.communicate(timeout=LIMIT_S)
        if "Traceback" in said or process.returncode not in (0, 1, 2):
            fault = f"exit code {process.returncode}: {said.strip()[-400:]}"
        elif process.returncode and not said.strip().splitlines()[-1].startswith(("edgepose: ", "Error: ")):
            fault = f"exit code {process.returncode} without a line that says why: {said.strip()[-400:]}"
        command.check(out)
        hidden = [path.name for path in out.rglob(".*")] if out.is_dir() else []
        fault = fault or (f"left {hidden[0]} behind" if hidden else "")
    except subprocess.TimeoutExpired:
        process.kill()
        fault = "hangs"
    except Exception as error:  # whatever the reader says counts
        fault += f" unreadable: {error!r}"[:300]
    return Written(place=place, command=command.name, done=process.returncode == 0, fault=fault)


def full_disk(sound: Path, work: Path) -> Iterator[Written]:
    """Run every command on small disks."""
    for size in SIZES_KIB:
        for command in COMMANDS:
            folder = work / f"disk{size}-{command.name}"
            with mounted(folder, "-t", "tmpfs", "-o", f"size={size}k", "tmpfs") as problem:
                if problem:
                    return
                out = folder / "out"
                yield _ended("full disk", command, out, edgepose(command.words(sound, out)))


def read_only(sound: Path, work: Path) -> Iterator[Written]:
    """Run every command in a folder that cannot be written."""
    for command in COMMANDS:
        folder = work / f"read-only-{command.name}"
        with mounted(folder, "-t", "tmpfs", "-o", "size=16m,ro", "tmpfs") as problem:
            if problem:
                return
            out = folder / "out"
            yield _ended("read-only folder", command, out, edgepose(command.words(sound, out)))


def at_once(sound: Path, work: Path) -> Iterator[Written]:
    """Run every command twice at the same time with the same folder, new and overwritten."""
    for number in range(4):
        for command in COMMANDS:
            out = work / f"shared-{number % 2}-{command.name}"
            more = command.again(out) if number > 1 else []
            both = [edgepose(command.words(sound, out) + more) for _ in range(2)]
            for process in both:
                process.wait(LIMIT_S)
            for process in both:
                yield _ended("two at once", command, out, process)


PLACES = (full_disk, read_only, at_once)
