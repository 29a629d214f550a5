"""Names of backends, and which one `auto` takes."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest

from edgepose.backends import choose, load
from edgepose.errors import MissingPackage, UsageError


def hide(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Let an import of `packages` fail as if they were not installed."""
    real = importlib.import_module

    def importing(name: str, package: str | None = None) -> ModuleType:
        if name in packages:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", importing)


def test_auto_takes_openvino_then_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "tensorrt")
    assert choose("auto") == "openvino"
    hide(monkeypatch, "tensorrt", "openvino")
    assert choose("auto") == "onnxruntime"


def test_auto_without_any_engine_says_how_to_install_one(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "openvino", "onnxruntime", "tensorrt")
    with pytest.raises(MissingPackage, match=r"pip install 'edgepose\[cpu\]'"):
        choose("auto")


def test_a_named_backend_that_is_not_installed_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "openvino")
    with pytest.raises(MissingPackage, match="openvino is not installed"):
        choose("openvino")


def test_a_broken_installation_is_told_from_a_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def importing(name: str, package: str | None = None) -> ModuleType:
        raise ImportError("libtbb.so.12: cannot open shared object file")

    module = load("openvino")
    monkeypatch.setattr(importlib, "import_module", importing)
    assert "libtbb.so.12" in (module.problem() or "")


def test_an_unknown_backend_gets_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="did you mean 'openvino'"):
        choose("openvin")
