"""Check that each network can memorize 64 photographs of LSP: training PCK@0.2, and that of its INT8 graph.

    python benchmarks/overfit.py --data ../shared/data [MODEL ...]

Each network (the small variant of each system) is trained once, without augmentation, at 64x64 if it accepts that size.
`overfit.csv` has a row per validated epoch. `tests/models/test_overfit.py` runs the same training and requires 0.95.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import torch
from records import RESULTS, read_csv, write_csv, write_machine
from torch import Tensor, nn

from edgepose.backends.onnxruntime import OnnxRuntimeSession, make_runner
from edgepose.backends.session import OpenOptions
from edgepose.datasets.feeds import CalibrationFeed
from edgepose.datasets.lsp import load_lsp
from edgepose.datasets.samples import SampleList
from edgepose.export.onnx import export
from edgepose.quantize import calibrate, quantize
from edgepose.training.checkpoint import load_model
from edgepose.training.log import read_rows
from edgepose.training.loop import TrainOptions, train
from edgepose.training.objectives import objective_of
from edgepose.training.recipe import Recipe, read_recipe
from edgepose.training.validate import validate

COUNT = 64
LARGER = {"sizes": ((96, 96),), "epochs": (80,)}  # for networks with heatmaps at stride 8
# network -> changes of its recipe in addition to `COMMON`
OVERFIT: Mapping[str, dict[str, Any]] = {
    "simplebaseline-lite": {"imagenet": False, "freeze": 0, "sizes": ((96, 96),), "epochs": (120,)},
    "cpm-small": LARGER,
    "hourglass-small": {"epochs": (150,)},
    "hrnet-small": {"epochs": (150,)},
    "cpn-small": {},
    "openpose-small": LARGER,
    "deeppose-small": {"sizes": ((128, 96),), "epochs": (150,)},
    "deeppose-cascade-small": {"sizes": ((256, 192),), "epochs": (150,)},
    "ief-small": {"epochs": (100,)},
    "eol-small": LARGER,
    "eol-coarse-small": LARGER,
    "eol-spatial-small": LARGER,
}
COMMON: dict[str, Any] = {
    "skeleton": "lsp14", "sizes": ((64, 64),), "epochs": (60,), "batch": (8,), "lr": 2e-3, "lr_end": 0.01,
    "weight_decay": 0.0, "ema": 0.95, "scale": 0.0, "rotate": 0.0, "shift": 0.0, "mirror": 0.0, "half_body": 0.0,
    "color": 0.0,
}  # fmt: skip


class Graph(nn.Module):
    """An ONNX graph, wrapped as a torch module for validation."""

    def __init__(self, path: Path, outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.session, self.names = OnnxRuntimeSession(path, OpenOptions(threads=1)), outputs

    def forward(self, crops: Tensor) -> Tensor | tuple[Tensor, ...]:
        found = self.session.run({self.session.inputs[0]: crops.numpy()})
        outputs = tuple(torch.from_numpy(found[name]) for name in self.names)
        return outputs if len(outputs) > 1 else outputs[0]


def photographs(data: Path) -> SampleList:
    """Return the first 64 photographs of the training split of LSP."""
    lsp = load_lsp(data / "lsp", "train")
    return replace(lsp, samples=lsp.samples[:COUNT], image_ids=lsp.image_ids[:COUNT])


def recipe_of(name: str) -> Recipe:
    recipe = read_recipe("lite" if name == "simplebaseline-lite" else name)
    return replace(recipe, **{**COMMON, **OVERFIT[name]})


def overfit(name: str, people: SampleList, out: Path, threads: int = 0) -> list[dict[str, str]]:
    """Train `name` in the folder `out`, and return the rows of its log."""
    train(recipe_of(name), [people], [people], TrainOptions(out=out, workers=0, device="cpu", threads=threads))
    return read_rows(out / "log.csv")


def int8_pck(name: str, people: SampleList, out: Path) -> float:
    """Return the training PCK@0.2 of out/best.pt after export, calibration on the same photographs and quantization."""
    recipe = recipe_of(name)
    network, spec = load_model(out / "best.pt")
    feed = CalibrationFeed(people, spec, limit=COUNT)
    crops = next(iter(feed))[0]
    export(network, spec, out / "fp32.onnx", crops)
    scales = calibrate(out / "fp32.onnx", feed, spec, make_runner=make_runner)
    onnx.save(quantize(onnx.load(out / "fp32.onnx"), scales, spec), out / "int8.onnx")
    size = recipe.sizes[-1]
    objective = objective_of(recipe, network, size, recipe.sigma)
    graph = Graph(out / "int8.onnx", spec.outputs)
    return validate(graph, [people], recipe.training_spec(), size, objective, torch.device("cpu"), 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("models", nargs="*", default=list(OVERFIT))
    given = parser.parse_args()
    people = photographs(given.data)
    header = ["model", "epoch", "loss", "pck@0.2", "int8_pck@0.2", "seconds"]
    kept = read_csv("overfit.csv") if (RESULTS / "overfit.csv").exists() else []
    rows: list[list[str]] = [[line[key] for key in header] for line in kept if line["model"] not in given.models]
    for name in given.models:
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            log = overfit(name, people, Path(folder), given.threads)
            int8 = int8_pck(name, people, Path(folder))
            seconds = time.perf_counter() - began
        looked = [line for line in log if int(line["epoch"]) % 10 == 0]
        rows += [[name, line["epoch"], line["loss"], line["pck@0.2"], "", ""] for line in looked]
        best = max(float(line["pck@0.2"]) for line in log)
        rows.append([name, "best", "", f"{best:.4f}", f"{int8:.4f}", f"{seconds:.0f}"])
        print(rows[-1], flush=True)
        write_csv("overfit.csv", header, sorted(rows, key=lambda row: list(OVERFIT).index(row[0])))
    write_machine("overfit")


if __name__ == "__main__":
    main()
