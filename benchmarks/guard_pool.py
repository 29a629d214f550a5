"""The pool of `guard.py`: predictions of many INT8 graphs for all people of LSP test, computed once and reused.

Each network is calibrated on several random subsets of photographs. For each subset there is a nested path of
placements, from the one with most float layers to the one with none besides stem and head. Layers go back to float in a
fixed order that looks at no result: depthwise and grouped convolutions first, then from the outputs backwards.
Quantization is the plainest there is (min-max ranges, no equalization, no bias correction), since the statements of the
guard must hold for bad graphs too: those of the pool lose anything from nothing to most of the accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from pseudo_labels import predicted, read

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import Scales
from edgepose.artifacts.spec import ModelSpec, embedded_spec
from edgepose.backends.onnxruntime import make_runner
from edgepose.datasets.feeds import CalibrationFeed
from edgepose.datasets.open import open_data
from edgepose.datasets.samples import PoseData, SampleList
from edgepose.graph.lookup import load_onnx
from edgepose.graph.prepare import prepare
from edgepose.measure.predictions import Predictions
from edgepose.measure.pseudo_labels import COPIES, with_moved_boxes
from edgepose.quantize import calibrate, quantize
from edgepose.quantize.placement import place

FLOAT_SHARES = (0.9, 0.75, 0.5, 0.25, 0.0)  # of the layers, from the first candidate of a path to the last
PHOTOGRAPHS = 128  # of one user
OPTIONS = QuantizeOptions(method="minmax", equalize=False, bias_correction=False)


@dataclass(frozen=True, kw_only=True)
class Pool:
    """One network: what it predicts in float, and on every path.

    Attributes:
        name: The network.
        fp32: The predictions of the float network.
        moved: Those on moved boxes, for pseudo-labels.
        paths: For each calibration subset, the predictions of its candidates.
    """

    name: str
    fp32: Predictions
    moved: tuple[Predictions, ...]
    paths: tuple[tuple[Predictions, ...], ...]


def pool(name: str, fp32: Path, calib: str, data: PoseData, folder: Path, subsets: int) -> Pool:
    """Compute the predictions of one network, or read those of an earlier run from `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = embedded_spec(load_onnx(fp32), str(fp32))
    first = predicted(fp32, spec, data, folder / "fp32.npz")
    moved = (predicted(fp32, spec, with_moved_boxes(data, i), folder / f"moved-{i}.npz") for i in range(COPIES))
    paths = []
    for subset in range(subsets):
        files = {share: folder / f"{subset}-{share:g}.npz" for share in FLOAT_SHARES}
        missing = {share: file for share, file in files.items() if not file.is_file()}
        if missing:
            _fill(fp32, spec, calib, subset, missing, data)
        paths.append(tuple(read(file, spec) for file in files.values()))
    return Pool(name=name, fp32=first, moved=tuple(moved), paths=tuple(paths))


def _fill(fp32: Path, spec: ModelSpec, calib: str, subset: int, files: Mapping[float, Path], data: PoseData) -> None:
    """Calibrate on one random subset, and run each candidate of its path."""
    everyone = open_data(calib)
    picked = np.random.default_rng(subset).permutation(len(everyone))[:PHOTOGRAPHS]
    samples = tuple(everyone[int(i)] for i in picked)
    drawn = SampleList(
        name=f"{calib}, subset {subset}",
        skeleton=everyone.skeleton,
        samples=samples,
        image_ids=tuple(sample.image_id for sample in samples),
    )
    feed = CalibrationFeed(drawn, spec, limit=PHOTOGRAPHS)
    scales = calibrate(fp32, feed, spec, OPTIONS, make_runner=make_runner)
    model = load_onnx(fp32)
    order = float_order(model, spec)
    for share, file in files.items():
        graph = candidate(model, scales, spec, order[: round(share * len(order))])
        path = file.with_suffix(".onnx")
        onnx.save(graph, str(path))
        predicted(path, spec, data, file)
        path.unlink()


def float_order(model: onnx.ModelProto, spec: ModelSpec) -> list[str]:
    """Return the layers that are int8, in the order in which candidates leave them in float."""
    prepared = prepare(model)
    nodes = {node.name: node for node in prepared.graph.node}
    names = list(reversed(place(prepared, spec, OPTIONS).quantized))
    return sorted(names, key=lambda name: not _grouped(nodes[name]))  # stable


def _grouped(node: onnx.NodeProto) -> bool:
    return any(item.name == "group" and item.i > 1 for item in node.attribute)


def candidate(model: onnx.ModelProto, scales: Scales, spec: ModelSpec, floats: list[str]) -> onnx.ModelProto:
    """Quantize a network with some layers in float."""
    chosen = replace(scales, keep_float=dict.fromkeys(floats, "benchmark"))
    return quantize(model, chosen, spec, OPTIONS, make_runner=make_runner)
