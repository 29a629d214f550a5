"""Measure the memory of a calibration on 500 photographs: the peak resident size of a process that calibrates `lite`.

    python benchmarks/memory.py --data ../shared/data

Each calibration runs in its own process. The peak is what the kernel reports for it (ru_maxrss).
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from pathlib import Path

from records import write_csv, write_machine

from edgepose.api.calibrate import calibrate
from edgepose.zoo import zoo_model

COUNTS = (50, 500)


def observe(lsp: Path, count: int) -> float:
    """Return the peak memory of this process in MiB after calibrating `lite` on `count` people."""
    calibrate(zoo_model("lite"), data=f"lsp:{lsp}:train", limit=count, options={"method": "percentile"})
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--count", type=int, help="calibrate on this many people and print the peak in MiB")
    given = parser.parse_args()
    if given.count:
        print(f"{observe(given.data / 'lsp', given.count):.0f}")
        return
    rows = []
    for count in COUNTS:
        command = [sys.executable, __file__, "--data", str(given.data), "--count", str(count)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append(["lite", count, done.stdout.split()[-1]])
    write_csv("memory.csv", ["model", "photographs", "peak_mib"], rows)
    write_machine("memory")


if __name__ == "__main__":
    main()
