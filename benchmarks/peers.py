"""Compare what edgepose decodes with what the projects' own code decodes, for networks that are recognized.

    python benchmarks/peers.py [--work FOLDER] [PROJECT ...]
    python benchmarks/peers.py --vectors tests/recognize/vectors

Networks come from the projects' own code with random weights, or are stubs that return random outputs. edgepose imports
each without a spec. Both decode the outputs for the same input, and the largest difference of the joints and boxes is
written to peers.csv; the goal is 0.001 pixels.

The projects are development tools only: they are installed in an environment of their own, as the modules in
`projects/` say, and edgepose never imports them.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import astuple, fields
from pathlib import Path

from projects import vectors
from projects.comparison import LARGEST_PX, Comparison
from projects.registry import PROJECTS, comparing
from records import RESULTS, read_csv, write_csv, write_machine

COLUMNS = [field.name for field in fields(Comparison)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="folder that keeps the exported networks; a temporary one by default")
    parser.add_argument("names", nargs="*", help=f"projects: {', '.join(PROJECTS)}; the other rows are kept")
    parser.add_argument("--vectors", type=Path, help="only write the small vectors of the tests into this folder")
    given = parser.parse_args()
    os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    if given.vectors:
        vectors.write(given.vectors)
        return
    known = read_csv("peers.csv") if (RESULTS / "peers.csv").exists() else []
    rows = {name: [list(line.values()) for line in known if line["project"] == name] for name in PROJECTS}
    apart = []
    with tempfile.TemporaryDirectory() as temporary:
        work = (given.work or Path(temporary)).resolve()
        os.environ["YOLO_CONFIG_DIR"] = str(work)
        for name in given.names or PROJECTS:
            folder = work / name
            folder.mkdir(parents=True, exist_ok=True)
            rows[name] = []
            for found in comparing(name)(folder):
                values = {"largest": f"{found.largest:.1e}"}
                rows[name].append([values.get(key, value) for key, value in zip(COLUMNS, astuple(found), strict=True)])
                print(*rows[name][-1], sep=",", flush=True)
                if found.unit == "px" and found.largest > LARGEST_PX and not found.note:
                    apart.append(f"{found.network}, {found.what}")
                write_csv("peers.csv", COLUMNS, [row for known in PROJECTS for row in rows[known]])
            write_machine("peers")
    if apart:
        sys.exit(f"more than {LARGEST_PX} px apart: {'; '.join(apart)}")


if __name__ == "__main__":
    main()
