"""Everything that the benchmarks import from edgepose exists; most of them are run by hand, long after a change."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize("path", sorted(BENCHMARKS.rglob("*.py")), ids=lambda path: path.stem)
def test_names_of_edgepose_exist(path: Path) -> None:
    pytest.importorskip("torch")
    missing = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "edgepose":
            module = importlib.import_module(str(node.module))
            for name in (alias.name for alias in node.names):
                whole = f"{node.module}.{name}"
                submodule = hasattr(module, "__path__") and importlib.util.find_spec(whole) is not None
                if not (hasattr(module, name) or submodule):
                    missing.append(whole)
    assert not missing
