"""A cache folder for the session with `lite` in FP32, and pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgepose.api.cache import EngineChoice, engine_folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    engine_folder("lite", EngineChoice(precision="fp32"), cache_dir=folder)
    return folder


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    small = np.random.default_rng(0).integers(0, 255, (12, 9, 3), np.uint8)
    path = tmp_path / "person.png"
    cv2.imwrite(str(path), cv2.resize(small, (96, 128), interpolation=cv2.INTER_CUBIC))
    return path
