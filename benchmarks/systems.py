"""Compare all systems, trained with equal budgets, on LSP test: accuracy in FP32 and INT8, retention, cost and latency.

    for NAME in `python benchmarks/systems.py --list`; do
        edgepose train NAME --data lsp:LSP:fit --data lspet:LSPET --val lsp:LSP:val --out runs/NAME
    done
    python benchmarks/systems.py --runs runs --data ../shared/data [NAME ...]
    python benchmarks/systems.py --latency --data ../shared/data
    python benchmarks/systems.py --int8 --runs runs --data ../shared/data [NAME ...]

The script reads runs/NAME/best.pt of each system, skips systems without one, and copies runs/NAME/log.csv to
results/training. Calibration uses 512 photographs of LSP Extended, and the guard the labels of LSP train. OpenPose is
measured by its heatmaps alone, on the same crops as the others. Latency is that of the network alone, for all systems
in one interleaved run, with OpenVINO on one thread and random weights, on which the time does not depend.

--int8 measures what INT8 with plain defaults retains of each system, and which layers it leaves in float: what recipes
say about quantization is left out then. Calibration uses 512 photographs of LSP Extended, and the guard tests on the
labels of LSP train: who trains a network has labels. It has to keep PCK@0.2, because the AP of networks that were
trained for so short a time is a few percent, and changes by chance.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from quantization import Given, built, predictions
from records import RESULTS, read_csv, write_csv, write_machine
from thirdparty import Network
from torch import Tensor, nn

from edgepose.api.benchmark import benchmark
from edgepose.api.build import build
from edgepose.api.evaluate import evaluate
from edgepose.api.request import BuildOptions
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.spec import KEPT_FLOAT_KEY, CropSpec, ModelSpec, embedded_spec, get_metadata
from edgepose.codecs.heatmap import HeatmapCodec
from edgepose.datasets.feeds import CalibrationFeed
from edgepose.datasets.open import open_data
from edgepose.export.onnx import export
from edgepose.graph.lookup import load_onnx
from edgepose.measure.accuracy import evaluate as measured
from edgepose.models.cost import multiply_adds, parameters
from edgepose.training.checkpoint import create_for, load_checkpoint, load_model
from edgepose.training.recipe import read_recipe

# system -> the result in its paper, with the test data and the training data
SYSTEMS: dict[str, str] = {
    "deeppose-small": "PCP 61 on LSP (LSP + LSPET), arms and legs",
    "deeppose-cascade-small": "PCP 61 on LSP (LSP + LSPET), arms and legs",
    "eol-coarse-small": "PCKh 82.0 on MPII (MPII), with refinement",
    "eol-small": "PCKh 82.0 on MPII (MPII)",
    "eol-spatial-small": "curves only, on FLIC and LSP",
    "cpm-small": "PCK 84.3 on LSP (LSP + LSPET)",
    "ief-small": "PCKh 81.3 on MPII (MPII)",
    "hourglass-small": "PCKh 90.9 on MPII (MPII)",
    "simplebaseline-small": "AP 73.7 on COCO test-dev (COCO), R152",
    "openpose-small": "AP 61.8 on COCO test-dev (COCO)",
    "cpn-small": "AP 72.1 on COCO test-dev (COCO)",
    "hrnet-small": "AP 75.5 on COCO test-dev (COCO), W48",
}
METRICS = ("pck@0.2", "pcp@0.5", "pdj@0.2")
COLUMNS = [
    "system", "epochs", "people", "training_seconds", "parameters", "multiply_adds", "height", "width",
    *(f"{metric}{end}" for metric in METRICS for end in ("", "_low", "_high")), "int8_pck@0.2", "retained",
    "retained_low", "retained_high", "detectable", "kept_float", "calibration", "paper",
]  # fmt: skip
LATENCY = ["system", "precision", "p50_ms", "p95_ms"]
INT8 = [
    "system", "epochs", "people", "fp32_pck@0.2", "retained", "retained_low", "retained_high", "detectable",
    "int8_share", "guard", "float_layers", "build_seconds",
]  # fmt: skip


class Maps(nn.Module):
    """The heatmaps of a network that also predicts fields."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.network(images)[0]
        return maps


def exported(name: str, network: nn.Module, spec: ModelSpec, out: Path, data: Path) -> ModelSpec:
    """Write a system as an ONNX that is run on crops of people, and return its contract."""
    if spec.codec.finds_people:
        recipe = read_recipe(name)
        codec = HeatmapCodec(sigma=recipe.sigma, refine=recipe.decode)
        network = Maps(network).eval()
        spec = replace(spec, codec=codec, outputs=spec.outputs[:1], crop=CropSpec(padding=recipe.padding))
    crops = next(iter(CalibrationFeed(open_data(f"lsp:{data}/lsp:val"), spec, limit=8)))[0]
    export(network, spec, out, crops)
    return spec


def engines_of(path: Path, calib: str, limit: int = 512, labels: str | None = None) -> list[Path]:
    """Build FP32 and INT8 engines of an ONNX in its folder. With labels, a guard keeps PCK@0.2."""
    about = {"no_guard": True} if labels is None else {"guard": labels, "keep_metric": ("pck@0.2",)}
    options = BuildOptions(backends=("openvino",), calib=calib, calib_limit=limit, **about)  # type: ignore[arg-type]
    made = build(path, out=path.parent / "engines", options=options, command="python benchmarks/systems.py")
    return list(made.engines)


def measure(name: str, checkpoint: Path, data: Path) -> list[Any]:
    """Return one row of systems.csv."""
    network, spec = load_model(checkpoint)
    spec = replace(spec, quantize=read_recipe(name).spec().quantize)  # some checkpoints have older options
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        contract = exported(name, network, spec, path, data)
        engines = engines_of(path, f"lspet:{data}/lspet", labels=f"lsp:{data}/lsp:train")
        first, second = evaluate(engines, data=f"lsp:{data}/lsp:test").engines
    origin = load_checkpoint(checkpoint).training["origin"]
    intervals = [first.metrics[metric].interval for metric in METRICS]
    values = [end for its in intervals for end in (its.value, its.low, its.high)]
    kept = second.retention["pck@0.2"].kept
    ends = [kept.interval.value, kept.interval.low, kept.interval.high, kept.detectable]
    numbers = [*values, second.metrics["pck@0.2"].interval.value, *ends]
    budget = [sum(origin["recipe"]["epochs"]), sum(origin["people"]), _seconds(checkpoint.parent / "log.csv")]
    cost = [parameters(network), multiply_adds(network, spec.input.size), *spec.input.size]
    shares = [f"{number:.5f}" for number in numbers]
    quantize = contract.quantize
    return [name, *budget, *cost, *shares, " ".join(quantize.keep_float), quantize.method, SYSTEMS[name]]


def plain_int8(name: str, checkpoint: Path, given: argparse.Namespace) -> list[Any]:
    """Return one row of quantization-systems.csv: INT8 with plain defaults."""
    network, spec = load_model(checkpoint)
    spec = replace(spec, quantize=QuantizeOptions())
    folder = given.work / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    torch.manual_seed(0)
    exported(name, network, spec, path, given.data)
    lsp = f"lsp:{given.data}/lsp"
    plain = Given(
        work=given.work,
        calib=f"lspet:{given.data}/lspet",
        labels=f"{lsp}:train",
        keep_metric="pck@0.2",
        test=given.test or f"{lsp}:test",
        validate="",
        threads=1,
    )
    made = {part: built(Network(model=str(path)), part, folder, plain) for part in ("fp32", "int8")}
    people = open_data(plain.test)
    contract = embedded_spec(load_onnx(made["fp32"].graph), name)
    found = [predictions(one, part, contract, people, plain) for part, one in made.items()]
    first, second = measured(found, people).engines
    origin = load_checkpoint(checkpoint).training["origin"]
    value = f"{first.metrics['pck@0.2'].interval.value:.5f}"
    row = [name, sum(origin["recipe"]["epochs"]), first.n, value]
    int8 = made["int8"]
    if int8.graph.stem != "int8":  # the guard refused it, and FP16 is there instead
        return [*row, *[""] * 5, int8.guard, "", f"{int8.seconds:.0f}"]
    kept = second.retention["pck@0.2"].kept
    ends = (kept.interval.value, kept.interval.low, kept.interval.high, kept.detectable)
    share = "" if int8.int8_share is None else f"{int8.int8_share:.4f}"
    reasons = Counter(_kinds(json.loads(get_metadata(load_onnx(int8.graph), KEPT_FLOAT_KEY) or "{}")))
    floats = "; ".join(f"{count} {reason}" for reason, count in reasons.items())
    return [*row, *(f"{end:.5f}" for end in ends), share, int8.guard, floats, f"{int8.seconds:.0f}"]


def _kinds(kept_float: Mapping[str, str]) -> Iterator[str]:
    """Yield the reason of each layer without its numbers."""
    for reason in kept_float.values():
        yield reason.split(":")[0].split(",")[0]


def latency(data: Path, rounds: int) -> list[list[str]]:
    """Return the rows of systems-latency.csv."""
    with tempfile.TemporaryDirectory() as folder:
        engines: list[Path] = []
        for name in SYSTEMS:
            recipe = read_recipe(name)
            (Path(folder) / name).mkdir()
            path = Path(folder) / name / "model.onnx"
            torch.manual_seed(0)
            exported(name, create_for(recipe.model, recipe.spec()).eval(), recipe.spec(), path, data)
            engines += engines_of(path, f"lsp:{data}/lsp:val", 32)
        timed = benchmark(engines, rounds=rounds).engines
    rows = []
    for at, entry in enumerate(timed):
        network = entry.stages["network"]
        times = [f"{value:.3f}" for value in (network.p50_ms, network.p95_ms)]
        rows.append([list(SYSTEMS)[at // 2], entry.precision, *times])
    return rows


def _seconds(log: Path) -> int:
    """Return the duration of the epochs in a log."""
    with log.open(newline="") as file:
        return sum(int(line["seconds"]) for line in csv.DictReader(file))


def _measure_int8(given: argparse.Namespace) -> None:
    """Write quantization-systems.csv; rows of systems that are not named stay."""
    there = (RESULTS / "quantization-systems.csv").exists()
    known = read_csv("quantization-systems.csv") if there else []
    rows = {line["system"]: [line[column] for column in INT8] for line in known}
    for name in [name for name in given.systems or SYSTEMS if (given.runs / name / "best.pt").is_file()]:
        rows[name] = plain_int8(name, given.runs / name / "best.pt", given)
        print(*rows[name], sep=",", flush=True)
        if given.test:
            continue
        write_csv("quantization-systems.csv", INT8, [rows[name] for name in SYSTEMS if name in rows])
        write_machine("quantization-systems")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--latency", action="store_true", help="measure latency instead of accuracy")
    parser.add_argument("--int8", action="store_true", help="measure INT8 with plain defaults only")
    parser.add_argument("--work", type=Path, default=Path("build/quantization"), help="what --int8 builds")
    parser.add_argument("--test", metavar="KIND:PATH:SPLIT", help="for --int8: other people than LSP test; no CSV")
    parser.add_argument("--list", action="store_true", help="print the names of the systems and exit")
    parser.add_argument("systems", nargs="*", help="measure only these systems and keep the other rows")
    given = parser.parse_args()
    if given.list:
        print(" ".join(SYSTEMS))
        return
    if given.latency:
        write_csv("systems-latency.csv", LATENCY, latency(given.data, given.rounds))
        write_machine("systems-latency")
        return
    if given.int8:
        _measure_int8(given)
        return
    there = (RESULTS / "systems.csv").exists() and given.systems
    rows = {line["system"]: [line[key] for key in COLUMNS] for line in read_csv("systems.csv")} if there else {}
    for name in [name for name in given.systems or SYSTEMS if (given.runs / name / "best.pt").is_file()]:
        rows[name] = measure(name, given.runs / name / "best.pt", given.data)
        shutil.copyfile(given.runs / name / "log.csv", RESULTS / "training" / f"{name}.csv")
        write_csv("systems.csv", COLUMNS, [rows[name] for name in SYSTEMS if name in rows])
        write_machine("systems")


if __name__ == "__main__":
    main()
