"""The loops compiled for processors that this machine is not, against the host extension, bit by bit.

64-bit ARM is compiled with Debian's g++-aarch64-linux-gnu and runs under qemu-user; `make test-neon` has both.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest
from kernel_jobs import FUSED, SEPARATE, write_jobs

ROOT = Path(__file__).resolve().parents[2]
EMULATOR = ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("cmake"), reason="cmake compiles the programs")]


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """(file, how many are in it)."""
    from edgepose.kernels.choice import native

    sets = set(native.instruction_sets()) if native else set()
    if not sets & set(FUSED) or not sets & set(SEPARATE):
        pytest.skip("this CPU does not compute both with a fused multiply-add and without")
    path = tmp_path_factory.mktemp("elsewhere") / "jobs"
    return path, write_jobs(path, native)


def build(folder: Path, targets: list[str], *options: str) -> None:
    settings = ["-DEDGEPOSE_ELSEWHERE=ON", "-DEDGEPOSE_CUDA=OFF", "-DEDGEPOSE_WERROR=ON", *options]
    subprocess.run(["cmake", "-S", ROOT, "-B", folder, *settings], check=True)
    parallel = ["--parallel", str(os.cpu_count())]
    subprocess.run(["cmake", "--build", folder, *parallel, "--target", *targets], check=True)


def assert_same(program: list[str | Path], name: str, jobs: tuple[Path, int], kind: str) -> None:
    told = subprocess.run([*program, jobs[0], kind], capture_output=True, text=True)
    assert (told.returncode, told.stdout) == (0, f"{name}: {jobs[1]} jobs\n"), told.stdout + told.stderr


@pytest.mark.skipif(platform.machine() != "x86_64", reason="these stand beside an x86 extension")
def test_no_known_processor_and_avx512_written_out(jobs):
    folder = ROOT / "build" / "elsewhere-x86"
    build(folder, ["plain", "wide"])
    program = folder / "tests" / "kernels" / "elsewhere"
    assert_same([program / "plain"], "generic", jobs, "separate")
    assert_same([program / "wide"], "generic", jobs, "fused")


@pytest.mark.skipif(not shutil.which("aarch64-linux-gnu-g++"), reason="apt install g++-aarch64-linux-gnu")
@pytest.mark.skipif(not shutil.which(EMULATOR[0]), reason="apt install qemu-user")
def test_neon(jobs):
    folder = ROOT / "build" / "elsewhere-aarch64"
    build(folder, ["native", "plain"], f"-DCMAKE_TOOLCHAIN_FILE={ROOT}/cmake/aarch64-linux-gnu.cmake")
    program = folder / "tests" / "kernels" / "elsewhere"
    assert_same([*EMULATOR, program / "native"], "neon", jobs, "fused")
    assert_same([*EMULATOR, program / "plain"], "generic", jobs, "separate")
