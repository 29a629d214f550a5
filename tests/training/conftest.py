"""The tiny run of tiny.py, its networks registered under the names `tiny` and `tiny-plain`."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from edgepose.models import MODELS  # noqa: E402


@pytest.fixture(scope="session")
def tiny_module() -> ModuleType:
    path = Path(__file__).with_name("tiny.py")
    spec = importlib.util.spec_from_file_location("tiny_run", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tiny_run"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tiny(tiny_module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    for name in ("tiny", "tiny-plain"):
        monkeypatch.setitem(MODELS, name, tiny_module.build)
    threads, generator = torch.get_num_threads(), torch.get_rng_state()
    yield tiny_module
    torch.set_num_threads(threads)
    torch.set_rng_state(generator)
