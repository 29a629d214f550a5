"""Where an engine may be opened: the same GPU and version for TensorRT, one of those it is for with TensorRT-RTX."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path

import pytest

from edgepose.artifacts.manifest import Manifest
from edgepose.artifacts.spec import ModelSpec
from edgepose.backends.cuda.device import Device
from edgepose.backends.tensorrt.machine import (
    covers,
    fits_capabilities,
    machine_of,
    same_machine,
    timing_file,
)

ORIN = Device(name="Orin", compute_capability="8.7", integrated=True, driver="R36.4.3", cuda="12.6")


@pytest.fixture
def manifest(spec: ModelSpec) -> Manifest:
    return Manifest(
        spec=spec,
        precision="int8",
        backend="tensorrt",
        backend_version="10.3.0",
        edgepose_version="0.1.0",
        onnx_sha256="ab",
        scales_sha256=None,
        payload={"model.plan": "cd"},
        build_seconds=1.0,
        built_at="2026-11-22T00:00:00+00:00",
        build_command="edgepose build",
        machine=machine_of(ORIN),
    )


def test_the_same_machine(manifest: Manifest) -> None:
    assert same_machine(manifest, "10.3.0", ORIN) == []
    newer = replace(ORIN, driver="R36.5.0", cuda="12.8")  # a plan outlives an upgrade of the driver
    assert same_machine(manifest, "10.3.0", newer) == []


@pytest.mark.parametrize(
    ("version", "device", "says"),
    [
        ("10.3.1", ORIN, "backend_version: built for 10.3.0, here is 10.3.1"),
        ("10.3.0", replace(ORIN, name="NVIDIA Thor"), "machine.gpu: built for Orin, here is NVIDIA Thor"),
        ("10.3.0", replace(ORIN, compute_capability="11.0"), "machine.compute_capability: built for 8.7, here is 11.0"),
    ],
)
def test_what_differs_is_named(manifest: Manifest, version: str, device: Device, says: str) -> None:
    assert same_machine(manifest, version, device) == [says]


def test_boards_whose_gpus_have_one_name(manifest: Manifest, tmp_path: Path) -> None:
    agx, nano = (replace(ORIN, board=f"NVIDIA Jetson {name}") for name in ("AGX Orin", "Orin Nano"))
    built = replace(manifest, machine=machine_of(agx))
    assert same_machine(built, "10.3.0", agx) == []
    assert same_machine(built, "10.3.0", nano) == [
        "machine.board: built for NVIDIA Jetson AGX Orin, here is NVIDIA Jetson Orin Nano"
    ]
    assert timing_file(tmp_path, "tensorrt 10.3.0", agx) != timing_file(tmp_path, "tensorrt 10.3.0", nano)


def test_another_processor_and_no_gpu(manifest: Manifest) -> None:
    other = replace(manifest, machine=manifest.machine | {"architecture": "riscv64"})
    assert same_machine(other, "10.3.0", ORIN) == [
        f"machine.architecture: built for riscv64, here is {platform.machine()}"
    ]
    assert len(same_machine(manifest, "10.3.0", None)) == 2


@pytest.mark.parametrize(
    ("wanted", "here", "runs"),
    [
        ("portable", "8.0", True),
        ("portable", "12.0", True),
        ("portable", "7.5", False),
        ("portable", "none", False),
        ("SM86 SM120", "8.6", True),
        ("SM86 SM120", "12.0", True),
        ("SM86 SM120", "8.9", False),
        ("SM75", "7.5", True),
        ("SM86", "none", False),
    ],
)
def test_capabilities(wanted: str, here: str, runs: bool) -> None:
    assert covers(wanted, here) == runs


def test_an_engine_of_tensorrt_rtx(manifest: Manifest) -> None:
    portable = replace(manifest, backend="tensorrt_rtx", backend_version="1.7.1", build={"capabilities": "portable"})
    assert fits_capabilities(portable, "1.7.1", ORIN) == []
    assert fits_capabilities(portable, "1.6.1", ORIN) == ["backend_version: built for 1.7.1, here is 1.6.1"]
    chosen = replace(portable, build={"capabilities": "SM86 SM89"})
    assert fits_capabilities(chosen, "1.7.1", ORIN) == ["build.capabilities: built for SM86 SM89, here is 8.7"]
    assert fits_capabilities(chosen, "1.7.1", None) == ["build.capabilities: built for SM86 SM89, here is none"]


def test_timings_are_kept_by_gpu_and_version(tmp_path: Path) -> None:
    assert timing_file(tmp_path, "tensorrt 10.3.0", ORIN) == tmp_path / "tensorrt-10.3.0-orin-sm8.7.timing"
    assert timing_file(None, "tensorrt 10.3.0", ORIN) is None
    names = {
        str(timing_file(tmp_path, library, device))
        for library in ("tensorrt 10.3.0", "tensorrt 10.7.0")
        for device in (ORIN, replace(ORIN, name="NVIDIA RTX A/2000"))
    }
    assert len(names) == 4
    assert all(Path(name).parent == tmp_path for name in names)
