"""A recognized heatmap network gets the grid that its own results show."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from edgepose.api.grids import with_measured_grid
from edgepose.api.inspect import TOML, contract_toml, inspect
from edgepose.artifacts.spec import embedded_spec, read_toml
from edgepose.codecs.heatmap import HeatmapCodec
from edgepose.export.foreign import Imported, import_network
from edgepose.recognize.kept import recognition_of

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def tiny_pose_file(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PP-TinyPose without a spec."""
    source = data_root.parent / "models" / "pp_tinypose_256x192.onnx"
    if not source.is_file():
        pytest.skip(f"no {source.name} in {source.parent}")
    path = tmp_path_factory.mktemp("tiny") / source.name
    shutil.copyfile(source, path)
    return path


@pytest.fixture(scope="module")
def tiny_pose(tiny_pose_file: Path) -> Imported:
    return import_network(tiny_pose_file, None)


def test_the_grid_is_measured_and_kept_as_a_guess(tiny_pose: Imported) -> None:
    assert isinstance(tiny_pose.spec.codec, HeatmapCodec) and tiny_pose.spec.codec.rule is None
    made = with_measured_grid(tiny_pose)
    assert made.spec == replace(tiny_pose.spec, codec=replace(tiny_pose.spec.codec, rule="stride"))
    assert embedded_spec(made.model, "the test") == made.spec
    assert made.recognized is not None and made.recognized.spec == made.spec
    kept = recognition_of(made.model)
    assert kept is not None and kept.guesses == made.recognized.guesses
    assert kept.guesses[-1].field == "codec.grid" and kept.guesses[-1].value == "stride"
    assert "1.5" in kept.guesses[-1].reason
    assert with_measured_grid(made) is made  # it is stated now


def test_a_grid_that_is_stated_is_not_measured(tiny_pose: Imported) -> None:
    for codec in (HeatmapCodec(rule="centers"), HeatmapCodec(offset=0.5)):
        stated = replace(tiny_pose, spec=replace(tiny_pose.spec, codec=codec))
        assert with_measured_grid(stated) is stated
    by_spec = replace(tiny_pose, recognized=None)
    assert with_measured_grid(by_spec) is by_spec


def test_the_spec_that_inspect_writes_has_the_measured_grid(tiny_pose_file: Path, tmp_path: Path) -> None:
    """A build with the spec takes what it states: without the grid its engine would read every joint 1.5 px off."""
    text = contract_toml(tiny_pose_file)
    (tmp_path / "net.toml").write_text(text)
    stated = import_network(tiny_pose_file, read_toml(tmp_path / "net.toml")).spec
    assert stated == with_measured_grid(import_network(tiny_pose_file, None)).spec
    assert inspect(tiny_pose_file)[TOML] == text.splitlines()
