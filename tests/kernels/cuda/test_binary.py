"""The fatbin: how it is compiled, for which GPUs, and what was compiled into it."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from cuda_emulation import CSRC, layout

from edgepose.errors import BuildError, MissingPackage
from edgepose.kernels.cuda import KERNELS, built, fatbin, implementation
from edgepose.kernels.cuda.binary import NAME, extension

MODULE = "edgepose.kernels.cuda.binary.native"
ROOT = CSRC.parents[2]
NAMED = (75, 80, 86, 87, 89, 90, 100, 110, 120)
NVCC = shutil.which("nvcc", path="/usr/local/cuda/bin") or shutil.which("nvcc")
needs_nvcc = pytest.mark.skipif(not (NVCC and shutil.which("g++")), reason="no nvcc, or no g++ for it")
needs_fatbin = pytest.mark.skipif(fatbin() is None, reason=f"no fatbin: {implementation()}")
needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake was not found")


class Native:
    def __init__(self, folder: Path) -> None:
        self.__file__ = str(folder / "_native.so")


def test_beside_the_extension(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, Native(tmp_path))
    assert fatbin() is None and built() is None
    assert "nvcc was not found" in implementation()
    (tmp_path / NAME).write_bytes(b"")
    with pytest.raises(BuildError, match="install edgepose again"):
        built()
    about = {"toolkit": "13.0.88", "architectures": ["sm_75", "sm_87"], "ptx": ["compute_87"]}
    (tmp_path / f"{NAME}.json").write_text(json.dumps(about))
    found = built()
    assert found is not None and found.path == fatbin() == tmp_path / NAME
    assert found.architectures == ("sm_75", "sm_87") and found.ptx == ("compute_87",)
    assert implementation().startswith("sm_75, sm_87, PTX compute_87; nvcc 13.0.88")


def test_without_the_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, None)
    assert fatbin() is None and implementation().startswith("none: ")
    with pytest.raises(MissingPackage, match="host extension"):
        extension()


def listed(data: bytes) -> tuple[set[str], set[str]]:
    """(machine code, PTX) by the headers of a fatbin: magic, version, header size, size; then entries, each with its
    kind (1 PTX, 2 ELF), header size, size and, 28 bytes in, architecture."""
    magic, _, header, size = struct.unpack_from("<IHHQ", data)
    assert magic == 0xBA55ED50
    at, found = header, ([], [])
    while at < header + size:
        kind, _, entry, length = struct.unpack_from("<HHIQ", data, at)
        found[kind % 2].append(struct.unpack_from("<I", data, at + 28)[0])
        at += entry + length
    return {f"sm_{number}" for number in found[0]}, {f"compute_{number}" for number in found[1]}


@needs_fatbin
def test_fatbin_holds_what_it_says() -> None:
    about = built()
    assert about is not None
    assert listed(about.path.read_bytes()) == (set(about.architectures), set(about.ptx))


@needs_fatbin
@pytest.mark.skipif(shutil.which("cuobjdump") is None, reason="cuobjdump was not found")
def test_cuobjdump_agrees() -> None:
    about = built()
    assert about is not None
    said = subprocess.run(["cuobjdump", "-lelf", "-lptx", about.path], check=True, stdout=subprocess.PIPE, text=True)
    assert set(re.findall(r"\.(sm_\d+)\.cubin", said.stdout)) == set(about.architectures)
    assert {f"compute_{n}" for n in re.findall(r"\.sm_(\d+)\.ptx", said.stdout)} == set(about.ptx)


@needs_fatbin
@needs_nvcc
def test_every_named_gpu_that_nvcc_knows() -> None:
    about = built()
    assert about is not None
    known = subprocess.run([str(NVCC), "--list-gpu-code"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    expected = [f"sm_{number}" for number in NAMED if f"sm_{number}" in known]
    assert list(about.architectures) == expected
    assert about.ptx == (expected[-1].replace("sm", "compute"),)


def unpreloaded() -> dict[str, str]:
    """Our environment without the sanitizers that the host extension may be tested with: nvcc crashes in them."""
    return {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}


@pytest.fixture(scope="module")
def ptx(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What nvcc makes of the kernels, with the options of cmake/fatbin.cmake; structures checked on the way."""
    folder = tmp_path_factory.mktemp("ptx")
    (folder / "all.cu").write_text(f'#include "{CSRC}/cuda/edgepose.cu"\n{layout()}')
    command = [str(NVCC), "-ptx", "-std=c++17", "-fmad=false", "-Werror", "all-warnings", "-arch=compute_87"]
    subprocess.run([*command, folder / "all.cu", "-o", folder / "all.ptx"], check=True, env=unpreloaded())
    return (folder / "all.ptx").read_text()


@needs_nvcc
def test_ptx_has_the_kernels(ptx: str) -> None:
    assert set(re.findall(r"\.visible \.entry (\w+)\(", ptx)) == set(KERNELS)


@needs_nvcc
def test_ptx_rounds_as_the_host(ptx: str) -> None:
    arithmetic = set(re.findall(r"\b((?:add|sub|mul|fma|mad|div|sqrt|rcp|cvt)\.\S*f(?:16|32|64)\S*)", ptx))
    assert {"fma.rn.f32", "fma.rn.f64", "div.rn.f32", "sqrt.rn.f32", "cvt.rn.f16.f32"} <= arithmetic
    to_integer = {"cvt.rzi.s32.f32"}
    exact = {"cvt.f32.f16", "cvt.f64.f32", "cvt.f32.f16;"}
    for instruction in arithmetic - to_integer - exact:
        assert ".rn." in instruction or re.fullmatch(r"(add|sub|mul)\.f32", instruction), instruction
    assert not re.search(r"\.(ftz|approx|full)\b", ptx)


@needs_nvcc
def test_ptx_keeps_to_plain_memory(ptx: str) -> None:
    used = set(re.findall(r"^\s*(?:@!?%p\d+ )?([a-z]\w+)", ptx, re.MULTILINE))
    assert used & {"ld", "st", "shfl"}
    assert not used & {"tex", "tld4", "suld", "atom", "red", "call"}  # no textures, nothing shared between blocks
    assert not re.search(r"^\s*(\.visible )?\.(global|const)\b", ptx, re.MULTILINE)  # no state
    assert ".local" not in ptx  # registers only


FAKE_NVCC = """#!/bin/sh
case "$1" in
    --list-gpu-code) printf 'sm_%s\\n' $KNOWN;;
    --version) echo 'Cuda compilation tools, release 12.6, V12.6.85';;
    *) [ "$BROKEN" ] && { echo 'unsupported GNU version'; exit 1; }
       all="$*"
       while [ "$1" != -o ]; do shift; done
       echo "$all" > "$2";;
esac
"""


def cmake(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    found = shutil.which("cmake")
    assert found is not None
    return subprocess.run(
        [found, *command],
        env={"PATH": "/usr/bin:/bin", **environment},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def configure(folder: Path, *options: str, known: str, broken: str = "") -> subprocess.CompletedProcess[str]:
    """cmake/fatbin.cmake by itself, with an nvcc that writes its arguments into the file it should make."""
    nvcc = folder / "nvcc"
    nvcc.write_text(FAKE_NVCC)
    nvcc.chmod(0o755)
    where = ("-S", ROOT / "cmake", "-B", folder / "build", f"-DEDGEPOSE_NVCC={nvcc}")
    return cmake(*where, *options, KNOWN=known, BROKEN=broken)


@needs_cmake
def test_cmake_takes_what_nvcc_knows(tmp_path: Path) -> None:
    done = configure(tmp_path, known="75 86 87 90 101 103")
    assert done.returncode == 0, done.stdout
    assert "this nvcc has no sm_110" in done.stdout
    about = json.loads((tmp_path / "build" / f"{NAME}.json").read_text())
    assert about == {
        "toolkit": "12.6.85",
        "architectures": ["sm_75", "sm_86", "sm_87", "sm_90"],
        "ptx": ["compute_90"],
    }
    made = cmake("--build", tmp_path / "build")
    assert made.returncode == 0, made.stdout
    given = (tmp_path / "build" / NAME).read_text().split()
    gencode = [given[i + 1] for i, word in enumerate(given) if word == "-gencode"]
    assert gencode == [f"arch=compute_{n},code=sm_{n}" for n in (75, 86, 87, 90)] + ["arch=compute_90,code=compute_90"]
    assert {"-fatbin", "-fmad=false", "all-warnings"} <= set(given)


@needs_cmake
@pytest.mark.parametrize(
    ("known", "broken", "why"),
    [("72", "", "knows none of 75"), ("87", "yes", "cannot compile here: unsupported GNU version")],
)
def test_cmake_leaves_kernels_out(tmp_path: Path, known: str, broken: str, why: str) -> None:
    done = configure(tmp_path, known=known, broken=broken)
    assert done.returncode == 0 and "No CUDA kernels: " in done.stdout and why in done.stdout
    assert cmake("--build", tmp_path / "build").returncode == 0
    asked = configure(tmp_path, "-DEDGEPOSE_CUDA=ON", known=known, broken=broken)
    assert asked.returncode != 0 and why in " ".join(asked.stdout.split())


@needs_cmake
def test_cmake_is_told_to_leave_them_out(tmp_path: Path) -> None:
    done = configure(tmp_path, "-DEDGEPOSE_CUDA=OFF", known="87")
    assert done.returncode == 0 and "No CUDA kernels: EDGEPOSE_CUDA=OFF" in done.stdout
    assert not (tmp_path / "build" / f"{NAME}.json").exists()
