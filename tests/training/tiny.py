"""A run small enough for a test: twelve drawn pictures with a colored disc a joint, a three-layer network.

As a script it trains in a process of its own: `python tiny.py JSON`, with the arguments of `main` as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch import nn

from edgepose._progress import quiet
from edgepose.datasets.samples import Sample, SampleList
from edgepose.models import MODELS
from edgepose.pose.skeletons import SKELETONS
from edgepose.training.loop import TrainOptions, train
from edgepose.training.recipe import Recipe

SIZE = (64, 64)
SKELETON = SKELETONS["lsp14"]
PEOPLE = 12

# Three epochs of three batches; crops move, turn and mirror, so that a wrong resume cannot go unnoticed.
RECIPE = Recipe(
    model="tiny", sizes=(SIZE,), epochs=(3,), batch=(4,), lr=3e-3, ema=0.9, padding=1.0, half_body=0.0, seed=3
)
# For several processes: no batch norm, and crops in which every joint is inside, so that all count the same.
COMPARED = replace(RECIPE, model="tiny-plain", scale=0.0, rotate=0.0, shift=0.0, mirror=0.0, padding=1.25)


def build(name: str, joints: int) -> nn.Module:
    """Stride 4. `tiny-plain` has neither dropout nor batch norm, so that processes can be compared."""
    extra: list[nn.Module] = [] if name == "tiny-plain" else [nn.BatchNorm2d(32), nn.Dropout2d(0.1)]
    return nn.Sequential(
        nn.Conv2d(3, 16, 5, 2, 2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, 2, 1),
        *extra,
        nn.ReLU(),
        nn.Conv2d(32, joints, 3, 1, 1),
    )


def register(models: dict[str, Callable[[str, int], nn.Module]]) -> None:
    models["tiny"] = models["tiny-plain"] = build


def people(seed: int, count: int = PEOPLE) -> SampleList:
    """Joints anywhere, but for the torso's ends, which are far apart: PCK's radius is about 7 of 64 px."""
    rng = np.random.default_rng(seed)
    samples = tuple(_person(number, rng) for number in range(count))
    return SampleList(name=f"drawn:{seed}", skeleton=SKELETON, samples=samples, image_ids=tuple(range(count)))


def _person(number: int, rng: np.random.Generator) -> Sample:
    xy = rng.integers(6, 58, (len(SKELETON), 2)).astype(np.float32)
    xy[SKELETON.index("left_shoulder")] = rng.integers(8, 24, 2)
    xy[SKELETON.index("right_hip")] = rng.integers(34, 54, 2)
    image = _picture(xy)
    known = np.ones(len(SKELETON), bool)
    box = np.array([0, 0, 63, 63], np.float32)
    return Sample(
        image_id=number,
        name=f"{number}.png",
        read=lambda: image,
        xy_image=xy,
        labeled=known,
        occluded=~known,
        box_xyxy=box,
        area=64.0 * 64.0,
    )


def _picture(xy: np.ndarray) -> np.ndarray:
    """[64, 64, 3] uint8: a disc at each of the joints [K, 2], its hue the joint's."""
    image = np.full((64, 64, 3), 20, np.uint8)
    for k, (x, y) in enumerate(xy):
        hue = np.uint8([[[180 * k // len(xy), 255, 255 if k % 2 else 150]]])
        color = cv2.cvtColor(hue, cv2.COLOR_HSV2BGR)[0, 0].tolist()
        cv2.circle(image, (int(x), int(y)), 3, color, -1)
    return image


def options(out: Path, **changes: Any) -> TrainOptions:
    return TrainOptions(**{"out": out, "workers": 0, "threads": 1, "device": "cpu", **changes})


def slowly(items: Iterable[Any], label: str, total: int | None = None) -> Iterable[Any]:
    """A track that says where it is and leaves time to be interrupted there."""
    for i, item in enumerate(items):
        print(f"{label}, batch {i + 1}", flush=True)
        time.sleep(0.2)
        yield item


def at_batch(number: int, act: Callable[[], object]) -> Callable[..., Iterable[Any]]:
    """A track that acts before it hands out the run's batch `number`, counted from 1."""
    done = 0

    def track(items: Iterable[Any], label: str, total: int | None = None) -> Iterable[Any]:
        nonlocal done
        for item in items:
            done += 1
            if done == number:
                act()
            yield item

    return track


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def main(out: str, workers: int | None = None) -> None:
    """With workers: `RECIPE`, slowly, in `out`. As one of several processes: `several`."""
    cv2.setNumThreads(1)
    register(MODELS)
    if workers is None:
        several(Path(out), os.environ["RANK"])
    else:
        train(RECIPE, [people(1)], [people(2)], options(Path(out), workers=workers), slowly)


def several(out: Path, rank: str) -> None:
    """Train `COMPARED` in `out`/rank<RANK>; rank 1 alone is stopped, while it computes batch 8 of 9."""
    track = at_batch(8, press_ctrl_c) if rank == "1" else quiet
    try:
        train(COMPARED, [people(1)], [people(2)], options(out / f"rank{rank}"), track)
    except KeyboardInterrupt:
        print(f"rank {rank} stopped", flush=True)


if __name__ == "__main__":
    try:
        main(**json.loads(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit(130)
