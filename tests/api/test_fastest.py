"""`build --fastest`, and the warning about an INT8 engine that is slower than a float one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from corrupted import ARCHITECTURES

import edgepose
from edgepose.api import fastest
from edgepose.api.build import BuildResult, build
from edgepose.artifacts.manifest import read_manifest
from edgepose.artifacts.spec import embed_spec, spec_from_dict
from edgepose.backends import openvino
from edgepose.errors import BuildError, UsageError
from edgepose.measure.fastest import Times

pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")
Run = Callable[..., BuildResult]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Build a small residual network with rendered figures for calibration."""
    model = ARCHITECTURES["residual"](0)
    spec = spec_from_dict(
        {"name": "net", "skeleton": "lsp14", "input": {"name": "input", "size": [32, 24]}, "outputs": ["heatmaps"]}, "t"
    )
    embed_spec(model, spec)
    onnx.save(model, tmp_path / "net.onnx")

    def made(*precisions: str, said: list[str] | None = None, **more: Any) -> BuildResult:
        chosen = {"precisions": precisions} if precisions else {}
        given = {"backends": ("openvino",), "calib": "synthetic:32"} | chosen | more
        note = (said if said is not None else []).append
        return build(tmp_path / "net.onnx", out=tmp_path / "out", options=edgepose.BuildOptions(**given), note=note)

    return made


@pytest.fixture
def integers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU that computes INT8 in integers."""
    monkeypatch.setattr(fastest, "int8_reason", lambda: None)


@pytest.fixture
def floats_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU that computes INT8 in float."""
    monkeypatch.setattr(fastest, "int8_reason", lambda: "no VNNI, no AMX")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set what each engine takes, in milliseconds by its precision."""

    def takes(**ms: float) -> None:
        def time_networks(engines: Mapping[str, Path], *rest: object) -> Times:
            noise = np.random.default_rng(0).normal(1, 0.01, 50)
            return Times(seconds={name: 1e-3 * ms[name.rsplit("-", 1)[1]] * noise for name in engines})

        monkeypatch.setattr(fastest, "time_networks", time_networks)

    return takes


@pytest.mark.usefixtures("integers")
@pytest.mark.parametrize(
    ("ms", "wins"),
    [({"fp32": 3, "fp16": 2, "int8": 1}, "int8"), ({"fp32": 1, "fp16": 1.5, "int8": 1.2}, "fp32")],
)
def test_only_the_fastest_stays(run: Run, tmp_path: Path, clock: Any, ms: dict[str, float], wins: str) -> None:
    clock(**ms)
    said: list[str] = []
    result = run(fastest=True, said=said)
    (folder,) = result.engines
    assert folder.name == f"openvino-{wins}" and set(result.manifests) == {folder}
    assert [path.name for path in (tmp_path / "out").glob("openvino-*")] == [folder.name]
    assert {"fp32", "fp16", "int8"} <= set(result.graphs)  # the graphs of all candidates stay
    manifest = read_manifest(folder)
    assert (manifest.precision, manifest.notes) == (wins, result.manifests[folder].notes)
    assert set(manifest.candidates_ms) == {"openvino-fp32", "openvino-fp16", "openvino-int8"}
    assert manifest.candidates_ms[folder.name] == pytest.approx(ms[wins], rel=0.01)
    table = [line for line in said if " stays, the fastest of 3 " in line or line.startswith("  openvino-")]
    assert len(table) == 4 and set(table) <= {*manifest.notes} and set(table) <= {*result.notes}


@pytest.mark.usefixtures("floats_only")
def test_int8_that_is_computed_in_float_is_no_candidate(run: Run, tmp_path: Path) -> None:
    said: list[str] = []
    result = run(fastest=True, said=said)  # timed in earnest
    (folder,) = result.engines
    assert folder.name in ("openvino-fp32", "openvino-fp16")
    assert set(read_manifest(folder).candidates_ms) == {"openvino-fp32", "openvino-fp16"}
    assert any(line.startswith("openvino-int8: not a candidate for the fastest, since ") for line in said)
    assert not (tmp_path / "out" / "int8.onnx").exists()
    with pytest.raises(UsageError, match=r"has no candidate here: .* in float .*; add fp32 or fp16"):
        run("int8", fastest=True)


@pytest.mark.usefixtures("floats_only")
def test_a_candidate_that_fails_is_left_out(
    run: Run, tmp_path: Path, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, *rest: Any) -> Any:
        if path.name == "fp16.onnx":
            raise BuildError("no such kernel")
        return real(path, *rest)

    real = openvino.build
    monkeypatch.setattr(openvino, "build", fail)
    clock(fp32=2, fp16=1)
    said: list[str] = []
    assert [folder.name for folder in run("fp32", "fp16", fastest=True, said=said).engines] == ["openvino-fp32"]
    assert "openvino-fp16 is no candidate for the fastest: no such kernel" in said
    shutil.rmtree(tmp_path / "out")
    monkeypatch.setattr(openvino, "build", lambda *_: fail(Path("fp16.onnx")))
    with pytest.raises(BuildError, match="no such kernel"):
        run("fp32", "fp16", fastest=True)


def test_engines_that_cannot_be_opened_cannot_be_timed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "cannot_open", lambda: "no driver")
    with pytest.raises(UsageError, match="--fastest times the engines, and those of openvino cannot be opened here"):
        run("fp32", "fp16", fastest=True)


@pytest.mark.usefixtures("integers")
def test_an_int8_engine_that_is_slower_is_named(run: Run, tmp_path: Path, clock: Any) -> None:
    clock(fp32=1.0, fp16=1.2, int8=1.5)
    said: list[str] = []
    result = run("fp32", "fp16", "int8", said=said)
    assert len(result.engines) == 3
    (line,) = [line for line in said if "is slower than" in line]
    assert line.startswith("openvino-int8 is slower than openvino-fp32 on this machine: 1.50 ms against 1.00 ms, 1.50")
    assert line in read_manifest(tmp_path / "out" / "openvino-int8").notes and line in result.notes
    assert line not in read_manifest(tmp_path / "out" / "openvino-fp32").notes


@pytest.mark.usefixtures("integers")
@pytest.mark.parametrize("ms", [{"fp32": 2.0, "int8": 1.0}, {"fp32": 0.1, "int8": 0.2}])
def test_no_warning_of_a_fast_int8_engine_and_of_a_tiny_network(run: Run, clock: Any, ms: dict[str, float]) -> None:
    clock(**ms)
    said: list[str] = []
    run("fp32", "int8", said=said)
    assert not [line for line in said if "is slower than" in line]


@pytest.mark.usefixtures("floats_only")
def test_nothing_is_timed_where_int8_is_computed_in_float(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastest, "time_networks", None)
    assert len(run("fp32", "int8").engines) == 2


def test_the_command_line_has_the_flag(run: Run, tmp_path: Path) -> None:
    (folder,) = run("fp32", fastest=True).engines
    value = json.loads((folder / "manifest.json").read_text())
    assert "--fastest" in value["build_command"].split()
