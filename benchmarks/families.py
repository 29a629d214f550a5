"""Measure published networks that edgepose recognizes without a spec, beside values measured outside of edgepose.

    python benchmarks/families.py --data ../shared/data --models ../shared/models [--int8 WORK] [NAME ...]

Each network is built by `edgepose build NETWORK.onnx --precision fp32` alone, from the file as it was published, and
evaluated on LSP test: on labeled boxes, or on whole images where the network finds people by itself, which is also
evaluated on COCO-mini val. The values of `outside` were measured with other programs (see the README of the networks).
Labels of LSP are joints alone: the boxes that a detector is measured with there are those around the joints, which are
tighter than the boxes of people.

With `--int8 WORK`, the networks that find people by themselves are built in INT8 too, with `--precision fp32,int8
--calib images:PHOTOGRAPHS` and the default options, into WORK/NAME, where a build of an earlier run is used again. The
201 photographs are every sixth one of LSP train and those of COCO-mini train; none of their labels is read.
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
from edgepose.artifacts.certificate import NAME as CERTIFICATE
from edgepose.artifacts.certificate import Certificate, read_certificate
from edgepose.artifacts.manifest import read_manifest
from edgepose.backends.cpu import cpu_name
from edgepose.graph.lookup import load_onnx
from edgepose.metrics.retention import Interval
from edgepose.recognize.kept import recognition_of

COLUMNS = [
    "network",
    "family",
    "recognized_from",
    "guesses",
    "data",
    "people",
    "precision",
    "metric",
    "value",
    "low",
    "high",
    "outside",
    "kept",
    "kept_low",
    "kept_high",
    "guard",
    "float_layers",
    "cpu",
]
METRICS = ("pck@0.2", "pck@0.1", "oks_ap", "box_ap", "box_ap50", "box_ar50")


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
    "rtmdet-nano": Published(file="rtmdet_nano.onnx", outside={}),
    "yolox-nano": Published(file="yolox_nano.onnx", outside={}),
}


def written(name: str, models: Path, folder: Path) -> Path:
    """Write a network alone into a folder, so that no file beside it helps."""
    source, target = models / NETWORKS[name].file, folder / f"{name}.onnx"
    if source.name.endswith(".packed.onnx"):
        subprocess.run([sys.executable, str(models / "pack.py"), "unpack", str(source), str(target)], check=True)
    else:
        shutil.copyfile(source, target)
    return target


def photographs(data: Path, folder: Path) -> Path:
    """Copy the calibration photographs into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [data / "lsp" / "images" / f"im{number:04d}.jpg" for number in range(1, 1001, 6)]
    for file in (*chosen, *sorted((data / "coco-mini" / "train2017").glob("*.jpg"))):
        shutil.copyfile(file, folder / file.name)
    return folder


def measure(name: str, given: argparse.Namespace, sets: dict[str, str]) -> list[list[str]]:
    """Return the rows of one network."""
    with tempfile.TemporaryDirectory() as work:
        out, certificate = Path(work) / "engines", None
        kept = None if given.int8 is None else given.int8 / name
        if kept is None or not (kept / "openvino-int8").is_dir():
            path = written(name, given.models, Path(work))
            options = BuildOptions(precisions=("fp32",), backends=("openvino",))
            engines = list(build(path, out=out, options=options).engines)
            if kept is not None and read_manifest(engines[0]).spec.codec.finds_people:
                calib = f"images:{photographs(given.data, Path(work) / 'photographs')}"
                options = BuildOptions(precisions=("fp32", "int8"), backends=("openvino",), calib=calib)
                build(path, out=kept, options=options, overwrite=True)
        if kept is not None and (kept / "openvino-int8").is_dir():
            out, certificate = kept, read_certificate(kept / CERTIFICATE)
            engines = [out / "openvino-fp32", out / "openvino-int8"]
        return [row for data, where in sets.items() for row in rows_of(name, out, engines, data, where, certificate)]


def rows_of(
    name: str, out: Path, engines: list[Path], data: str, where: str, certificate: Certificate | None
) -> list[list[str]]:
    """Return the rows of one network on one data set."""
    found = recognition_of(load_onnx(out / "fp32.onnx"))
    assert found is not None, "a network without a contract is recognized"
    guesses = " ".join(guess.field for guess in found.guesses)
    if data == "coco-mini" and not read_manifest(engines[0]).spec.codec.finds_people:
        return []
    rows = []
    for entry in evaluate(engines, data=where).engines:
        answer = ["", ""]
        if certificate is not None and entry.precision == "int8":
            layers = certificate.candidates[certificate.chosen or 0].float_layers
            answer = [certificate.answer, str(layers)]
        for metric in METRICS:
            if metric not in entry.metrics:
                continue
            its, kept = entry.metrics[metric].interval, entry.retention.get(metric)
            outside = NETWORKS[name].outside.get((data, metric)) if entry.precision == "fp32" else None
            about = [name, found.family, found.source, guesses, data, str(entry.n), entry.precision, metric]
            retained = [""] * 3 if kept is None else _percent(kept.kept.interval)
            rows.append(
                [*about, *_percent(its), "" if outside is None else f"{outside:.2f}", *retained, *answer, cpu_name()]
            )
            print(*rows[-1], sep=",", flush=True)
    return rows


def _percent(its: Interval) -> list[str]:
    return [f"{100 * value:.2f}" for value in (its.value, its.low, its.high)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--models", type=Path, default=Path("../shared/models"))
    parser.add_argument("--int8", type=Path, metavar="WORK", help="the folder of INT8 builds")
    parser.add_argument("names", nargs="*", help=f"networks: {', '.join(NETWORKS)}; the other rows are kept")
    given = parser.parse_args()
    sets = {"lsp": f"lsp:{given.data}/lsp:test", "coco-mini": f"coco:{given.data}/coco-mini:val2017"}
    there = (RESULTS / "families.csv").exists()
    rows = {line["network"]: [] for line in (read_csv("families.csv") if there else [])}
    for line in read_csv("families.csv") if there else []:
        rows[line["network"]].append([line[column] for column in COLUMNS])
    for name in given.names or NETWORKS:
        rows[name] = measure(name, given, sets)
        write_csv("families.csv", COLUMNS, [row for known in NETWORKS for row in rows.get(known, [])])
        write_machine("families")


if __name__ == "__main__":
    main()
