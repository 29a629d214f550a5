"""Measure `lite` on LSP test: accuracy in FP32, FP16 and INT8 with retention, and latency per stage.

    python benchmarks/lite.py --data ../shared/data [--skip-accuracy] [--rounds 200]

The reference engine is OpenVINO in FP32 for accuracy and ONNX Runtime in FP32 for latency.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from records import write_accuracy, write_csv, write_latency, write_machine

from edgepose.api.benchmark import benchmark
from edgepose.api.build import build
from edgepose.api.evaluate import EvaluateOptions, evaluate
from edgepose.api.request import BuildOptions
from edgepose.report import tables


def accuracy(engines: dict[str, Path], lsp: Path) -> None:
    compared = [engines[f"openvino-{precision}"] for precision in ("fp32", "fp16", "int8")]
    result = evaluate(compared, data=f"lsp:{lsp}:test")
    print(tables.markdown(*tables.accuracy(result)))
    write_accuracy("lite", result)
    flipped = evaluate(compared[:1], data=f"lsp:{lsp}:test", options=EvaluateOptions(flip_test=True))
    intervals = {name: value.interval for name, value in flipped.engines[0].metrics.items()}
    rows = [[name, *(f"{end:.5f}" for end in (its.value, its.low, its.high))] for name, its in intervals.items()]
    write_csv("lite-fliptest.csv", ["metric", "value", "low", "high"], rows)
    write_machine("lite-accuracy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--skip-accuracy", action="store_true")
    parser.add_argument("--skip-latency", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        options = BuildOptions(precisions=("fp32", "fp16", "int8"), backends=("openvino", "onnxruntime"))
        engines = {path.name: path for path in build("lite", out=folder, options=options).engines}
        if not given.skip_accuracy:
            accuracy(engines, given.data / "lsp")
        if not given.skip_latency:
            order = ("onnxruntime-fp32", "onnxruntime-int8", "openvino-fp32", "openvino-fp16", "openvino-int8")
            timed = tuple(engines[name] for name in order)
            write_latency("lite", benchmark(timed, rounds=given.rounds))
            write_machine("lite")


if __name__ == "__main__":
    main()
