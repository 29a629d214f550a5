"""The house: a module imports only from lower floors, and heavy packages only where they belong."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "edgepose"
FLOORS = {
    0: ("errors", "_optional", "_options", "_checks", "_files", "_progress"),
    1: ("pose", "artifacts", "codecs"),
    2: ("kernels", "metrics", "graph", "media"),
    3: ("datasets", "models", "backends"),
    4: ("training", "export", "quantize"),
    5: ("runtime",),
    6: ("measure",),
    7: ("report",),
    8: ("zoo", "api"),
    9: ("__init__", "cli", "__main__"),
}
FLOOR = {name: floor for floor, names in FLOORS.items() for name in names}
# Side by side, no imports between them.
APART = [
    ("kernels", "metrics"),
    ("codecs", "metrics"),
    ("training", "export"),
    ("training", "quantize"),
    ("export", "quantize"),
    ("models", "backends"),
    ("datasets", "models"),
]
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


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    here = part(path)
    for name in imported(path):
        pieces = name.split(".")
        if pieces[0] != "edgepose" or len(pieces) < 2 or pieces[1] not in FLOOR:
            continue
        other = pieces[1]
        assert FLOOR[other] <= FLOOR[here], f"{path}: floor {FLOOR[here]} imports {name} of floor {FLOOR[other]}"
        assert (here, other) not in APART and (other, here) not in APART, f"{path} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_definitions_know_no_kernels(path: Path) -> None:
    if part(path) == "codecs":  # they are what kernels are tested against
        assert not any(name.startswith("edgepose.kernels") for name in imported(path))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_torch_stays_in_training(path: Path) -> None:
    relative = str(path.relative_to(PACKAGE))
    if not relative.startswith(TORCH):
        assert not any(name.split(".")[0] == "torch" for name in imported(path))


def test_import_costs_numpy() -> None:
    code = (
        "import sys, edgepose, edgepose.pose, edgepose.errors;"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'openvino', 'scipy', 'matplotlib', 'cv2'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_options_of_verbs_cost_no_numpy() -> None:
    """What `--help` and shell completion wait for."""
    code = "import sys, edgepose.cli.options, edgepose.cli.make, edgepose.cli.run; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
