"""Measure how the loss on pseudo-labels predicts the loss on labels, on people of LSP train.

    python benchmarks/pseudo_labels.py --data ../shared/data NAME=FLOAT.onnx ...
    python benchmarks/pseudo_labels.py --fit       # the factors that follow from the CSV

Each network, a float ONNX file with its contract, is calibrated on 96 people of LSP Extended and quantized in several
qualities: two calibration methods, with a random part of its layers in float. Every graph runs in OpenVINO on all 1,000
people of LSP train. What it loses against the float network is measured twice: on the labels, and on pseudo-labels
(`edgepose.measure.pseudo_labels`), which need none. AP on pseudo-labels is predicted from AR.

`FACTORS` there follow from the CSV. The factor of a metric is the smallest multiple of 0.05 with which the upper bound
of the predicted loss, factor x (loss on pseudo-labels + 1.645 standard errors), covers the loss on labels for at least
95 % of the graphs. Graphs that lose more than 10 % on pseudo-labels are left out, because they fail any reasonable
floor and another factor holds for them. The statistical error of the loss on labels is not subtracted, so that the
factors are rather too large.

Predictions are kept in the folder of --work and used again by the next run.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from displacement import part
from records import read_csv, write_csv, write_machine

from edgepose._files import sha256_json
from edgepose.api.observed import observe_scales
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.spec import ModelSpec, embedded_spec
from edgepose.backends import openvino
from edgepose.backends.session import BuildOptions, OpenOptions
from edgepose.datasets.feeds import CalibrationFeed
from edgepose.datasets.open import open_data
from edgepose.datasets.samples import PoseData
from edgepose.graph.lookup import load_onnx
from edgepose.graph.prepare import prepare
from edgepose.measure.held_out import LeftOut, labeled_people, retained
from edgepose.measure.predictions import Engine, Predictions, collect
from edgepose.measure.pseudo_labels import COPIES, FACTORS, pseudo_labels, with_moved_boxes
from edgepose.quantize import place, quantize
from edgepose.quantize.guard import Z, jackknife
from edgepose.runtime.pipeline import open_pipeline

COVERED = 0.95  # share of the graphs whose loss the bound has to cover
SMALL = 0.1  # loss on pseudo-labels up to which graphs count
STEP = 0.05
METHODS = ("minmax", "image_max")
FLOAT_SHARES = (0.0, 0.3, 0.6, 0.8)
ENDS = ("", "_error", "_pseudo", "_pseudo_error")
COLUMNS = ["network", "method", "float_share", "people", *(f"{name}{end}" for name in FACTORS for end in ENDS)]


def graphs(
    path: Path, spec: ModelSpec, calib: PoseData, limit: int = 96, shares: Sequence[float] = FLOAT_SHARES
) -> Iterator[tuple[str, float, onnx.ModelProto]]:
    """Yield (method, float share, INT8 graph) in several qualities, calibrated on the first `limit` people."""
    model = load_onnx(path)
    feed = CalibrationFeed(calib, spec, limit=limit)
    layers = place(prepare(model), spec).quantized
    for number, method in enumerate(METHODS):
        scales = observe_scales(path, spec, feed, {"method": method})
        for step, share in enumerate(shares):
            random = np.random.default_rng(10 * number + step)
            kept = random.choice(layers, size=int(share * len(layers)), replace=False)
            chosen = replace(scales, keep_float=dict.fromkeys(map(str, kept), "benchmark"))
            yield method, share, quantize(model, chosen, spec, QuantizeOptions(method=method))


def predicted(graph: Path, spec: ModelSpec, data: PoseData, file: Path) -> Predictions:
    """Run a graph on the box of every person, or read what it found before."""
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            openvino.build(graph, Path(folder), BuildOptions(precision="int8"))
            with (
                openvino.open(Path(folder), OpenOptions(threads=1)) as session,
                open_pipeline(session, spec, threads=1) as pipeline,
            ):
                found = collect(pipeline, data, _engine(file, spec))
        np.savez(file, xy_image=found.xy_image, scores=found.scores)
    return read(file, spec)


def read(file: Path, spec: ModelSpec) -> Predictions:
    """Read what a graph found before."""
    with np.load(file) as arrays:
        return Predictions(engine=_engine(file, spec), xy_image=arrays["xy_image"], scores=arrays["scores"])


def _engine(file: Path, spec: ModelSpec) -> Engine:
    sha256 = sha256_json(file.stem)
    return Engine(path=file.stem, precision="", backend="openvino", onnx_sha256=sha256, skeleton=spec.skeleton)


def loss(found: LeftOut) -> tuple[float, float]:
    """Return a loss and its standard error."""
    evidence = jackknife(found.value, found.without, found.sizes)
    return 1 - found.value, evidence.error


def measure(name: str, path: Path, data: PoseData, calib: PoseData, work: Path) -> list[list[Any]]:
    """Return the rows of one network."""
    spec = embedded_spec(load_onnx(path), str(path))
    first = predicted(path, spec, data, work / "float.npz")
    moved = (predicted(path, spec, with_moved_boxes(data, i), work / f"moved-{i}.npz") for i in range(COPIES))
    images = [(data[i].image_id, data[i].name) for i in range(len(data))]
    pseudo = pseudo_labels(first, [one.xy_image for one in moved], images)
    assert pseudo is not None, "the joints allow all metrics"
    labels = labeled_people(data, first, FACTORS)
    reached = labels.measure(first)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for method, share, graph in graphs(path, spec, calib):
            onnx.save(graph, str(Path(folder) / "int8.onnx"))
            found = predicted(Path(folder) / "int8.onnx", spec, data, work / f"{method}-{share:g}.npz")
            true, guessed = retained(labels, reached, labels.measure(found)), pseudo.retained(found)
            numbers = [number for metric in FACTORS for number in (*loss(true[metric]), *loss(guessed[metric]))]
            rows.append([name, method, f"{share:g}", len(data), *(f"{number:.5f}" for number in numbers)])
            print(*rows[-1], flush=True)
    return rows


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The factor of one metric, and what it covers.

    Attributes:
        factor: The factor.
        graphs: Number of graphs that count.
        bounds: Number of them whose loss on labels is at most the upper bound of the predicted loss.
        estimates: Number of them whose loss on labels is at most the predicted loss.
        beyond: The largest loss beyond the predicted one.
    """

    factor: float
    graphs: int
    bounds: int
    estimates: int
    beyond: float


def fitted(rows: Sequence[Mapping[str, str]], metric: str) -> Fit:
    """Fit the factor of a metric to the rows of pseudo-labels.csv.

    Args:
        rows: The rows.
        metric: The metric.
    """
    columns = [[float(row[f"{metric}{end}"]) for row in rows] for end in ("", "_pseudo", "_pseudo_error")]
    counted = np.array(columns[1]) <= SMALL
    true, guessed, error = (np.array(column)[counted] for column in columns)
    guessed = np.maximum(guessed, 0.0)
    needed = np.sort(true / (guessed + Z * error))  # of each graph, the smallest factor whose bound covers its loss
    least = needed[int(np.ceil(COVERED * len(needed))) - 1]
    factor = round(float(np.ceil(least / STEP - 1e-9)) * STEP, 2)
    beyond = true - factor * guessed
    return Fit(
        factor=factor,
        graphs=len(true),
        bounds=int((needed <= factor).sum()),
        estimates=int((beyond <= 0).sum()),
        beyond=float(beyond.max()),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("build/quantization/pseudo-labels"))
    parser.add_argument("--fit", action="store_true", help="measure nothing, and print the factors")
    parser.add_argument("networks", nargs="*", metavar="NAME=FLOAT.onnx")
    given = parser.parse_args()
    if given.fit:
        for metric in FACTORS:
            print(metric, fitted(read_csv("pseudo-labels.csv"), metric))
        return
    if not given.networks:
        parser.error("name at least one network, or give --fit")
    data = open_data(f"lsp:{given.data}/lsp:train")
    extended = open_data(f"lspet:{given.data}/lspet")
    calib = part(extended, 0, 96)
    rows = []
    for word in given.networks:
        name, _, path = word.partition("=")
        rows += measure(name, Path(path), data, calib, given.work / name)
    write_csv("pseudo-labels.csv", COLUMNS, rows)
    write_machine("pseudo-labels")


if __name__ == "__main__":
    main()
