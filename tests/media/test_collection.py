"""Folders of images and films."""

from __future__ import annotations

import cv2
import pytest
from media.films import gray, levels, steps, write_film

from edgepose.errors import DataError, UsageError
from edgepose.media.selection import Selection
from edgepose.media.sources import open_source


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "b").mkdir()
    cv2.imwrite(str(tmp_path / "1.png"), gray(20))
    write_film(tmp_path / "2.mp4", steps(4))
    write_film(tmp_path / "b" / "3.mkv", steps(3), pictures=[gray(36, (64, 48))] * 3)
    cv2.imwrite(str(tmp_path / "b" / "4.png"), gray(60))
    return tmp_path


def test_images_and_films_one_after_another(folder):
    with open_source(str(folder), recursive=True) as source:
        frames = list(source)
    assert [frame.name for frame in frames] == [
        "1.png", "2.mp4-000000", "2.mp4-000001", "2.mp4-000002", "2.mp4-000003",
        "b/3.mkv-000000", "b/3.mkv-000001", "b/3.mkv-000002", "b/4.png",
    ]  # fmt: skip
    assert [frame.index for frame in frames] == [frame.image_id for frame in frames] == list(range(9))
    expected = [0, 0.1, 0.14, 0.18, 0.22, 0.32, 0.36, 0.4, 0.5]
    assert [frame.time_s for frame in frames] == pytest.approx(expected, abs=1e-3)
    assert levels(frame.image for frame in frames) == [0, 0, 1, 2, 3, 2, 2, 2, 5]


def test_without_recursive_films_are_left_out(folder):
    notes = []
    with open_source(str(folder), note=notes.append) as source:
        assert [frame.name for frame in source] == ["1.png"]
    assert "1 .mp4" in notes[0] and "--recursive" in notes[1]
    (folder / "1.png").unlink()
    (folder / "b" / "4.png").unlink()
    with pytest.raises(DataError, match=r"holds no image, but 1 video; pass --recursive"):
        open_source(str(folder))


def test_every_second_frame_of_each_film(folder):
    with open_source(str(folder), recursive=True, selection=Selection(every=2)) as source:
        assert [frame.name for frame in source] == [
            "1.png", "2.mp4-000000", "2.mp4-000002", "b/3.mkv-000000", "b/3.mkv-000002"
        ]  # fmt: skip
    with pytest.raises(UsageError, match=r"times in one film, and .* is a folder"):
        open_source(str(folder), recursive=True, selection=Selection(start_s=1))


def test_files_that_cannot_be_read(folder):
    (folder / "0.mp4").write_bytes(b"nothing")
    (folder / "3.jpg").write_bytes(b"\xff\xd8\xff")
    with open_source(str(folder), recursive=True, strict=False) as source:
        assert len(list(source)) == 9
        assert ["0.mp4" in source.skipped[0], "3.jpg" in source.skipped[1]] == [True, True] and len(source.skipped) == 2
    with open_source(str(folder), recursive=True) as source, pytest.raises(DataError, match=r"0\.mp4"):
        list(source)
