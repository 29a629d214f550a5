"""`train` with a person detector in its recipe: the data get its boxes first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from edgepose.api.train import TrainingOptions, train
from edgepose.datasets.samples import PoseData, SampleList
from edgepose.errors import DataError, UsageError
from edgepose.pose.skeletons import PERSON

RECIPE = """
model = "people"
codec = "onestage"
skeleton = "person"
loss = "varifocal"
sizes = [[64, 64]]
epochs = [1]
batch = [4]
"""


def test_data_and_validation_are_labeled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def teach(data: list[PoseData], teacher: Path, folder: Path, sure: float, track: Any) -> list[SampleList]:
        given.update(names=[part.name for part in data], teacher=teacher, folder=folder, sure=sure)
        return [SampleList(name=f"taught {p.name}", skeleton=PERSON, samples=(), image_ids=()) for p in data]

    def run(recipe: Any, data: Any, validation: Any, options: Any, track: Any) -> Path:
        given.update(data=[part.name for part in data], validation=[part.name for part in validation])
        return tmp_path / "best.pt"

    monkeypatch.setattr("edgepose.api.teach_people.teach_people", teach)
    monkeypatch.setattr("edgepose.training.loop.train", run)
    (tmp_path / "mine.toml").write_text(RECIPE + 'teacher_network = "net.onnx"\nteacher_sure = 0.6\n')
    train(tmp_path / "mine.toml", data=["synthetic:5", "synthetic:6"], validation=["synthetic:7"], out=tmp_path / "run")
    assert given["names"] == ["synthetic:5:0", "synthetic:6:0", "synthetic:7:0"]
    assert (given["teacher"], given["folder"], given["sure"]) == (Path("net.onnx"), tmp_path / "run", 0.6)
    assert given["data"] == ["taught synthetic:5:0", "taught synthetic:6:0"]
    assert given["validation"] == ["taught synthetic:7:0"]


def test_photographs_without_labels_need_a_teacher(tmp_path: Path) -> None:
    import cv2
    import numpy as np

    for i in range(4):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.zeros((40, 50, 3), np.uint8))
    (tmp_path / "mine.toml").write_text(RECIPE)
    with pytest.raises(DataError, match="has no labels, which a person detector learns; set teacher_network"):
        train(tmp_path / "mine.toml", data=[f"images:{tmp_path}"], out=tmp_path / "run")


def test_a_file_of_joints_is_no_teacher(tmp_path: Path) -> None:
    options = TrainingOptions(teacher=("joints.json",))
    with pytest.raises(UsageError, match="--teacher is for networks with joints; name a person detector as teacher_ne"):
        train("people", data=["synthetic:8"], out=tmp_path, options=options)
