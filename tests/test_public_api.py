"""The names that `import edgepose` offers, and what the import costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import edgepose

PACKAGE = Path(edgepose.__file__).parent
NAMES = {
    "BuildOptions", "EdgeposeError", "ModelSpec", "PoseModel", "Poses", "RunOptions", "Skeleton",
    "SmoothingOptions", "StreamOptions", "Tracker", "TrackingOptions", "__version__", "benchmark", "build",
    "calibrate", "check", "diagnose", "draw_poses", "evaluate", "export_onnx", "inspect", "load",
    "quantize_onnx", "run", "smooth", "train",
}  # fmt: skip


def test_the_public_names() -> None:
    assert set(edgepose.__all__) == NAMES
    assert set(dir(edgepose)) >= NAMES
    for name in NAMES:
        assert getattr(edgepose, name) is not None
    assert not hasattr(edgepose, "nothing")


def test_no_public_name_is_a_module_too() -> None:
    """Importing `edgepose.x` sets the attribute `x` to the module, whatever it was before."""
    modules = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert not modules & NAMES


def test_verbs_have_docstrings_with_an_example() -> None:
    for name in NAMES - {"__version__"}:
        value = getattr(edgepose, name)
        assert value.__doc__, name
        if value.__module__.startswith("edgepose.api") and not isinstance(value, type):
            assert all(f"{part}:" in value.__doc__ for part in ("Args", "Returns", "Raises", "Examples")), name


def test_import_costs_numpy_at_most() -> None:
    code = (
        "import sys, edgepose; assert edgepose.__version__;"
        "edgepose.EdgeposeError, edgepose.Poses, edgepose.BuildOptions;"
        "heavy = {'onnx', 'cv2', 'click', 'rich', 'torch', 'openvino', 'onnxruntime', 'pandas'};"
        "heavy = (heavy | {'scipy', 'matplotlib'}) & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_library_prints_nothing_and_knows_no_command_line() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] in ("cli", "__main__.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.startswith(("click", "rich", "edgepose.cli")) for name in names), path
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
            assert not called, f"{path}:{getattr(node, 'lineno', 0)}"


def test_the_command_line_is_small() -> None:
    assert sum(len(path.read_text().splitlines()) for path in (PACKAGE / "cli").glob("*.py")) <= 850
