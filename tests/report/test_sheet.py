"""The contact sheet: whom it shows, that labels are drawn where they are, and people whose photograph is missing."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from edgepose.datasets.check import examine
from edgepose.datasets.open import open_data
from edgepose.datasets.samples import SampleList
from edgepose.errors import DataError, EdgeposeError
from edgepose.report.sheet import CAPTION, CELL, COLUMNS, ROWS, chosen, write_sheet


def test_whom_to_show():
    assert chosen(range(5), []) == [0, 1, 2, 3, 4]
    some = chosen(range(1000), [7, 500])
    assert len(some) == COLUMNS * ROWS
    assert {7, 500} <= set(some)
    assert len(set(some)) == len(some)
    odd = chosen(range(1000), range(900))
    assert len(odd) == COLUMNS * ROWS
    assert sum(i < 900 for i in odd) == COLUMNS * ROWS // 2
    assert chosen([1, 3], [2, 3]) == [1, 3]  # an odd person who is ignored is not shown


@pytest.fixture(scope="module")
def figures():
    whole = open_data("synthetic:8")
    samples = tuple(whole[i] for i in range(8))
    return SampleList(name="figures", skeleton=whole.skeleton, samples=samples, image_ids=tuple(range(8)))


def test_size_and_place(figures, tmp_path):
    write_sheet(tmp_path / "sheet.png", [(figures, examine(figures)), (figures, examine(figures))])
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape == (2 * (30 + 2 * (CELL[0] + CAPTION)), COLUMNS * CELL[1], 3)
    cell = sheet[30 : 30 + CELL[0], : CELL[1]]
    plain = cv2.cvtColor(cell, cv2.COLOR_BGR2HSV)[..., 1]
    assert plain.max() > 100  # limbs are drawn in color


def test_labels_are_drawn_on_their_joints(figures, tmp_path):
    """A white photograph: every colored pixel is a label, and they lie around the joints of the one person."""
    sample = dataclasses.replace(figures[0], read=lambda: np.full((320, 256, 3), 255, np.uint8))
    alone = dataclasses.replace(figures, samples=(sample,), image_ids=(0,))
    write_sheet(tmp_path / "sheet.png", [(alone, examine(alone))])
    cell = cv2.imread(str(tmp_path / "sheet.png"))[30 : 30 + CELL[0], : CELL[1]]
    rows, columns = np.nonzero(cv2.cvtColor(cell, cv2.COLOR_BGR2HSV)[..., 1] > 100)
    # the box is in the middle of the cell, and fills one side of it by 1 / 1.4
    box = sample.box_xyxy
    scale = min(CELL[1] / (box[2] - box[0]), CELL[0] / (box[3] - box[1])) / 1.4
    wanted = scale * np.array([box[2] - box[0], box[3] - box[1]])
    assert np.allclose([np.ptp(columns), np.ptp(rows)], wanted, atol=8)
    assert np.allclose([columns.min() + np.ptp(columns) / 2, rows.min() + np.ptp(rows) / 2], [99.5, 129.5], atol=5)


def test_a_missing_photograph_is_gray(figures, tmp_path):
    def gone():
        raise DataError("cannot read image")

    lost = dataclasses.replace(figures, samples=tuple(dataclasses.replace(s, read=gone) for s in figures.samples))
    write_sheet(tmp_path / "sheet.png", [(lost, examine(lost))])
    cell = cv2.imread(str(tmp_path / "sheet.png"))[30 : 30 + CELL[0], : CELL[1]]
    assert (cell[5:20, 5:20] == 128).all()
    assert cv2.cvtColor(cell, cv2.COLOR_BGR2HSV)[..., 1].max() > 100


def test_nobody_and_a_place_that_is_none(tmp_path):
    empty = SampleList(name="nobody", skeleton=open_data("synthetic:1").skeleton, samples=(), image_ids=())
    write_sheet(tmp_path / "sheet.png", [(empty, examine(empty))])
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (30, COLUMNS * CELL[1], 3)
    with pytest.raises(EdgeposeError, match="is no picture format that OpenCV writes"):
        write_sheet(tmp_path / "sheet.docx", [(empty, examine(empty))])
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]
