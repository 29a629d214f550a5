"""A session that finds what the test put in front of it, and little things every runtime test needs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from edgepose.artifacts.spec import InputSpec, ModelSpec
from edgepose.codecs import heatmap
from edgepose.codecs.heatmap import HeatmapCodec
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import SKELETONS


@dataclass
class FakeSession:
    """Answers with heatmaps [14, 64, 48] of its joints, in the order people are asked for."""

    xy_heatmap: np.ndarray  # [people, 14, 2]
    inputs: tuple[str, ...] = ("input",)
    outputs: tuple[str, ...] = ("heatmaps",)
    batches: list[np.ndarray] = field(default_factory=list)
    given: int = 0

    def run(self, feed):
        crops = feed[self.inputs[0]]
        self.batches.append(crops)
        people = (np.arange(self.given, self.given + len(crops))) % len(self.xy_heatmap)
        self.given += len(crops)
        labeled = np.ones((len(crops), 14), bool)
        return {self.outputs[0]: heatmap.encode(self.xy_heatmap[people], labeled, (64, 48), 2.0)}

    def layers(self):
        return {}

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()


@pytest.fixture
def spec() -> ModelSpec:
    return ModelSpec(
        name="fake",
        skeleton=SKELETONS["lsp14"],
        input=InputSpec(size=(256, 192)),
        codec=HeatmapCodec(refine="dark"),
    )


@pytest.fixture
def session() -> FakeSession:
    cells = np.random.default_rng(0).uniform(10, 37, (40, 14, 2))
    return FakeSession(cells)


@pytest.fixture
def two_people() -> Poses:
    """Two people, the second with half of its joints unsure."""
    rng = np.random.default_rng(1)
    scores = np.full((2, 14), 0.9, np.float32)
    scores[1, 7:] = 0.1
    return Poses(
        skeleton=SKELETONS["lsp14"],
        xy_image=rng.uniform(20, 90, (2, 14, 2)).astype(np.float32),
        scores=scores,
        boxes_xyxy=np.array([[10, 20, 60, 90], [5, 5, 95, 95]], np.float32),
        box_scores=np.array([1.0, 0.5], np.float32),
    )
