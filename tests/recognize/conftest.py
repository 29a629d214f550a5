"""Real networks, which are not part of this repository; and the command line."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import onnx
import pytest

from edgepose.cli.main import main


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def edgepose(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Done]:
    """Run `edgepose ARGS...` with a cache of its own; the exit code, stdout and stderr."""
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path / "edgepose-cache"))

    def run(*args: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["edgepose", *map(str, args)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        code = end.value.code
        return Done(code if isinstance(code, int) else int(code is not None), captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def published_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The ONNX file of a published network, alone in a folder: $EDGEPOSE_MODELS, or ../shared/models."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "models"
    root = Path(os.environ.get("EDGEPOSE_MODELS", beside)).resolve()
    folder = tmp_path_factory.mktemp("published")

    def take(name: str) -> Path:
        packed, plain, made = root / f"{name}.packed.onnx", root / f"{name}.onnx", folder / name / f"{name}.onnx"
        if not packed.is_file() and not plain.is_file():
            pytest.skip(f"no {name}.onnx at {root}; set EDGEPOSE_MODELS to the folder with published networks")
        if not made.exists():
            made.parent.mkdir()
            if plain.is_file():
                made.write_bytes(plain.read_bytes())
            else:
                model = onnx.load(packed)
                runpy.run_path(str(root / "pack.py"))["unpack"](model)
                onnx.save(model, made)
        return made

    return take
