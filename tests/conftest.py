"""Fixtures every test may use."""

from __future__ import annotations

import ctypes
import importlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of photographs: $EDGEPOSE_DATA, or ../shared/data beside the repository."""
    here = Path(__file__).resolve().parents[1]
    root = Path(os.environ.get("EDGEPOSE_DATA", here.parent / "shared" / "data"))
    if not (root / "lsp" / "joints.mat").is_file():
        pytest.skip(f"no photographs at {root}; set EDGEPOSE_DATA to the folder that holds lsp/")
    return root


@pytest.fixture(scope="session")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The CUDA kernels on the CPU: tests/cuda_emulated.py."""
    import cuda_emulated

    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ to compile the CUDA kernels for the CPU with")
    return cuda_emulated.compile_kernels(compiler, tmp_path_factory.mktemp("cuda_host"))


@pytest.fixture(scope="session")
def nets() -> ModuleType:
    """Small networks as ONNX, and photographs for them: tests/nets.py."""
    import nets

    return nets


@pytest.fixture(scope="session")
def trt_doubles() -> ModuleType:
    """Doubles of the TensorRT bindings, one a generation: tests/trt_doubles.py."""
    import trt_doubles

    return trt_doubles


@pytest.fixture
def installed(trt_doubles: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModuleType]:
    """A machine with a GPU and the TensorRT of a generation; `driver` lets sessions run on host memory, on a
    `FakeApi` with what is `given`."""
    from edgepose.backends import _trt_machine, _trt_session, tensorrt

    def install(
        generation: str = "tensorrt-10.3.0", *, driver: bool = False, device: Any = trt_doubles.ORIN, **given: Any
    ) -> ModuleType:
        trt: ModuleType = trt_doubles.double(generation)
        real = importlib.import_module
        monkeypatch.setattr(importlib, "import_module", lambda name, *a: trt if name == "tensorrt" else real(name, *a))
        monkeypatch.setattr(_trt_machine, "find_device", lambda: device)
        monkeypatch.setattr(tensorrt, "find_device", lambda: device)
        if driver:
            monkeypatch.setattr(tensorrt, "cannot_open", lambda: None)
            monkeypatch.setattr(_trt_session, "open_driver", lambda: trt_doubles.driver_of(trt, **given))
        return trt

    return install


@pytest.fixture
def without_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine, no Jetson, on which TensorRT is not installed."""
    real = importlib.import_module

    def importing(name: str, package: str | None = None) -> ModuleType:
        if name == "tensorrt":
            raise ModuleNotFoundError("No module named 'tensorrt'", name="tensorrt")
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", importing)
    monkeypatch.setattr("edgepose._optional.on_jetson", lambda: False)
