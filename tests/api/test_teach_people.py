"""A person detector labels photographs once, and its boxes are kept beside the run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgepose.api.teach_people import FLOOR, NAME, teach_people
from edgepose.datasets.images import load_images
from edgepose.errors import EdgeposeError, UsageError
from edgepose.pose.skeletons import PERSON


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for i in range(3):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((40, 50, 3), 60 * i, np.uint8))
    return folder


@pytest.fixture
def teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the photographs that the teacher looked at: it finds a person in bright ones."""
    looked: list[str] = []

    def find(image: np.ndarray, name: str, previous: Any) -> tuple[np.ndarray, np.ndarray]:
        looked.append(name)
        if image.mean() < 50:
            return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        return np.array([[5, 5, 20, 35], [30, 5, 45, 35]], np.float32), np.array([0.9, 0.2], np.float32)

    @contextmanager
    def open_finder(text: str, options: Any) -> Iterator[Any]:
        assert text == str(tmp_path / "net.onnx") and options.least_score == FLOOR
        yield find

    monkeypatch.setattr("edgepose.runtime.finders.open_finder", open_finder)
    (tmp_path / "net.onnx").write_bytes(b"one")
    return looked


def test_everyone_is_labeled_once(photographs: Path, teacher: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    (data,) = teach_people([load_images(photographs)], tmp_path / "net.onnx", run, 0.4)
    assert teacher == ["0.png", "1.png", "2.png"]
    assert data.skeleton == PERSON and [one.name for one in data.empty] == ["0.png"]
    assert [(one.name, one.crowd) for one in data.samples] == [
        ("1.png", False), ("1.png", True), ("2.png", False), ("2.png", True),
    ]  # fmt: skip
    (again,) = teach_people([load_images(photographs)], tmp_path / "net.onnx", run, 0.4)
    assert len(teacher) == 3
    assert [one.box_xyxy.tolist() for one in again.samples] == [one.box_xyxy.tolist() for one in data.samples]


def test_new_photographs_and_another_teacher_are_looked_at(
    photographs: Path, teacher: list[str], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    teach_people([load_images(photographs)], tmp_path / "net.onnx", run, 0.4)
    cv2.imwrite(str(photographs / "3.png"), np.zeros((40, 50, 3), np.uint8))
    teach_people([load_images(photographs)], tmp_path / "net.onnx", run, 0.4)
    assert teacher[3:] == ["3.png"]
    (tmp_path / "net.onnx").write_bytes(b"two")
    teach_people([load_images(photographs)], tmp_path / "net.onnx", run, 0.4)
    assert len(teacher) == 8


def test_what_cannot_be_used(photographs: Path, teacher: list[str], tmp_path: Path) -> None:
    data = [load_images(photographs)]
    with pytest.raises(UsageError, match=r"teacher_network .*none\.onnx does not exist"):
        teach_people(data, tmp_path / "none.onnx", tmp_path / "run", 0.4)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / NAME).write_text(json.dumps({"format": 99}))
    with pytest.raises(EdgeposeError, match="delete it, and the photographs are labeled again"):
        teach_people(data, tmp_path / "net.onnx", tmp_path / "run", 0.4)
