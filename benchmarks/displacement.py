"""Measure how the joints that a quantized network moves predict the accuracy that it loses, on people of LSP train.

    python benchmarks/displacement.py --data ../shared/data NAME=FLOAT.onnx ...

Each network, a float ONNX file with its contract, is quantized in several qualities: three calibration methods, with a
random part of its layers in float. The joints of each graph are compared with those of the float network (as
`edgepose.measure.displacement` does, without labels) and with the labels. People 1 to 600 of LSP train calibrate, the
next `--people` are measured. The graphs run in ONNX Runtime, which computes INT8 in float: the results are those of
integers.

`edgepose.measure.displacement.LOSS` is fitted to the CSV by this script (`--fit` fits without measuring): the relative
loss of each metric is predicted as a sum of the shares of moved joints, each times a weight of at least 0. The weights
minimize the pinball loss at `QUANTILE`, relative to the share of moved joints, over the graphs of which at most
`LARGEST` of the joints moved by 0.1 of the torso. So `QUANTILE` of these graphs lose no more than predicted.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from records import read_csv, write_csv, write_machine

from edgepose._checks import Array
from edgepose.api.observed import observe_scales
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import Scales
from edgepose.artifacts.spec import ModelSpec, embedded_spec
from edgepose.backends.onnxruntime import OnnxRuntimeSession
from edgepose.backends.session import OpenOptions
from edgepose.datasets.feeds import CalibrationFeed
from edgepose.datasets.open import open_data
from edgepose.datasets.samples import PoseData, SampleList
from edgepose.graph.lookup import load_onnx
from edgepose.graph.prepare import prepare
from edgepose.measure import accuracy
from edgepose.measure.displacement import THRESHOLDS, displacement
from edgepose.measure.predictions import Engine, Predictions, collect
from edgepose.quantize import place, quantize
from edgepose.runtime.pipeline import open_pipeline

METRICS = ("pck@0.2", "pck@0.1", "pcp@0.5", "oks_ap")
MOVED = tuple(f"moved_{limit:g}" for limit in THRESHOLDS)
COLUMNS = ["network", "method", "float_share", "seed", "people", *MOVED, *(f"loss_{name}" for name in METRICS)]
METHODS = ("minmax", "percentile", "mse")
FLOAT_SHARES = (0.0, 0.5, 0.8, 0.9, 0.96)
CALIBRATION = 600  # the first people of LSP train
QUANTILE = 0.9
LARGEST = 0.06


def part(data: PoseData, first: int, people: int) -> SampleList:
    """Return some of the people of a data set."""
    samples = tuple(data[i] for i in range(first, first + people))
    return SampleList(name=data.name, skeleton=data.skeleton, samples=samples, image_ids=tuple(data.image_ids))


def predictions(path: Path, spec: ModelSpec, data: PoseData) -> Predictions:
    """Run a graph on labeled boxes."""
    about = Engine(path=path.name, precision="int8", backend="onnxruntime", onnx_sha256="", skeleton=spec.skeleton)
    with OnnxRuntimeSession(path, OpenOptions(threads=1)) as session, open_pipeline(session, spec, threads=1) as run:
        return collect(run, data, about)


def graphs(path: Path, spec: ModelSpec, data: PoseData) -> Any:
    """Yield (method, float share, seed, INT8 graph) in several qualities."""
    model = load_onnx(path)
    feed = CalibrationFeed(part(data, 0, CALIBRATION), spec, limit=64)
    layers = place(prepare(model), spec).quantized
    for number, method in enumerate(METHODS):
        scales: Scales = observe_scales(path, spec, feed, {"method": method})
        for step, share in enumerate(FLOAT_SHARES):
            seed = 10 * number + step
            random = np.random.default_rng(seed)
            kept = random.choice(layers, size=int(share * len(layers)), replace=False)
            chosen = replace(scales, keep_float=dict.fromkeys(map(str, kept), "benchmark"))
            yield method, share, seed, quantize(model, chosen, spec, QuantizeOptions(method=method))


def measure(name: str, path: Path, data: PoseData, people: int) -> list[list[Any]]:
    """Return the rows of one network."""
    spec = embedded_spec(load_onnx(path), str(path))
    shown = part(data, CALIBRATION, people)
    first = predictions(path, spec, shown)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for method, share, seed, graph in graphs(path, spec, data):
            file = Path(folder) / "int8.onnx"
            onnx.save(graph, str(file))
            found = predictions(file, spec, shown)
            agreement = displacement(first.xy_image, found.xy_image, spec.skeleton, expected_scores=first.scores)
            float_, int8 = accuracy.evaluate([first, found], shown, n_boot=1).engines
            losses = [1 - int8.metrics[m].interval.value / float_.metrics[m].interval.value for m in METRICS]
            numbers = [f"{value:.5f}" for value in (*agreement.shares, *losses)]
            rows.append([name, method, f"{share:g}", seed, agreement.people, *numbers])
            print(*rows[-1], flush=True)
    return rows


def fitted(moved: Array, losses: Array) -> Array:
    """Return the weights [T] of the shares [N, T] that predict the losses [N] at `QUANTILE`; each is at least 0."""
    from scipy.optimize import linprog

    n, t = moved.shape
    relative = 1 / (0.005 + moved[:, -1])
    cost = np.concatenate([np.zeros(t), QUANTILE * relative, (1 - QUANTILE) * relative])
    equal = np.hstack([moved, np.eye(n), -np.eye(n)])  # loss = moved @ weights + above - below
    return np.asarray(linprog(cost, A_eq=equal, b_eq=losses, bounds=(0, None)).x[:t])


def fit() -> None:
    """Print the weights of each metric and how many points lie under the prediction."""
    rows = [row for row in read_csv("displacement.csv") if float(row[MOVED[-1]]) <= LARGEST]
    moved = np.array([[float(row[name]) for name in MOVED] for row in rows])
    for name in METRICS:
        losses = np.array([float(row[f"loss_{name}"]) for row in rows])
        weights = fitted(moved, losses)
        within = losses <= moved @ weights + 1e-12
        print(f'"{name}": ({", ".join(f"{w:.3f}" for w in weights)}),  # {within.sum()} of {len(within)} points')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--fit", action="store_true", help="fit the weights to the CSV without measuring")
    parser.add_argument("networks", nargs="*", metavar="NAME=FLOAT.onnx")
    given = parser.parse_args()
    if not given.fit:
        data = open_data(f"lsp:{given.data}/lsp:train")
        rows = []
        for word in given.networks:
            name, _, path = word.partition("=")
            rows += measure(name, Path(path), data, given.people)
        write_csv("displacement.csv", COLUMNS, rows)
        write_machine("displacement")
    fit()


if __name__ == "__main__":
    main()
