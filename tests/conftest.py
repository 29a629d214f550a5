"""Fixtures every test may use."""

from __future__ import annotations

import ctypes
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# The same examples every time: a test that fails in CI fails here, and one that passes does not fail later.
# Fixtures of one test are shared by its examples; none here changes between them.
settings.register_profile(
    "edgepose",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("edgepose")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of photographs: $EDGEPOSE_DATA, or ../shared/data beside the repository."""
    here = Path(__file__).resolve().parents[1]
    root = Path(os.environ.get("EDGEPOSE_DATA", here.parent / "shared" / "data")).resolve()  # tests may change folder
    if not (root / "lsp" / "joints.mat").is_file():
        pytest.skip(f"no photographs at {root}; set EDGEPOSE_DATA to the folder that holds lsp/")
    return root


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder of inputs that once failed: $EDGEPOSE_CASES, or ../shared/cases beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "cases"
    folder = Path(os.environ.get("EDGEPOSE_CASES", beside)).resolve()
    if not (folder / "README.md").is_file():
        pytest.skip(f"no cases at {folder}; set EDGEPOSE_CASES to the folder that holds onnx/ and labels/")
    return folder


@pytest.fixture(scope="session")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The CUDA kernels on the CPU, the library of kernels/cuda_host/launch.cpp: tests/cuda_emulation.py."""
    from cuda_emulation import CUDA_HOST, compile_emulation

    made = tmp_path_factory.mktemp("cuda_host") / "cuda_host.so"
    compile_emulation(CUDA_HOST / "launch.cpp", made)
    library = ctypes.CDLL(str(made))
    library.cuda_host_launch.restype = ctypes.c_char_p
    return library


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
    from edgepose.backends import tensorrt
    from edgepose.backends.tensorrt import machine, session

    def install(
        generation: str = "tensorrt-10.3.0", *, driver: bool = False, device: Any = trt_doubles.ORIN, **given: Any
    ) -> ModuleType:
        trt: ModuleType = trt_doubles.double(generation)
        real = importlib.import_module
        monkeypatch.setattr(importlib, "import_module", lambda name, *a: trt if name == "tensorrt" else real(name, *a))
        monkeypatch.setattr(machine, "find_device", lambda: device)
        monkeypatch.setattr(tensorrt, "find_device", lambda: device)
        if driver:
            monkeypatch.setattr(tensorrt, "cannot_open", lambda: None)
            monkeypatch.setattr(session, "open_driver", lambda: trt_doubles.driver_of(trt, **given))
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
