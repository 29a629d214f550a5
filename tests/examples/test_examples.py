"""Every example runs, offline, in a process of its own, and prints something."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(example: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("edgepose.api")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "EDGEPOSE_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(example)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_every_example_has_a_page() -> None:
    pages = "".join(page.read_text() for page in (ROOT / "docs" / "tutorials").glob("*.md"))
    assert EXAMPLES
    for example in EXAMPLES:
        assert f'--8<-- "examples/{example.name}"' in pages
