"""Measure published networks that edgepose recognizes without a spec, beside values measured outside of edgepose.

    python benchmarks/families.py --data ../shared/data --models ../shared/models [NAME ...]

Each network is built by `edgepose build NETWORK.onnx --precision fp32` alone, from the file as it was published, and
evaluated on LSP test: on labeled boxes, or on whole images where the network finds people by itself, which is also
evaluated on COCO-mini val. The values of `OUTSIDE` were measured with other programs (see the README of the networks).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from records import RESULTS, read_csv, write_csv, write_machine

from edgepose.api.build import build
from edgepose.api.evaluate import evaluate
from edgepose.api.request import BuildOptions
from edgepose.artifacts.manifest import read_manifest
from edgepose.graph.lookup import load_onnx
from edgepose.recognize.kept import recognition_of

COLUMNS = [
    "network",
    "family",
    "recognized_from",
    "guesses",
    "data",
    "people",
    "metric",
    "value",
    "low",
    "high",
    "outside",
]


@dataclass(frozen=True, kw_only=True)
class Published:
    """A network as it was published.

    Attributes:
        file: The file among the networks; one that ends in .packed.onnx is unpacked first.
        outside: (data, metric) -> the value measured outside, in percent.
    """

    file: str
    outside: dict[tuple[str, str], float]


NETWORKS = {
    "yolo11n-pose": Published(
        file="yolo11n-pose-640.packed.onnx", outside={("lsp", "oks_ap"): 51.17, ("coco-mini", "oks_ap"): 44.56}
    ),
    "movenet-lightning": Published(
        file="movenet-lightning-192.packed.onnx", outside={("lsp", "pck@0.2"): 85.09, ("lsp", "oks_ap"): 77.13}
    ),
    "blazepose-lite": Published(
        file="blazepose-lite.packed.onnx", outside={("lsp", "pck@0.2"): 67.56, ("lsp", "oks_ap"): 52.58}
    ),
    "pp-tinypose": Published(
        file="pp_tinypose_256x192.onnx", outside={("lsp", "pck@0.2"): 89.48, ("lsp", "oks_ap"): 83.37}
    ),
    "pp-tinypose-aligned": Published(
        file="pp_tinypose_256x192_aligned.onnx", outside={("lsp", "pck@0.2"): 90.26, ("lsp", "oks_ap"): 85.40}
    ),
}


def written(name: str, models: Path, folder: Path) -> Path:
    """Write a network alone into a folder, so that no file beside it helps."""
    source, target = models / NETWORKS[name].file, folder / f"{name}.onnx"
    if source.name.endswith(".packed.onnx"):
        subprocess.run([sys.executable, str(models / "pack.py"), "unpack", str(source), str(target)], check=True)
    else:
        shutil.copyfile(source, target)
    return target


def measure(name: str, models: Path, sets: dict[str, str]) -> list[list[str]]:
    """Return the rows of one network."""
    rows = []
    with tempfile.TemporaryDirectory() as work:
        path = written(name, models, Path(work))
        options = BuildOptions(precisions=("fp32",), backends=("openvino",))
        engine = build(path, out=Path(work) / "engines", options=options).engines[0]
        found = recognition_of(load_onnx(Path(work) / "engines" / "fp32.onnx"))
        assert found is not None, "a network without a contract is recognized"
        guesses = " ".join(guess.field for guess in found.guesses)
        alone = read_manifest(engine).spec.codec.finds_people
        for data, where in sets.items():
            if data == "coco-mini" and not alone:
                continue
            entry = evaluate([engine], data=where).engines[0]
            for metric in ("pck@0.2", "pck@0.1", "oks_ap"):
                its = entry.metrics[metric].interval
                outside = NETWORKS[name].outside.get((data, metric))
                numbers = [f"{100 * value:.2f}" for value in (its.value, its.low, its.high)]
                about = [name, found.family, found.source, guesses, data, str(entry.n), metric]
                rows.append([*about, *numbers, "" if outside is None else f"{outside:.2f}"])
                print(*rows[-1], sep=",", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--models", type=Path, default=Path("../shared/models"))
    parser.add_argument("names", nargs="*", help=f"networks: {', '.join(NETWORKS)}; the other rows are kept")
    given = parser.parse_args()
    sets = {"lsp": f"lsp:{given.data}/lsp:test", "coco-mini": f"coco:{given.data}/coco-mini:val2017"}
    there = (RESULTS / "families.csv").exists()
    rows = {line["network"]: [] for line in (read_csv("families.csv") if there else [])}
    for line in read_csv("families.csv") if there else []:
        rows[line["network"]].append([line[column] for column in COLUMNS])
    for name in given.names or NETWORKS:
        rows[name] = measure(name, given.models, sets)
        write_csv("families.csv", COLUMNS, [row for known in NETWORKS for row in rows.get(known, [])])
        write_machine("families")


if __name__ == "__main__":
    main()
