"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

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
def nets() -> ModuleType:
    """Small networks as ONNX, and photographs for them: tests/nets.py."""
    import nets

    return nets
