"""The TensorRT backend on doubles: engine folders, what is refused, and what installs it where it is not there."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from edgepose import _optional
from edgepose.artifacts.manifest import Manifest
from edgepose.artifacts.spec import ModelSpec
from edgepose.backends import choose, tensorrt
from edgepose.backends.cuda.device import Device
from edgepose.backends.declaration import BuildOptions
from edgepose.backends.declared.tensorrt import TensorRtOptions
from edgepose.backends.engine import build_engine, open_engine
from edgepose.backends.session import OpenOptions
from edgepose.backends.tensorrt import machine
from edgepose.errors import BuildError, EngineError, MissingPackage, UsageError

LAYERS = {"Layers": [{"Name": "conv", "LayerType": "Convolution", "Inputs": [{"DataType": "Half"}], "Outputs": []}]}
Installed = Callable[..., ModuleType]


@pytest.fixture
def orin(trt_doubles: ModuleType) -> Any:
    return trt_doubles.ORIN


def build(tiny: Path, folder: Path, spec: ModelSpec, **options: Any) -> Manifest:
    return build_engine(tiny, folder, spec, TensorRtOptions(**options), "tensorrt", "edgepose build tiny")


def test_an_engine_folder_says_all_that_it_depends_on(
    installed: Installed, tiny: Path, tmp_path: Path, spec: ModelSpec
) -> None:
    installed()._world.inspector = json.dumps(LAYERS)
    options = {"precision": "fp16", "batch": (1, 4, 8), "workspace_mib": 256, "timing_cache": tmp_path / "timing"}
    manifest = build(tiny, tmp_path / "engine", spec, **options)
    assert (manifest.backend, manifest.backend_version, manifest.precision) == ("tensorrt", "10.3.0", "fp16")
    assert manifest.machine["gpu"] == "Orin"
    assert {"compute_capability": "8.7", "driver": "R36.4.3", "cuda": "12.6"}.items() <= manifest.machine.items()
    assert manifest.shapes == {"image": [[1, 3, 16, 12], [4, 3, 16, 12], [8, 3, 16, 12]]}
    assert manifest.build == {"typing": "strong", "timing_cache": "miss", "workspace_mib": "256"}
    assert manifest.layers == {"conv": "fp16"}
    assert [path.name for path in (tmp_path / "timing").iterdir()] == ["tensorrt-10.3.0-orin-sm8.7.timing"]
    assert build(tiny, tmp_path / "again", spec, **options).build["timing_cache"] == "hit"


def test_built_engines_open_and_run(
    installed: Installed, tiny: Path, tmp_path: Path, spec: ModelSpec, images: np.ndarray
) -> None:
    installed(driver=True)
    manifest = build(tiny, tmp_path / "engine", spec)
    assert manifest.notes == []
    session, read = open_engine(tmp_path / "engine", OpenOptions())
    with session:
        assert session.run({"image": images})["heatmaps"].shape == (7, 14, 8, 6)
    assert read == manifest


@pytest.mark.parametrize(
    ("generation", "changes", "says"),
    [
        ("tensorrt-10.7.0", {}, "backend_version: built for 10.3.0, here is 10.7.0"),
        ("tensorrt-10.3.0", {"name": "Xavier", "compute_capability": "7.2"}, "machine.gpu: built for Orin"),
    ],
)
def test_an_engine_opened_elsewhere_says_what_differs_and_what_rebuilds_it(
    installed: Installed, tiny: Path, tmp_path: Path, spec: ModelSpec, orin: Any,
    generation: str, changes: dict[str, str], says: str,
) -> None:  # fmt: skip
    installed(driver=True)
    build(tiny, tmp_path / "engine", spec)
    installed(generation, driver=True, device=replace(orin, **changes))
    with pytest.raises(EngineError) as caught:
        open_engine(tmp_path / "engine", OpenOptions())
    assert says in str(caught.value)
    assert str(caught.value).endswith("Rebuild it here with: edgepose build tiny")


def test_a_spec_of_other_ports_is_refused_though_the_engine_cannot_be_opened(
    installed: Installed, tiny: Path, tmp_path: Path, spec: ModelSpec
) -> None:
    installed()
    with pytest.raises(BuildError, match="gives heatmaps, its spec says maps"):
        build(tiny, tmp_path / "out" / "engine", replace(spec, outputs=("maps",)))
    assert list((tmp_path / "out").iterdir()) == []


def test_options_of_another_backend_are_refused(
    installed: Installed, tiny: Path, tmp_path: Path, spec: ModelSpec
) -> None:
    installed()
    with pytest.raises(UsageError, match="tensorrt is built with TensorRtOptions, not with BuildOptions"):
        build_engine(tiny, tmp_path / "engine", spec, BuildOptions(), "tensorrt", "edgepose build tiny")


def test_an_engine_for_a_dla_is_opened_on_its_core(
    installed: Installed, tiny: Path, tmp_path: Path, spec: ModelSpec
) -> None:
    trt = installed(driver=True)
    trt._world.dla_cores = 2
    manifest = build(tiny, tmp_path / "engine", spec, precision="fp16", dla_core=1, batch=(2, 2, 2))
    assert manifest.build["dla_core"] == "1"
    assert set(manifest.payload) == {"model.plan", "dla_core"}
    trt._world.events.clear()
    open_engine(tmp_path / "engine", OpenOptions())[0].close()
    assert trt._world.told("DLA_core") == [1]


def test_what_the_library_warns_of_is_noted(installed: Installed, tiny: Path, tmp_path: Path, spec: ModelSpec) -> None:
    trt = installed(driver=True)
    trt._world.build_warnings = ["subnormal FP16 values", "subnormal FP16 values", "b", "c", "d", "e"]
    notes = build(tiny, tmp_path / "engine", spec).notes
    assert notes == ["TensorRT warns: subnormal FP16 values", "TensorRT warns: b", "TensorRT warns: c",
                     "TensorRT warns of 2 more"]  # fmt: skip


def test_auto_takes_tensorrt_where_it_can_run(installed: Installed) -> None:
    installed(driver=True)
    assert choose("auto") == "tensorrt"


def test_auto_passes_over_a_tensorrt_that_can_only_build(installed: Installed) -> None:
    installed()
    assert choose("auto") == "openvino"
    assert choose("tensorrt") == "tensorrt"


def test_without_a_gpu_the_reason_is_named(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> Device:
        raise EngineError("no NVIDIA driver is installed")

    installed()
    monkeypatch.setattr(machine, "find_device", nothing)
    with pytest.raises(MissingPackage, match=r"TensorRT 10\.3\.0 is installed, but no NVIDIA driver.*tensorrt_rtx"):
        choose("tensorrt")


@pytest.mark.usefixtures("without_tensorrt")
@pytest.mark.parametrize(
    ("jetson", "words"),
    [
        (True, ("sudo apt install nvidia-jetpack", "--system-site-packages")),
        (False, ("pip install tensorrt", "driver")),
    ],
)
def test_what_to_install_where_it_is_not(jetson: bool, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_optional, "on_jetson", lambda: jetson)
    problem = tensorrt.problem() or ""
    assert problem.startswith("tensorrt is not installed")
    assert all(word in problem for word in words)
    assert "\n" not in problem


def test_a_broken_installation_is_told_from_a_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def importing(name: str, package: str | None = None) -> ModuleType:
        raise ImportError("libnvinfer.so.10: cannot open shared object file")

    monkeypatch.setattr(importlib, "import_module", importing)
    assert "cannot be imported (libnvinfer.so.10" in (tensorrt.problem() or "")


def test_which_machines_are_jetsons(tmp_path: Path) -> None:
    release, model = tmp_path / "nv_tegra_release", tmp_path / "model"
    assert not _optional.on_jetson((release, model))
    model.write_text("NVIDIA Jetson Orin NX\0")
    assert _optional.on_jetson((release, model))
    model.write_text("Raspberry Pi 5")
    assert not _optional.on_jetson((release, model))
    release.write_text("# R36")
    assert _optional.on_jetson((release, model))
