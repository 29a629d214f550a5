"""Measure the latency of SimpleBaseline-ResNet18 at 256x192, 14 joints: ONNX Runtime FP32 against OpenVINO INT8.

    python benchmarks/resnet18.py --data ../shared/data

The weights are random, because no package provides trained ones. Latency does not depend on the weights; accuracy is
not measured.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from records import write_latency, write_machine

from edgepose.api.benchmark import benchmark
from edgepose.api.build import build
from edgepose.api.request import BuildOptions
from edgepose.artifacts.spec import ModelSpec
from edgepose.models import create
from edgepose.pose.skeletons import SKELETONS
from edgepose.training.checkpoint import Checkpoint, save_checkpoint

NAME = "simplebaseline-r18"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rounds", type=int, default=60)
    given = parser.parse_args()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "r18.pt"
        spec = ModelSpec(name=NAME, skeleton=SKELETONS["lsp14"])
        weights = create(NAME, joints=14).state_dict()
        save_checkpoint(checkpoint, Checkpoint(model=NAME, spec=spec, weights=weights, training={}))
        options = BuildOptions(
            backends=("openvino", "onnxruntime"),
            calib=f"lsp:{given.data / 'lsp'}:train",
            calib_limit=64,
            no_guard=True,  # its weights are random
        )
        made = build(checkpoint, out=Path(folder) / "engines", options=options, command="python benchmarks/resnet18.py")
        engines = {path.name: path for path in made.engines}
        order = ("onnxruntime-fp32", "openvino-fp32", "openvino-int8")
        timed = tuple(engines[name] for name in order)
        result = benchmark(timed, rounds=given.rounds)
    write_latency("resnet18", result)
    write_machine("resnet18")


if __name__ == "__main__":
    main()
