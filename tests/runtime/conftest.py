"""A session that answers with the joints of the test, and a contract for it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import emulated_engines
import numpy as np
import onnx
import pytest

from edgepose.artifacts.spec import InputSpec, ModelSpec
from edgepose.backends.declared.tensorrt import TensorRtOptions
from edgepose.backends.tensorrt.builder import compile_plan
from edgepose.backends.tensorrt.session import TrtSession
from edgepose.codecs import heatmap
from edgepose.codecs.heatmap import HeatmapCodec
from edgepose.kernels import cuda
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
def fatbin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "edgepose.fatbin").write_bytes(b"fatbin")
    monkeypatch.setattr(cuda, "fatbin", lambda: tmp_path / "edgepose.fatbin")


@pytest.fixture
def open_session(
    trt_doubles: ModuleType, emulated: ctypes.CDLL, tmp_path: Path, fatbin: None
) -> Callable[..., TrtSession]:
    def opened(
        codec: str, batch: tuple[int, int, int] = (1, 2, 4), generation: str = "tensorrt-10.3.0", **given: Any
    ) -> TrtSession:
        trt = trt_doubles.double(generation)
        kind = (emulated_engines.CODECS | emulated_engines.WHOLE)[codec]["type"]
        onnx.save(emulated_engines.network(kind), tmp_path / "net.onnx")
        plan = compile_plan(trt, tmp_path / "net.onnx", TensorRtOptions(batch=batch))
        driver = trt_doubles.driver_of(trt, **{"library": emulated} | given)
        return TrtSession(trt, plan.data, driver)

    return opened
