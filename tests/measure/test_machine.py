"""The description of a machine: JSON, complete, and true where that can be checked."""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata

import numpy as np
import pytest

from edgepose.measure.machine import describe


def test_it_is_json_and_tells_what_matters() -> None:
    found = json.loads(json.dumps(describe().to_json(), allow_nan=False))
    assert found["cpu"]
    assert found["cores"] == os.cpu_count()
    assert found["memory_gib"] > 0.1
    assert found["python"] == platform.python_version()
    assert found["versions"]["numpy"] == np.__version__
    assert len(found["load_average"]) == 3


def test_what_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name == "openvino":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", version)
    versions = describe().versions
    assert "openvino" not in versions
    assert "numpy" in versions


def test_saturating_integers_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgepose.measure.machine.int8_reason", lambda: "no VNNI")
    assert "float" in describe().int8
    monkeypatch.setattr("edgepose.measure.machine.int8_reason", lambda: None)
    assert describe().int8 == "integers"
