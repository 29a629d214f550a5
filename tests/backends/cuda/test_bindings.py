"""What the driver layer says where it cannot work; that it works is shown in tests/gpu."""

from __future__ import annotations

import sys
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest

from edgepose.backends.cuda import bindings
from edgepose.errors import EngineError, MissingPackage


class CUresult(Enum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_NO_DEVICE = 100
    CUDA_ERROR_UNKNOWN = 999


def module(code: CUresult | Exception) -> Any:
    def cuInit(flags: int) -> tuple[CUresult]:
        if isinstance(code, Exception):
            raise code
        return (code,)

    return SimpleNamespace(CUresult=CUresult, cuInit=cuInit)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (CUresult.CUDA_ERROR_NO_DEVICE, r"cuInit: CUDA_ERROR_NO_DEVICE: the driver sees no GPU"),
        (CUresult.CUDA_ERROR_UNKNOWN, r"cuInit: CUDA_ERROR_UNKNOWN$"),
        (RuntimeError("Failed to dlopen\nlibcuda.so.1"), r"^no NVIDIA driver is installed: Failed to dlopen libcuda"),
    ],
)
def test_why_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch, code: CUresult | Exception, says: str) -> None:
    monkeypatch.setattr(bindings, "optional", lambda name: module(code))
    with pytest.raises(EngineError, match=says):
        bindings.Gpu()


def test_without_cuda_bindings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda", None)
    monkeypatch.delitem(sys.modules, "cuda.bindings", raising=False)
    monkeypatch.delitem(sys.modules, "cuda.bindings.driver", raising=False)
    with pytest.raises(MissingPackage, match=r"pip install 'edgepose\[cuda\]'"):
        bindings.Gpu()


def test_kernels_that_were_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bindings, "fatbin", lambda: None)
    with pytest.raises(EngineError, match="there are no CUDA kernels to load"):
        bindings._kernels()
