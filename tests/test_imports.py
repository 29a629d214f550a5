"""Allowed imports: an explicit list of edges between the folders of the package, and where heavy packages belong.

`EDGES` is the architecture: a folder imports exactly the folders that stand behind its name. A new import between
folders fails here until the edge is added, and so does an edge that no file uses any more.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "edgepose"
# Every folder may import these; among themselves they import only `errors`.
FOUNDATION = {
    "errors",
    "_child",
    "_cores",
    "_optional",
    "_options",
    "_checks",
    "_files",
    "_leftovers",
    "_outputs",
    "_progress",
    "_stop",
}
# folder (or module at the top) -> the folders that it imports
EDGES: dict[str, set[str]] = {
    "__init__": {"api", "artifacts", "media", "pose", "runtime"},
    "__main__": {"cli"},
    "api": {
        "artifacts",
        "backends",
        "codecs",
        "datasets",
        "export",
        "graph",
        "kernels",
        "measure",
        "media",
        "models",
        "pose",
        "quantize",
        "recognize",
        "report",
        "runtime",
        "training",
        "zoo",
    },
    "artifacts": {"codecs", "pose"},
    "backends": {"artifacts", "graph", "kernels", "measure"},
    "cli": {"api", "backends", "measure", "report"},
    "codecs": {"artifacts", "kernels", "pose"},
    "datasets": {"artifacts", "codecs", "kernels", "media", "metrics", "pose"},
    "export": {"artifacts", "backends", "codecs", "graph", "pose", "recognize"},
    "graph": {"artifacts", "pose"},
    "kernels": {"artifacts", "codecs", "pose"},
    "measure": {"artifacts", "backends", "codecs", "datasets", "kernels", "metrics", "pose", "runtime"},
    "media": {"pose"},
    "metrics": {"pose"},
    "models": {"pose"},
    "quantize": {"artifacts", "graph"},
    "recognize": {"artifacts", "codecs", "graph", "pose"},
    "report": {"artifacts", "backends", "datasets", "measure", "media", "metrics", "pose"},
    "runtime": {"artifacts", "backends", "codecs", "kernels", "media", "pose"},
    "view": {"media", "pose"},
    "training": {
        "artifacts",
        "backends",
        "codecs",
        "datasets",
        "graph",
        "kernels",
        "metrics",
        "models",
        "pose",
        "quantize",
    },
}
TORCH = ("models/", "training/", "export/", "datasets/torch_feed.py")
FILES = sorted(PACKAGE.rglob("*.py"))


def part(path: Path) -> str:
    """The top-level name a file belongs to: `pose`, `errors`, ..."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported(path: Path) -> set[str]:
    """Every module a file imports, at the top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def folders(path: Path) -> set[str]:
    """The other folders of the package that a file imports, `edgepose` itself as `__init__`."""
    known = {part(file) for file in FILES}
    found = {name.split(".")[1] for name in imported(path) if name.startswith("edgepose.")} & known
    if "edgepose" in imported(path) and not found:
        found.add("__init__")
    return found - {part(path)} - FOUNDATION


def test_folders_import_what_the_list_allows() -> None:
    edges: dict[str, set[str]] = defaultdict(set)
    examples: dict[tuple[str, str], str] = {}
    for path in FILES:
        for other in folders(path):
            edges[part(path)].add(other)
            examples[part(path), other] = str(path.relative_to(PACKAGE))
    new = {f"{a} -> {b} ({examples[a, b]})" for a in edges for b in edges[a] - EDGES.get(a, set())}
    assert not new, f"imports that EDGES does not allow: {sorted(new)}"
    unused = {f"{a} -> {b}" for a in EDGES for b in EDGES[a] - edges[a]}
    assert not unused, f"edges that no file uses; delete them: {sorted(unused)}"


def test_the_foundation_imports_nothing_else() -> None:
    for name in FOUNDATION:
        found = {other.split(".")[1] for other in imported(PACKAGE / f"{name}.py") if other.startswith("edgepose.")}
        allowed = {"errors", "_leftovers", "_outputs", "_stop"} if name in ("_files", "_leftovers") else {"errors"}
        assert found <= allowed, f"{name} imports {found}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_torch_stays_in_training(path: Path) -> None:
    relative = str(path.relative_to(PACKAGE))
    if not relative.startswith(TORCH):
        assert not any(name.split(".")[0] == "torch" for name in imported(path))


@pytest.mark.parametrize("package", ["click", "rich"])
def test_the_library_neither_parses_nor_prints(package: str) -> None:
    users = {part(path) for path in FILES if any(name.split(".")[0] == package for name in imported(path))}
    assert users <= {"cli"}


def test_the_options_of_verbs_cost_no_numpy() -> None:
    """What `--help` and shell completion wait for."""
    code = "import sys, edgepose.cli.options; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
