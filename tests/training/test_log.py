"""log.csv and the TensorBoard scalars of a run."""

from __future__ import annotations

import csv
import dataclasses
import logging
from pathlib import Path

import pytest

pytest.importorskip("torch")

from edgepose.training import log
from edgepose.training.log import Epoch, RunLog


def epoch(number: int, loss: float, pck: float | None = 0.5) -> Epoch:
    return Epoch(epoch=number, size=(256, 192), lr=1e-3, loss=loss, score=pck, seconds=61.7, images_per_second=9.04)


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_column_is_called_after_what_is_measured() -> None:
    row = dataclasses.replace(epoch(1, 0.1), measure="box_ap50").row()
    assert row["box_ap50"] == "0.5000" and "pck@0.2" not in row


@pytest.fixture
def without_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "available", lambda name: name != "tensorboard")


@pytest.mark.usefixtures("without_tensorboard")
def test_one_line_an_epoch(tmp_path: Path) -> None:
    run = RunLog(tmp_path)
    run.add(epoch(1, 0.012345), step=10)
    run.add(epoch(2, 0.01, pck=None), step=20)
    first, second = rows(tmp_path)
    assert list(first) == ["epoch", "height", "width", "lr", "loss", "pck@0.2", "seconds", "images_per_second"]
    assert list(first.values()) == ["1", "256", "192", "1.00e-03", "1.2345e-02", "0.5000", "62", "9.0"]
    assert second["epoch"] == "2" and second["pck@0.2"] == ""


@pytest.mark.usefixtures("without_tensorboard")
def test_an_epoch_that_is_finished_twice_has_one_line(tmp_path: Path) -> None:
    for number, loss in ((1, 0.1), (2, 0.2), (2, 0.3)):
        RunLog(tmp_path).add(epoch(number, loss), step=number)
    assert [(row["epoch"], row["loss"]) for row in rows(tmp_path)] == [
        ("1", "1.0000e-01"),
        ("2", "3.0000e-01"),
    ]


@pytest.mark.usefixtures("without_tensorboard")
def test_a_missing_tensorboard_is_said_once_and_kills_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "edgepose.training"):
        run = RunLog(tmp_path)
        run.add(epoch(1, 0.1), step=1)
        run.add(epoch(2, 0.1), step=2)
    assert [record.getMessage() for record in caplog.records] == [
        f"tensorboard is not installed, so {tmp_path} gets log.csv but no scalars; pip install tensorboard"
    ]
    assert not (tmp_path / "tensorboard").exists()
    assert len(rows(tmp_path)) == 2


def test_scalars(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = RunLog(tmp_path)
    run.add(epoch(1, 0.25), step=10)
    run.add(epoch(2, 0.125, pck=None), step=20)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(10, 0.25), (20, 0.125)]
    assert [e.step for e in events.Scalars("pck@0.2")] == [10]
