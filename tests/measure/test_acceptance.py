"""The acceptance sample: written, read back, and run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgepose._files import sha256_file
from edgepose.artifacts.acceptance import NAME, Acceptance, read_acceptance, rounded_inputs, write_acceptance
from edgepose.artifacts.spec import ModelSpec, spec_from_dict
from edgepose.errors import EngineError
from edgepose.measure.acceptance import examine, joints_of


@pytest.fixture
def spec() -> ModelSpec:
    return spec_from_dict(
        {"name": "net", "skeleton": "lsp14", "input": {"name": "input", "size": [32, 24]}, "outputs": ["heatmaps"]},
        "test",
    )


@pytest.fixture
def sample(spec: ModelSpec) -> Acceptance:
    random = np.random.default_rng(0)
    maps = random.random((3, 14, 8, 6), np.float32)
    inputs = rounded_inputs(random.normal(size=(3, 3, 32, 24)).astype(np.float32))
    outputs = {"heatmaps": maps}
    return Acceptance(inputs=inputs, outputs=outputs, joints=joints_of(spec, outputs))


class Answers:
    """A session that returns the sample's outputs, changed."""

    def __init__(self, sample: Acceptance, change: Any = lambda value: value) -> None:
        self.sample, self.change, self.seen = sample, change, 0

    def run(self, feed: Any) -> dict[str, np.ndarray]:
        self.seen = len(feed["input"])
        rows = np.arange(self.seen) % len(self.sample.inputs)
        return {name: self.change(value[rows]) for name, value in self.sample.outputs.items()}


def manifest(spec: ModelSpec, acceptance: dict[str, str]) -> Any:
    return SimpleNamespace(spec=spec, acceptance=acceptance, build_command="edgepose build net")


def test_written_is_read_back(spec: ModelSpec, sample: Acceptance, tmp_path: Path) -> None:
    digests = write_acceptance(tmp_path, sample)
    read = read_acceptance(tmp_path, manifest(spec, digests))
    assert np.array_equal(read.inputs, sample.inputs) and read.inputs.dtype == np.float32
    assert np.array_equal(read.outputs["heatmaps"], sample.outputs["heatmaps"])
    assert read.joints is not None and np.array_equal(read.joints, sample.joints)


def test_large_outputs_leave_fewer_crops(spec: ModelSpec, tmp_path: Path) -> None:
    wide = np.zeros((8, 3, 400, 400), np.float32)
    sample = Acceptance(inputs=wide, outputs={"heatmaps": np.zeros((8, 14, 100, 100), np.float32)})
    large = replace(spec, input=replace(spec.input, size=(400, 400)))
    read = read_acceptance(tmp_path, manifest(large, write_acceptance(tmp_path, sample)))
    assert len(read.inputs) == len(read.outputs["heatmaps"]) == 2 and read.joints is None


def test_bytes_stay_bytes(spec: ModelSpec) -> None:
    crops = np.arange(12, dtype=np.uint8)
    assert rounded_inputs(crops) is crops


def test_an_engine_without_a_sample_and_a_damaged_one(spec: ModelSpec, sample: Acceptance, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="has no acceptance sample, so that it cannot be checked; rebuild it with"):
        read_acceptance(tmp_path, manifest(spec, {}))
    digests = write_acceptance(tmp_path, sample)
    (tmp_path / NAME).write_bytes(b"PK no zip")
    with pytest.raises(EngineError, match="was altered"):
        read_acceptance(tmp_path, manifest(spec, digests))
    with pytest.raises(EngineError, match="is no acceptance sample"):
        read_acceptance(tmp_path, manifest(spec, {NAME: sha256_file(tmp_path / NAME)}))


@pytest.mark.parametrize(
    "change",
    [
        lambda held: {"inputs": held["inputs"][:, :, :16]},
        lambda held: {name: held[name][:0] for name in ("inputs", "output0", "joints")},
        lambda held: {"output0": held["output0"][:1]},
        lambda held: {"names": np.array(["maps"])},
        lambda held: {"output0": held["output0"] * np.float32(np.nan)},
        lambda held: {"joints": held["joints"][:1]},
    ],
)
def test_the_sample_of_another_network_is_refused(
    change: Any, spec: ModelSpec, sample: Acceptance, tmp_path: Path
) -> None:
    write_acceptance(tmp_path, sample)
    with np.load(tmp_path / NAME) as file:
        held = dict(file)
    np.savez(tmp_path / NAME, **(held | change(held)))
    digests = {NAME: sha256_file(tmp_path / NAME)}
    with pytest.raises(EngineError, match="is not the acceptance sample of this network; rebuild it with"):
        read_acceptance(tmp_path, manifest(spec, digests))


def test_few_crops_are_repeated_so_that_every_batch_size_runs(spec: ModelSpec, sample: Acceptance) -> None:
    session = Answers(sample)
    found = examine(session, spec, sample)
    assert session.seen == found.count == 5
    assert found.joints_moved == 0 and found.problem("fp32") is None
    assert found.describe() == "heatmaps: equal; 0.0 % of joints moved"
    assert found.snr_db() == {}


def test_a_fall_since_the_build_is_a_problem(spec: ModelSpec, sample: Acceptance) -> None:
    random = np.random.default_rng(1)
    found = examine(Answers(sample, lambda v: v + random.normal(0, 0.05, v.shape)), spec, sample)
    ratio = found.outputs["heatmaps"].snr_db
    assert 19 < ratio < 24 and found.problem("int8") is None
    assert found.problem("int8", {"heatmaps": ratio + 9}) is None
    assert f"it was {ratio + 11:.1f} dB when it was built" in str(found.problem("int8", {"heatmaps": ratio + 11}))
    assert found.problem("int8", {"other": 90.0}) is None


def test_outputs_that_are_not_finite_have_no_joints(spec: ModelSpec, sample: Acceptance) -> None:
    found = examine(Answers(sample, lambda v: v * np.float32(np.nan)), spec, sample)
    assert found.joints_moved is None
    assert "NaN or infinite" in str(found.problem("int8"))


def test_another_shape_has_no_joints(spec: ModelSpec, sample: Acceptance) -> None:
    found = examine(Answers(sample, lambda v: v[:, :, :4]), spec, sample)
    assert found.joints_moved is None and "in place of" in str(found.problem("fp16"))


@pytest.fixture
def people() -> tuple[ModelSpec, Acceptance]:
    """A network that finds one person in each of three images, among rows of a low score."""
    spec = spec_from_dict(
        {"name": "net", "skeleton": "coco17", "input": {"name": "input", "size": [96, 96]},
         "codec": {"type": "onestage"}, "outputs": ["people"]}, "test",
    )  # fmt: skip
    random = np.random.default_rng(1)
    rows = random.uniform(0, 90, (3, 30, 56)).astype(np.float32)
    rows[..., 4] = random.uniform(0, 1e-4, (3, 30))
    rows[:, 0, 4] = 0.9
    inputs = rounded_inputs(random.normal(size=(3, 3, 96, 96)).astype(np.float32))
    return spec, Acceptance(inputs=inputs, outputs={"people": rows})


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_lists_of_people_are_compared_person_by_person(people: tuple[ModelSpec, Acceptance], precision: str) -> None:
    """The order of rows whose scores are nearly equal is chance; who is found, and where, is not."""
    spec, sample = people
    turned = examine(Answers(sample, lambda value: value[:, ::-1]), spec, sample)
    assert turned.joints_moved == 0 and turned.problem(precision, {"people": 40.0}) is None
    assert turned.warnings(precision) == ()
    lost = examine(Answers(sample, lambda value: np.where(value == np.float32(0.9), 0, value)), spec, sample)
    assert lost.joints_moved == 1 and "100 % of the joints are elsewhere" in str(lost.problem(precision))
    broken = examine(Answers(sample, lambda value: value * np.nan), spec, sample)
    assert broken.problem(precision) is not None
    nobody = Acceptance(inputs=sample.inputs, outputs={"people": sample.outputs["people"][:, 1:]})
    assert examine(Answers(nobody), spec, nobody).problem(precision) is None
