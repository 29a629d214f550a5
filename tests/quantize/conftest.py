"""The contract of the small networks that the tests of quantization build."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def spec(nets: ModuleType) -> Any:
    return nets.make_spec()
