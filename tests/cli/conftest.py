"""The command line in this process, and engines of `lite` built once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgepose.cli.main import main


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


Edgepose = Callable[..., Done]


@pytest.fixture
def edgepose(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Edgepose:
    """Run `edgepose ARGS...`; the exit code, stdout and stderr."""

    def run(*args: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["edgepose", *map(str, args)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        code = end.value.code
        assert "Traceback" not in captured.err
        return Done(code if isinstance(code, int) else int(code is not None), captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with FP32, FP16 and INT8 engines of the zoo's lite."""
    from edgepose.api.build import build
    from edgepose.api.request import BuildOptions

    out = tmp_path_factory.mktemp("lite") / "engines"
    build("lite", out=out, options=BuildOptions(precisions=("fp32", "fp16", "int8")))
    return out


def noisy_pictures(folder: Path) -> Path:
    """A folder of 40 noisy pictures, the same ones each time."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(40):
        small = rng.integers(0, 255, (12, 9, 3), np.uint8)
        cv2.imwrite(str(folder / f"{i:03d}.jpg"), cv2.resize(small, (96, 128), interpolation=cv2.INTER_CUBIC))
    return folder


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder of 40 noisy pictures that the test may change."""
    return noisy_pictures(tmp_path / "photographs")


@pytest.fixture(scope="session")
def calibrated(engines: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `build engines/fp32.onnx --precision int8 --no-guard --calib images:PHOTOGRAPHS` leaves; tests copy it."""
    from edgepose.api.build import build
    from edgepose.api.request import BuildOptions

    folder = tmp_path_factory.mktemp("calibrated")
    calibration = f"images:{noisy_pictures(folder / 'photographs')}"
    out = folder / "out"
    options = BuildOptions(precisions=("int8",), calib=calibration, no_guard=True)
    build(engines / "fp32.onnx", out=out, options=options)
    return out
