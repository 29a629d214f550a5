"""Checkpoints: what is written is read, and nothing else is, least of all code."""

from __future__ import annotations

import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from edgepose.artifacts.spec import InputSpec, ModelSpec  # noqa: E402
from edgepose.errors import EdgeposeError, ModelError, SpecError  # noqa: E402
from edgepose.pose.skeletons import SKELETONS  # noqa: E402
from edgepose.training.checkpoint import (  # noqa: E402
    Checkpoint,
    load_checkpoint,
    load_model,
    load_weights,
    save_checkpoint,
)


@pytest.fixture
def checkpoint(tiny: ModuleType) -> Checkpoint:
    spec = ModelSpec(name="tiny", skeleton=SKELETONS["lsp14"])
    training = {"counters": [1, 2, 3], "recipe": {"sizes": ((64, 64),)}}
    weights = tiny.build("tiny", 14).state_dict()
    return Checkpoint(model="tiny", spec=spec, weights=weights, training=training)


@pytest.fixture
def path(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    path = tmp_path / "best.pt"
    save_checkpoint(path, checkpoint)
    return path


def altered(path: Path, **changes: Any) -> Path:
    """The file with some of its entries changed; None takes one away."""
    content = {**torch.load(path, weights_only=True), **changes}
    torch.save({key: value for key, value in content.items() if value is not None}, path)
    return path


def test_round_trip(path: Path, checkpoint: Checkpoint) -> None:
    back = load_checkpoint(path)
    assert back.model == "tiny"
    assert back.spec == checkpoint.spec
    assert back.training == checkpoint.training
    assert back.weights.keys() == checkpoint.weights.keys()
    assert all(torch.equal(back.weights[name], checkpoint.weights[name]) for name in back.weights)
    assert list(path.parent.iterdir()) == [path]


def test_load_model_computes_the_same(path: Path, checkpoint: Checkpoint, tiny: ModuleType) -> None:
    model, spec = load_model(path)
    original = tiny.build("tiny", 14)
    original.load_state_dict(checkpoint.weights)
    images = torch.randn(2, 3, 64, 64)
    assert not model.training
    assert torch.equal(model(images), original.eval()(images))
    assert spec == checkpoint.spec


class Malicious:
    """Unpickled without care it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def test_the_malicious_pickle_would_work(tmp_path: Path) -> None:
    """Else the tests below prove nothing."""
    torch.save({"weights": Malicious(tmp_path / "mark")}, tmp_path / "bad.pt")
    torch.load(tmp_path / "bad.pt", weights_only=False)
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_malicious_pickle_is_refused_and_does_not_run(path: Path, tmp_path: Path, zipped: bool) -> None:
    content = {**torch.load(path, weights_only=True), "training": Malicious(tmp_path / "mark")}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=r"best\.pt is (not a checkpoint|damaged)"):
        load_checkpoint(path)
    assert not (tmp_path / "mark").exists()


def test_a_bare_pickle_is_refused_and_does_not_run(tmp_path: Path) -> None:
    path = tmp_path / "bare.pt"
    path.write_bytes(pickle.dumps(Malicious(tmp_path / "mark")))
    with pytest.raises(ModelError, match="not a checkpoint"):
        load_checkpoint(path)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ModelError, match=r"best\.pt is (not a checkpoint|damaged)"):
        load_checkpoint(path)


def test_a_damaged_byte_is_found_or_does_no_harm(path: Path, checkpoint: Checkpoint) -> None:
    """Some bytes mean nothing (padding, times); no damage may give other weights or another contract."""
    data, refused = path.read_bytes(), 0
    places = range(5, len(data), len(data) // 150)
    for at in places:
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        try:
            back = load_checkpoint(path)
        except EdgeposeError as error:
            assert "best.pt" in str(error)
            refused += 1
        else:
            assert back.spec == checkpoint.spec
            assert all(torch.equal(back.weights[name], checkpoint.weights[name]) for name in back.weights)
    assert refused > len(places) / 2


def test_an_absent_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read checkpoint .*absent\.pt: No such file"):
        load_checkpoint(tmp_path / "absent.pt")
    with pytest.raises(ModelError, match="cannot read checkpoint"):
        load_checkpoint(tmp_path)


def test_another_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.pt", "w") as archive:
        archive.writestr("readme", "hello")
    with pytest.raises(ModelError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "other.pt")


@pytest.mark.parametrize("foreign", [{"conv.weight": 1}, [1, 2], {"state_dict": {}, "epoch": 3}])
def test_a_foreign_content_is_refused(tmp_path: Path, foreign: object) -> None:
    torch.save(foreign, tmp_path / "foreign.pt")
    with pytest.raises(ModelError, match=r"foreign\.pt is not an edgepose checkpoint; .* ONNX"):
        load_checkpoint(tmp_path / "foreign.pt")


@pytest.mark.parametrize("name", ["format", "model", "spec", "weights", "training"])
def test_an_entry_that_lacks_or_has_another_type_is_refused(path: Path, name: str) -> None:
    data = path.read_bytes()
    for value in (None, 1.5):
        path.write_bytes(data)
        with pytest.raises(ModelError, match="not an edgepose checkpoint"):
            load_checkpoint(altered(path, **{name: value}))


def test_another_format_is_refused(path: Path) -> None:
    with pytest.raises(ModelError, match="has checkpoint format 2, this version reads format 1"):
        load_checkpoint(altered(path, format=2))


def test_a_damaged_spec_or_weight_is_refused(path: Path) -> None:
    data = path.read_bytes()
    with pytest.raises(ModelError, match="its contract is not valid JSON"):
        load_checkpoint(altered(path, spec="{"))
    path.write_bytes(data)
    with pytest.raises(SpecError, match=r"best\.pt: the spec has no name"):
        load_checkpoint(altered(path, spec="{}"))
    path.write_bytes(data)
    with pytest.raises(ModelError, match="its weights are not tensors"):
        load_checkpoint(altered(path, weights={"a": 1}))


def test_load_weights(path: Path, checkpoint: Checkpoint, tiny: ModuleType) -> None:
    model = tiny.build("tiny", 14)
    load_weights(model, "tiny", checkpoint.spec, path)
    assert all(torch.equal(value, checkpoint.weights[name]) for name, value in model.state_dict().items())


def test_weights_of_another_joint_count_are_refused(path: Path, tiny: ModuleType) -> None:
    spec = ModelSpec(name="tiny", skeleton=SKELETONS["coco17"])
    message = r"best\.pt has 14 joints \(lsp14\), this run trains 17 \(coco17\); .* without --start"
    with pytest.raises(ModelError, match=message):
        load_weights(tiny.build("tiny", 17), "tiny", spec, path)


def test_weights_of_another_network_are_refused(path: Path, checkpoint: Checkpoint, tiny: ModuleType) -> None:
    message = r"best\.pt holds tiny, and its weights do not fit tiny-plain \(.*\S.*\)"
    with pytest.raises(ModelError, match=message):
        load_weights(tiny.build("tiny-plain", 14), "tiny-plain", checkpoint.spec, path)


def test_weights_for_other_pixels_are_refused(path: Path, checkpoint: Checkpoint, tiny: ModuleType) -> None:
    spec = replace(checkpoint.spec, input=InputSpec(mean=(127.0, 127.0, 127.0)))
    with pytest.raises(ModelError, match=r"was trained with mean \[123\.675, .* this run has \[127\.0, "):
        load_weights(tiny.build("tiny", 14), "tiny", spec, path)


def test_load_model_of_weights_that_do_not_fit(path: Path) -> None:
    weights = load_checkpoint(path).weights
    weights.popitem()
    with pytest.raises(ModelError, match="do not fit tiny"):
        load_model(altered(path, weights=weights))


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("unexpected pos 7 vs 5")])
def test_a_full_disk_leaves_the_old_file(
    path: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """torch reports a full disk as either, depending on where it runs out."""
    before = path.read_bytes()

    def fail(content: object, beside: Path) -> None:
        beside.write_bytes(before[:100])
        raise error

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(EdgeposeError, match=r"cannot write .*best\.pt: .*(No space|unexpected pos)"):
        save_checkpoint(path, checkpoint)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
