"""Damage files of every kind and count how edgepose takes them.

    python benchmarks/fuzz.py [--inputs 10000] [--kills 100] [--workers 2] [--only KIND] [--seed N]

Each input is right (the verb succeeds and its result is checked) or refused (an error of one line). Everything else is
a fault: a traceback or a warning of Python, a crash of the process, a hang, too much memory, or a result that is wrong
without a message. Faults are kept in build/fuzz/failures, one folder each. `--only KIND --seed N` repeats one input.

Then build, calibrate, train and run are killed (SIGKILL) at random moments, and they write to full disks, to read-only
folders, and two at a time to one folder. Disks need the right to mount; without it they are left out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests"), str(ROOT)]
os.environ.setdefault("OMP_NUM_THREADS", "1")

from fuzzing.kills import COMMANDS, Command, kill_often, prepare  # noqa: E402
from fuzzing.kind import GOOD, OUTCOMES, Kind  # noqa: E402
from fuzzing.places import PLACES  # noqa: E402
from fuzzing.pool import Outcome, try_all  # noqa: E402
from fuzzing.registry import KINDS  # noqa: E402
from records import write_csv, write_machine  # noqa: E402

FAILURES = ROOT / "build" / "fuzz" / "failures"
KILLED = ["command", "kills", "ended_before", "unreadable", "next_call_failed", "left_behind"]
WRITTEN = ["place", "command", "tries", "done", "refused", "faults"]
ONE_IN = 100  # one input of so many is tried with the real command line too


def jobs_of(kinds: tuple[Kind, ...], inputs: int) -> Iterator[tuple[str, int, bool]]:
    """Yield `inputs` jobs, the kinds mixed by their shares."""
    given: Counter[str] = Counter()
    for _ in range(inputs):
        kind = min(kinds, key=lambda one: (given[one.name] + 0.5) / one.share)
        yield kind.name, given[kind.name], given[kind.name] % ONE_IN == ONE_IN // 2
        given[kind.name] += 1


def keep(outcome: Outcome, case: Path) -> None:
    """Keep the input of a fault."""
    folder = FAILURES / f"{outcome.ending}-{outcome.kind}-{outcome.seed}".replace(" ", "_")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(case, folder, symlinks=True)
    (folder / "outcome.txt").write_text(f"{outcome.mutation}\n{outcome.detail}\n")


def campaign(kinds: tuple[Kind, ...], jobs: Iterator[tuple[str, int, bool]], workers: int) -> list[Outcome]:
    """Try all inputs, keep those of faults, and return how each ended."""
    outcomes = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="edgepose-fuzz-") as root:
        os.environ["EDGEPOSE_CACHE"] = str(Path(root) / "cache")
        for outcome, case in try_all(kinds, jobs, Path(root), workers):
            outcomes.append(outcome)
            if outcome.ending not in GOOD:
                keep(outcome, case)
                last = outcome.detail.strip().splitlines()[-1:] or [""]
                print(
                    f"{outcome.ending}: {outcome.kind} {outcome.seed} ({outcome.mutation}): {last[0][:200]}", flush=True
                )
            if len(outcomes) % 500 == 0:
                print(f"{len(outcomes)} inputs in {time.monotonic() - began:.0f} s", flush=True)
    return outcomes


def rows_of(outcomes: list[Outcome]) -> list[list[object]]:
    """Return a row for each kind: the counts of each outcome."""
    rows: list[list[object]] = []
    for kind in dict.fromkeys(outcome.kind for outcome in outcomes):
        mine = [outcome for outcome in outcomes if outcome.kind == kind]
        counts = Counter(outcome.ending for outcome in mine)
        commands = sum(outcome.command for outcome in mine)
        rows.append([kind, len(mine), *(counts[ending] for ending in OUTCOMES), commands])
    return sorted(rows, key=lambda row: str(row[0]))


def kill_all(root: Path, kills: int, workers: int) -> list[list[object]]:
    """Kill every command; return a row for each: kills, ends before the kill, outputs unreadable, retries failed."""
    whole = sum(command.kills for command in COMMANDS)

    def kill(command: Command) -> list[object]:
        found = kill_often(command, root / "sound", root, max(1, command.kills * kills // whole))
        for one in found:
            if one.faults:
                print(f"killed {one.command} after {one.after_s:.2f} s: {one.faults}", flush=True)
        faults = [(one.ended, one.unreadable, one.retry, one.left) for one in found]
        return [command.name, len(found), *(sum(map(bool, values)) for values in zip(*faults, strict=True))]

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(kill, COMMANDS))


def write_everywhere(root: Path, workers: int) -> list[list[object]]:
    """Write to every difficult place; return a row for each place and command: tries, successes, refusals, faults."""
    with ThreadPoolExecutor(workers) as pool:
        found = [one for ended in pool.map(lambda place: list(place(root / "sound", root)), PLACES) for one in ended]
    rows: list[list[object]] = []
    for place, command in dict.fromkeys((one.place, one.command) for one in found):
        mine = [one for one in found if (one.place, one.command) == (place, command)]
        done, faults = sum(one.done for one in mine), [one.fault for one in mine if one.fault]
        for fault in faults:
            print(f"{place}, {command}: {fault}", flush=True)
        rows.append([place, command, len(mine), done, len(mine) - done, len(faults)])
    return rows


def report(name: str, columns: list[str], rows: list[list[object]], write: bool) -> None:
    """Print rows and write them to benchmarks/results."""
    for row in [columns, *rows]:
        print(*row, sep=",", flush=True)
    if write:
        write_csv(name, columns, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", choices=[kind.name for kind in KINDS], help="try this kind alone; write no results")
    parser.add_argument("--seed", type=int, help="with --only: try this input alone")
    given = parser.parse_args()
    kinds = tuple(kind for kind in KINDS if given.only in (None, kind.name))
    jobs = jobs_of(kinds, given.inputs) if given.seed is None else iter([(given.only, given.seed, False)])
    outcomes = campaign(kinds, jobs, given.workers)
    endings = [ending.replace(" ", "_") for ending in OUTCOMES]
    write = given.only is None and given.kills > 0
    report("fuzz.csv", ["kind", "inputs", *endings, "command_lines"], rows_of(outcomes), write)
    if not write or not given.kills:
        return
    with tempfile.TemporaryDirectory(prefix="edgepose-kills-") as root:
        os.environ["EDGEPOSE_CACHE"] = str(Path(root) / "cache")
        prepare(Path(root) / "sound")
        report("fuzz-kills.csv", KILLED, kill_all(Path(root), given.kills, given.workers), write)
        report("fuzz-places.csv", WRITTEN, write_everywhere(Path(root), given.workers), write)
    write_machine("fuzz")


if __name__ == "__main__":
    main()
