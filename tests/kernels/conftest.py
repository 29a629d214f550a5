"""Every test of an operation runs once for each instruction set of this CPU, and once without the extension.

EDGEPOSE_NATIVE names another build of the extension to test in place of the installed one (`make test-sanitize`).
"""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest


def _take(path: str) -> None:
    name = "edgepose.kernels._native"
    assert name not in sys.modules, "EDGEPOSE_NATIVE comes too late: run tests/kernels alone"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader, f"EDGEPOSE_NATIVE={path}: not an extension"
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])


if "EDGEPOSE_NATIVE" in os.environ:
    _take(os.environ["EDGEPOSE_NATIVE"])

from edgepose._checks import Array  # noqa: E402
from edgepose.kernels import image, joints, onestage, people  # noqa: E402
from edgepose.kernels.choice import native  # noqa: E402

SETS = {"x86_64": ("avx512", "avx2", "sse2"), "aarch64": ("neon",)}.get(platform.machine(), ("generic",))
FALLBACK = "fallback"


@pytest.fixture
def extension() -> ModuleType:
    """The host extension."""
    if native is None:
        pytest.skip("the extension is not compiled here")
    return native


@pytest.fixture(params=(*SETS, FALLBACK))
def computed_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What computes in this test: an instruction set, or "fallback"."""
    if request.param == FALLBACK:
        for module in (image, joints, onestage, people):
            monkeypatch.setattr(module, "native", None)
        yield FALLBACK
    else:
        extension = request.getfixturevalue("extension")
        if request.param not in extension.instruction_sets():
            pytest.skip(f"this CPU has no {request.param}")
        with selected(extension, request.param):
            yield request.param


@pytest.fixture
def every_set(extension: ModuleType) -> Callable[[Callable[[], Array]], dict[str, Array]]:
    """{instruction set: what the function gives} for those of this CPU."""

    def results(compute: Callable[[], Array]) -> dict[str, Array]:
        found = {}
        for name in extension.instruction_sets():
            with selected(extension, name):
                found[name] = compute()
        return found

    return results


@contextmanager
def selected(extension: ModuleType, name: str) -> Iterator[None]:
    before = extension.instruction_set()
    extension.select(name)
    try:
        yield
    finally:
        extension.select(before)
