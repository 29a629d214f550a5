"""Measure the speed of the metrics: OKS AP against pycocotools, and the share of the metrics in an evaluation.

    python benchmarks/metrics.py --data ../shared/data [--rounds 7]

OKS AP: the input is synthetic and as large as COCO val2017, with 5,000 images, 11,000 people and about 16,500
predictions. It contains crowds, people without joints, duplicates and people of all sizes. Both libraries read the same
lists and take turns in one run. The time of pycocotools covers `loadRes`, `evaluate`, `accumulate` and `summarize`;
that of edgepose covers creating the arrays, `match` and `summary`. The ten numbers agree to 1e-9. The bootstrap with a
thousand draws is timed separately, because pycocotools has none.

Share of an evaluation: the time of running `lite` in FP32 on LSP test, and the time of all its metrics with intervals,
joints and retention.

Times are CPU seconds of this process over all threads, so that other processes have little influence.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from records import write_csv, write_machine

from edgepose.api.build import build
from edgepose.api.request import BuildOptions
from edgepose.backends.engine import open_engine
from edgepose.backends.session import OpenOptions
from edgepose.datasets.open import open_data
from edgepose.measure.accuracy import evaluate
from edgepose.measure.predictions import Engine, collect
from edgepose.metrics import matching, oks, precision
from edgepose.metrics.retention import resamples
from edgepose.pose.skeletons import SKELETONS
from edgepose.runtime.host import HostPipeline

IMAGES, PEOPLE, DRAWS = 5000, 11000, 1000
SIGMAS = np.array(SKELETONS["coco17"].sigmas)
Json = dict[str, Any]


def synthesize(seed: int = 0) -> tuple[Json, list[Json]]:
    """Return COCO labels and results of people of 25 to 400 px, with noise of up to 8 % of their size."""
    random = np.random.default_rng(seed)
    image = np.sort(random.integers(0, IMAGES, PEOPLE))
    size = np.exp(random.uniform(np.log(25), np.log(400), PEOPLE))
    corner = random.uniform(0, 300, (PEOPLE, 2))
    xy = corner[:, None] + random.random((PEOPLE, 17, 2)) * size[:, None, None] * np.array([0.45, 1])
    seen = random.choice([0, 1, 2], (PEOPLE, 17), p=[0.3, 0.1, 0.6])
    crowd = random.random(PEOPLE) < 0.02
    seen[crowd | (random.random(PEOPLE) < 0.2)] = 0
    annotations, results = [], []
    for i in range(PEOPLE):
        keypoints = np.column_stack([xy[i], seen[i]]) * (seen[i] > 0)[:, None]
        annotations.append({
            "id": i + 1, "image_id": int(image[i]) + 1, "category_id": 1, "iscrowd": int(crowd[i]),
            "area": float(0.27 * size[i] ** 2), "bbox": [*corner[i].tolist(), float(0.45 * size[i]), float(size[i])],
            "num_keypoints": int((seen[i] > 0).sum()), "keypoints": keypoints.ravel().tolist(),
        })  # fmt: skip
        for _ in range(1 + int(random.random() < 0.5)):
            moved = xy[i] + random.normal(0, size[i] * 0.08 * random.random(), (17, 2))
            keypoints = np.column_stack([moved, np.ones(17)]).ravel().tolist()
            score = float(random.random())
            results.append({"image_id": int(image[i]) + 1, "category_id": 1, "keypoints": keypoints, "score": score})
    images = [{"id": i + 1} for i in range(IMAGES)]
    return {"images": images, "categories": [{"id": 1, "name": "person"}], "annotations": annotations}, results


def reference(labels: Json, results: list[Json]) -> list[float]:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = labels
        truth.createIndex()
        run = COCOeval(truth, truth.loadRes(results), "keypoints")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return [float(value) for value in run.stats]


def arrays(labels: Json, results: list[Json]) -> tuple[oks.People, oks.Found]:
    items = labels["annotations"]
    joints = np.array([item["keypoints"] for item in items]).reshape(-1, 17, 3)
    boxes = np.array([item["bbox"] for item in items])
    boxes[:, 2:] += boxes[:, :2]
    xy = np.array([item["keypoints"] for item in results]).reshape(-1, 17, 3)[..., :2]
    people = oks.People(
        image=np.array([item["image_id"] for item in items]) - 1,
        xy_image=joints[..., :2],
        labeled=joints[..., 2] > 0,
        boxes_xyxy=boxes,
        area=np.array([item["area"] for item in items]),
        crowd=np.array([item["iscrowd"] for item in items], bool),
    )
    found = oks.Found(
        image=np.array([item["image_id"] for item in results]) - 1,
        xy_image=xy,
        score=np.array([item["score"] for item in results]),
        area=oks.extent_px2(xy),
    )
    return people, found


def ours(labels: Json, results: list[Json]) -> list[float]:
    people, found = arrays(labels, results)
    summary = precision.summary(matching.match(people, found, SIGMAS, IMAGES))
    return [float(getattr(summary, field.name)[0]) for field in fields(summary)]


def bootstrap(labels: Json, results: list[Json]) -> None:
    people, found = arrays(labels, results)
    precision.summary(matching.match(people, found, SIGMAS, IMAGES), resamples(IMAGES, n_boot=DRAWS))


def seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def oks_rows(rounds: int) -> list[list[object]]:
    labels, results = synthesize()
    np.testing.assert_allclose(ours(labels, results), reference(labels, results), rtol=0, atol=1e-9)
    calls = {"pycocotools": lambda: reference(labels, results), "edgepose": lambda: ours(labels, results)}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):  # they take turns, so that both see the same caches and clock rate
        for name, call in calls.items():
            times[name].append(seconds(call))
    ratio = np.median(np.array(times["edgepose"]) / np.array(times["pycocotools"]))
    rows = [[f"{name}: OKS AP and AR", rounds, *_spread(values)] for name, values in times.items()]
    rows.append(["edgepose / pycocotools", rounds, f"{ratio:.3f}", "", ""])
    once = seconds(lambda: bootstrap(labels, results))
    return [*rows, [f"edgepose: the same with {DRAWS} bootstrap draws", 1, f"{once:.3f}", "", ""]]


def _spread(values: list[float]) -> list[str]:
    return [f"{value:.3f}" for value in (np.median(values), min(values), max(values))]


def share_rows(lsp: Path) -> list[list[object]]:
    """Return the CPU seconds of running `lite` on LSP test and of computing its metrics."""
    data = open_data(f"lsp:{lsp}:test")
    with tempfile.TemporaryDirectory() as folder:
        (path,) = build("lite", out=folder, options=BuildOptions(precisions=("fp32",))).engines
        session, manifest = open_engine(path, OpenOptions())
        with session:
            engine = Engine(
                path="lite", precision="fp32", backend=manifest.backend, onnx_sha256=manifest.onnx_sha256,
                skeleton=manifest.spec.skeleton,
            )  # fmt: skip
            start = time.process_time()
            found = collect(HostPipeline(session, manifest.spec), data, engine)
            ran = time.process_time() - start
    measured = seconds(lambda: evaluate([found, found], data)) / 2
    return [
        ["lite fp32 on LSP test: running it", 1, f"{ran:.3f}", "", ""],
        ["lite fp32 on LSP test: all metrics, with intervals and retention", 1, f"{measured:.3f}", "", ""],
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    rows = [*oks_rows(given.rounds), *share_rows(given.data / "lsp")]
    write_csv("metrics.csv", ["what", "rounds", "median_s", "min_s", "max_s"], rows)
    write_machine("metrics")


if __name__ == "__main__":
    main()
