"""Measure the effect of pictorial structures on LSP test: PCP and PCK with independent joints and with a body model.

    python benchmarks/pictorial.py --data ../shared/data [MODEL ...]        (zoo names and checkpoints)

The springs of the body model are learned from the labels of LSP fit. Their weight is chosen by PCP on LSP val and is
part of the results. Intervals are over people, and paired for the difference. The time is that of decoding one person.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from records import RESULTS, read_csv, write_csv, write_machine

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec, embedded_spec
from edgepose.backends.onnxruntime import OnnxRuntimeSession
from edgepose.backends.session import OpenOptions
from edgepose.datasets.feeds import crop_feed
from edgepose.datasets.lsp import load_lsp
from edgepose.datasets.springs import learn_springs
from edgepose.graph.lookup import load_onnx
from edgepose.metrics import pck, pcp
from edgepose.metrics.retention import Resampled, interval, resampled_mean, resamples
from edgepose.training.checkpoint import load_model
from edgepose.zoo import ZOO, zoo_model

WEIGHTS = (0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0)
HEADER = [
    "model", "metric", "plain", "plain_low", "plain_high", "pictorial", "pictorial_low", "pictorial_high",
    "gain", "gain_low", "gain_high", "weight", "people", "plain_ms", "pictorial_ms",
]  # fmt: skip


def network(model: str) -> tuple[Any, ModelSpec]:
    """Return a function from crops to heatmaps, and the contract, for a zoo name or a checkpoint."""
    if model in ZOO:
        path = zoo_model(model)
        spec = embedded_spec(load_onnx(path), str(path))
        session = OnnxRuntimeSession(path, OpenOptions(threads=1))
        return lambda crops: session.run({spec.input.name: crops})[spec.outputs[0]], spec
    import torch

    module, spec = load_model(Path(model))

    def run(crops: Array) -> Array:
        with torch.inference_mode():
            return np.asarray(module(torch.from_numpy(crops)).numpy())

    return run, spec


class People:
    """The heatmaps and the labeled joints of all people of a split."""

    def __init__(self, run: Any, spec: ModelSpec, data: Path, split: str) -> None:
        batches = [(run(batch.crops), batch) for batch in crop_feed(load_lsp(data / "lsp", split), spec, 16)]
        self.maps = np.concatenate([maps for maps, _ in batches])
        self.inverse = np.concatenate([batch.inverse for _, batch in batches])
        samples = [sample for _, batch in batches for sample in batch.samples]
        self.xy = np.stack([sample.xy_image for sample in samples])
        self.labeled = np.stack([sample.labeled for sample in samples])

    def decoded(self, spec: ModelSpec) -> Array:
        """Return the joints [N, K, 2] in image pixels, decoded as in `edgepose run`."""
        return np.asarray(spec.codec.decode([self.maps], None, self.inverse, spec))[..., :2]

    def hits(self, found: Array, spec: ModelSpec) -> dict[str, Array]:
        """Return the hits [N, joints or limbs] of each metric: 1, 0, or NaN where a label is missing."""
        skeleton = spec.skeleton
        torso = pck.torso_px(self.xy, self.labeled, skeleton)
        limbs = pcp.limbs_of(skeleton)
        return {
            "pcp@0.5": pcp.hits(found, self.xy, self.labeled, skeleton.joints, limbs),
            "pck@0.2": pck.hits(found, self.xy, self.labeled, torso, 0.2),
        }

    def milliseconds(self, spec: ModelSpec) -> float:
        """Return the median time of decoding one person."""
        times = []
        for i in range(200):
            at = i % len(self.maps)
            began = time.perf_counter()
            spec.codec.decode([self.maps[at : at + 1]], None, self.inverse[at : at + 1], spec)
            times.append(time.perf_counter() - began)
        return 1e3 * float(np.median(times))


def compare(model: str, data: Path) -> list[list[str]]:
    """Return the rows of a model, one per metric."""
    run, spec = network(model)
    tree = learn_springs(load_lsp(data / "lsp", "fit"), spec)
    bodies = {
        weight: replace(spec, codec=replace(spec.codec, pictorial=replace(tree, weight=weight))) for weight in WEIGHTS
    }
    val, test = (People(run, spec, data, split) for split in ("val", "test"))
    best = max(WEIGHTS, key=lambda weight: np.nanmean(val.hits(val.decoded(bodies[weight]), spec)["pcp@0.5"]))
    plain, body = (test.hits(test.decoded(one), spec) for one in (spec, bodies[best]))
    draws = resamples(len(test.xy))
    rows = []
    for metric in plain:
        before, behind = (resampled_mean(hits[metric], draws) for hits in (plain, body))
        gain = Resampled(value=behind.value - before.value, values=behind.values - before.values)
        numbers = [getattr(interval(one), end) for one in (before, behind, gain) for end in ("value", "low", "high")]
        times = [f"{test.milliseconds(one):.3f}" for one in (spec, bodies[best])]
        shares = [f"{number:.5f}" for number in numbers]
        rows.append([Path(model).parent.name or model, metric, *shares, str(best), str(len(test.xy)), *times])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("models", nargs="*", default=["lite"])
    given = parser.parse_args()
    rows = [row for model in given.models for row in compare(model, given.data)]
    there = (RESULTS / "pictorial.csv").exists()
    kept = [[line[key] for key in HEADER] for line in read_csv("pictorial.csv")] if there else []
    names = {row[0] for row in rows}
    write_csv("pictorial.csv", HEADER, [row for row in kept if row[0] not in names] + rows)
    write_machine("pictorial")


if __name__ == "__main__":
    main()
