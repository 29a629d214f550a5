"""The module nets.py as a fixture: test files are not importable from each other."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="session")
def nets() -> ModuleType:
    path = Path(__file__).with_name("nets.py")
    found = importlib.util.spec_from_file_location("quantize_nets", path)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules["quantize_nets"] = module
    found.loader.exec_module(module)
    return module


@pytest.fixture
def spec(nets: Any) -> Any:
    return nets.make_spec()
