"""Annotated pictures: their names, and what is drawn."""

from __future__ import annotations

from dataclasses import replace

import cv2
import pytest

from edgepose.media.results.pictures import file_name


@pytest.mark.parametrize(
    ("frame_name", "name"),
    [
        ("clip-000003", "clip-000003.jpg"),
        ("walk.720p-000001", "walk.720p-000001.jpg"),
        ("a.jpg", "a.jpg"),
        ("deep/a.PNG", "deep/a.PNG"),
        ("a.tif", "a.tif.jpg"),
        ("a.heic", "a.heic.jpg"),
    ],
)
def test_names(frame_name, name) -> None:
    assert file_name(frame_name) == name


def test_pictures_hold_the_poses(opened, frame, tracked, nobody, tmp_path) -> None:
    with opened("images") as sink:
        sink.write(replace(frame(0), name="deep/a.png"), tracked)
        sink.write(frame(1), nobody)
    drawn, empty = (cv2.imread(str(tmp_path / "out" / name)) for name in ("deep/a.png", "clip-000001.jpg"))
    assert drawn.shape == (100, 120, 3) and drawn.max() > 150
    assert empty.max() < 10
    assert (tmp_path / "out" / "deep" / "a.png").stat().st_mode & 0o600 == 0o600
    assert not list((tmp_path / "out").rglob(".*"))


def test_several_outputs_draw_once(opened, frame, tracked, tmp_path, monkeypatch) -> None:
    from edgepose.media import draw

    drawn: list[int] = []
    real = draw.draw_poses
    monkeypatch.setattr(draw, "draw_poses", lambda *given, **options: (drawn.append(1), real(*given, **options))[1])
    with opened("images") as pictures, opened("video") as video:
        for i in range(3):
            one = frame(i)
            pictures.write(one, tracked)
            video.write(one, tracked)
    assert len(drawn) == 3
