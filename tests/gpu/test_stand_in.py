"""The GPU tests and the benchmark against a stand-in for the driver: the real cuda-bindings call a libcuda.so.1 that
emulates the kernels (stand_in/libcuda.cpp). That proves the launcher and how it passes a job, on any machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cuda_emulation import compile_emulation

from edgepose._optional import available
from edgepose.kernels import cuda

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which libcuda.so.1 is the stand-in."""
    if not available("cuda"):
        pytest.skip("cuda-bindings is not installed: pip install 'edgepose[cuda]'")
    if cuda.fatbin() is None:
        pytest.skip(f"no CUDA kernels to load: {cuda.implementation()}")
    made = tmp_path_factory.mktemp("stand_in") / "libcuda.so.1"
    compile_emulation(HERE / "stand_in" / "libcuda.cpp", made, "-Wl,-soname,libcuda.so.1", "-ldl")
    paths = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {**os.environ, "LD_LIBRARY_PATH": str(made.parent), "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def run(stand_in: dict[str, str], *command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], env=stand_in, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_gpu_tests_pass(stand_in: dict[str, str]) -> None:
    chosen = "random_frames or small_frames or adversarial or simcc or regress or scores or driver"
    said = run(stand_in, "-m", "pytest", "-q", "-m", "gpu", "-k", chosen, "-p", "no:cacheprovider", "tests/gpu")
    assert "passed" in said and "skipped" not in said


def test_benchmark_runs(stand_in: dict[str, str]) -> None:
    options = ["--rounds", "1", "--repeat", "1", "--most", "1", "--dry"]
    run(stand_in, "benchmarks/kernels_gpu.py", *options)


def test_benchmark_needs_a_gpu() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/kernels_gpu.py", "--dry"],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1
