"""Measure how float parts and the calibration method change INT8 retention, on LSP val and LSP test.

    python benchmarks/ranges.py --runs runs --data ../shared/data [NAME ...]

The networks are three trained systems (see `systems.py`), with and without the parts in float that were named by hand
before a guard searched for them. These parts were chosen by the results on LSP val; those on LSP test show how they
generalize. Calibration uses 512 photographs of LSP train, and OpenVINO runs the engines, without search and guard.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from records import RESULTS, read_csv, write_csv, write_machine
from systems import SYSTEMS, engines_of, exported

from edgepose.api.evaluate import evaluate
from edgepose.artifacts.quantization import METHODS, QuantizeOptions
from edgepose.training.checkpoint import load_model

FLOAT_PARTS: dict[str, tuple[str, ...]] = {
    "eol-spatial-small": ("/spatial/*",),
    "hourglass-small": ("*/Add*", "/stacks.*/linear/*"),
    "cpn-small": ("/globalnet/Add*", "/refinenet/cascade*/Add", "/refinenet/predict/*"),
}
COLUMNS = ["system", "float_parts", "calibration", "split", "people", "retained", "retained_low", "retained_high"]


def measure(name: str, checkpoint: Path, data: Path) -> list[list[Any]]:
    """Return the rows of `name` for each choice of float parts, calibration method and split."""
    network, spec = load_model(checkpoint)
    rows = []
    for kept in (FLOAT_PARTS[name], ()):
        for method in METHODS:
            choice = replace(spec, quantize=QuantizeOptions(keep_float=kept, method=method))
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "model.onnx"
                exported(name, network, choice, path, data)
                engines = engines_of(path, f"lsp:{data}/lsp:train")
                for split in ("val", "test"):
                    _, int8 = evaluate(engines, data=f"lsp:{data}/lsp:{split}").engines
                    share = int8.retention["pck@0.2"].kept.interval
                    ends = [f"{end:.5f}" for end in (share.value, share.low, share.high)]
                    rows.append([name, "by hand" if kept else "none", method, split, int8.n, *ends])
            print(*rows[-2:], sep="\n", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("systems", nargs="*", help="measure only these systems and keep the other rows")
    given = parser.parse_args()
    there = (RESULTS / "ranges.csv").exists() and given.systems
    kept = [[line[key] for key in COLUMNS] for line in read_csv("ranges.csv")] if there else []
    for name in given.systems or FLOAT_PARTS:
        others = [row for row in kept if row[0] != name]
        kept = others + measure(name, given.runs / name / "best.pt", given.data)
        write_csv("ranges.csv", COLUMNS, sorted(kept, key=lambda row: list(SYSTEMS).index(row[0])))
        write_machine("ranges")


if __name__ == "__main__":
    main()
