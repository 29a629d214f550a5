"""Measure what quantization-aware fine-tuning repairs of a network whose layers are all INT8.

    python benchmarks/fine_tune.py --data ../shared/data --models ../shared/models [--work DIR] [--epochs 3]

MoveNet Lightning is calibrated on 512 people of LSP train and quantized without search and guard, so that all but its
first and last layers are INT8. It is then fine-tuned on the images of LSP fit, without labels, and the epoch is
chosen on LSP val. The accuracy of the float network and of both INT8 graphs is measured on LSP test, which nothing was
chosen by. --guard also lets the guard judge the graph before fine-tuning, on labeled people of LSP train.

What was built stays in the folder of --work and is used again by the next run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from quantization import ACCURACY, Given, accuracy_rows, guard_answer, network_files, predictions
from quantization import Made as Graph
from records import write_csv, write_machine

from edgepose.artifacts.spec import embedded_spec
from edgepose.datasets.open import open_data
from edgepose.graph.lookup import load_onnx
from edgepose.measure.accuracy import evaluate

NETWORK = "movenet-lightning"
REFUSED = 1  # the exit code of a build whose INT8 graph the guard refused


def edgepose(*words: str | Path, out: Path, allowed: tuple[int, ...] = (0,)) -> None:
    """Run a command that writes to `out`, unless it is there."""
    if out.exists():
        return
    command = [sys.executable, "-m", "edgepose", *map(str, words), "--out", str(out)]
    code = subprocess.run(command, check=False).returncode
    if code not in allowed:
        raise SystemExit(f"{' '.join(command)} ended with {code}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--models", type=Path, default=Path("../shared/models"))
    parser.add_argument("--work", type=Path, default=Path("build/fine-tune"))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--guard", action="store_true", help="let the guard judge the graph before fine-tuning")
    args = parser.parse_args()
    lsp = f"lsp:{args.data}/lsp"
    network = network_files([NETWORK], args.models, args.work)[NETWORK]
    source = ["build", network.model, "--spec", str(network.spec)]
    engines, run, tuned = args.work / "engines", args.work / "run", args.work / "tuned"
    edgepose(*source, "--precision", "fp32,int8", "--calib", f"{lsp}:train", "--no-guard", out=engines)
    scales = engines / "scales.json"
    if args.guard:
        judged = args.work / "refused"
        labels = ["--scales", str(scales), "--guard", f"{lsp}:train"]
        edgepose(*source, "--precision", "int8", *labels, out=judged, allowed=(0, REFUSED))
        print("the guard before fine-tuning:", *guard_answer(judged))
    people = ["--data", f"{lsp}:fit", "--val", f"{lsp}:val", "--epochs", str(args.epochs)]
    edgepose("train", "--quantized", scales, *people, out=run)
    edgepose("build", run / "fp32.onnx", "--precision", "int8", "--scales", run / "scales.json", out=tuned)
    given = Given(work=args.work, calib=f"{lsp}:train", test=f"{lsp}:test", validate="")
    spec = embedded_spec(load_onnx(engines / "fp32.onnx"), NETWORK)
    data = open_data(given.test)
    folders = {
        "fp32": engines / "openvino-fp32",
        "int8": engines / "openvino-int8",
        f"int8, fine-tuned for {args.epochs} epochs": tuned / "openvino-int8",
    }
    graphs = {name: Graph(folder=at, graph=at / "model.bin", seconds=0, peak_mib=0) for name, at in folders.items()}
    found = [predictions(one, name, spec, data, given) for name, one in graphs.items()]
    write_csv("fine-tune.csv", ACCURACY, accuracy_rows(NETWORK, evaluate(found, data).engines))
    write_machine("fine-tune")


if __name__ == "__main__":
    main()
