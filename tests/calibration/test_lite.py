"""The frozen image list behind the zoo's scales is what the data set gives today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_frozen_list_and_scales_are_current(data_root: Path) -> None:
    command = [sys.executable, str(ROOT / "calibration" / "lite.py"), "--data", str(data_root), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
