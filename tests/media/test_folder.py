"""Folders of images as people have them: hidden files, broken ones, sub-folders, odd names, many sizes."""

from __future__ import annotations

import json
import os

import cv2
import numpy as np
import pytest

from edgepose.datasets.open import open_data
from edgepose.errors import DataError, UsageError
from edgepose.media.canvas import MIXED_EDGE, canvas_of, size_of
from edgepose.media.folder import list_images
from edgepose.media.results.cocoresults import CocoResults
from edgepose.media.results.csvtable import CsvTable
from edgepose.media.sources import open_source
from edgepose.media.video import LONGEST_EDGE, VideoWriter
from edgepose.pose.skeletons import SKELETONS


def put(path, height=24, width=16, level=90):
    path.parent.mkdir(parents=True, exist_ok=True)
    coded = cv2.imencode(path.suffix, np.full((height, width, 3), level, np.uint8))[1]
    path.write_bytes(coded.tobytes())
    return path


def names(source):
    return [frame.name for frame in source]


def test_hidden_files_are_left_out(cases, tmp_path):
    assert names(open_source(str(cases / "images" / "apple"))) == ["IMG_1.jpg"]
    put(tmp_path / "a.jpg")
    for hidden in ("._a.jpg", ".b.jpg", ".thumbnails/c.jpg", "@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "__MACOSX/._a.jpg"):
        put(tmp_path / hidden)
    for deleted in ("#recycle", "$RECYCLE.BIN", "lost+found", "System Volume Information"):
        put(tmp_path / deleted / "old.jpg")
    put(tmp_path / "b.jpg").rename(tmp_path / "~$a.jpg")
    assert list_images(tmp_path).notes() == []
    assert names(open_source(str(tmp_path), recursive=True)) == ["a.jpg"]
    assert names(open_data(f"images:{tmp_path}")) == ["a.jpg"]


def test_unreadable_files_are_skipped_and_listed(cases):
    source = open_source(str(cases / "images" / "one_bad"), strict=False)
    assert names(source) == ["a.jpg", "c.jpg"]
    assert len(source.skipped) == 1 and "b.jpg is empty" in source.skipped[0]
    with pytest.raises(DataError, match=r"b\.jpg is empty"):
        names(open_source(str(cases / "images" / "one_bad"), strict=True))


def test_what_has_the_name_of_an_image_and_is_none(tmp_path):
    """None of them may hang the run: a pipe would."""
    put(tmp_path / "a.jpg")
    put(tmp_path / "z.jpg")
    (tmp_path / "b.jpg").mkdir()
    (tmp_path / "c.jpg").symlink_to(tmp_path / "gone.jpg")
    os.mkfifo(tmp_path / "d.jpg")
    (tmp_path / "e.jpg").write_text("no image")
    (tmp_path / "f.jpg").symlink_to(tmp_path / "f.jpg")
    whole = put(tmp_path / "g.jpg", 99, 99).read_bytes()
    (tmp_path / "g.jpg").write_bytes(whole[:-60])
    (tmp_path / "h.png").write_bytes(put(tmp_path / "h.png", 99, 99).read_bytes()[:-20])
    source = open_source(str(tmp_path), strict=False)
    frames = list(source)
    assert [frame.name for frame in frames] == ["a.jpg", "z.jpg"]
    assert [frame.index for frame in frames] == [0, 4]  # the place in the folder, so that numbers stay what they are
    assert len(source.skipped) == 6
    for start in ("c.jpg is a link to nothing", "d.jpg is no file", "f.jpg is a link to nothing"):
        assert start in source.skipped
    with pytest.raises(DataError, match=r"c\.jpg is a link to nothing; remove it, or leave out --strict"):
        open_source(str(tmp_path), strict=True)
    with pytest.raises(DataError, match=r"c\.jpg is a link to nothing; remove it"):
        open_data(f"images:{tmp_path}")


def test_a_folder_of_nothing_but_damage(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"no image can be read: .*a\.jpg is empty.* \(and 1 others\)"):
        names(open_source(str(tmp_path), strict=False))
    os.mkfifo(tmp_path / "pipes.jpg")
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).unlink()
    with pytest.raises(DataError, match=r"holds no image that can be read: pipes\.jpg is no file"):
        open_source(str(tmp_path))


def test_subfolders_are_taken_where_asked_for(cases, tmp_path):
    folder = cases / "images" / "subfolders"
    with pytest.raises(DataError, match="holds no image, but its sub-folders do; pass --recursive"):
        open_source(str(folder))
    assert names(open_source(str(folder), recursive=True)) == ["cam1/im1.jpg", "cam2/im1.jpg"]
    with pytest.raises(DataError, match=r"write images:.*:recursive"):
        open_data(f"images:{folder}")
    assert names(open_data(f"images:{folder}:recursive")) == ["cam1/im1.jpg", "cam2/im1.jpg"]
    with pytest.raises(UsageError, match="has no splits"):
        open_data(f"images:{folder}:deep")


def test_folders_in_natural_order_and_links_to_folders_once(tmp_path):
    for name in ("s10/1.jpg", "s2/10.jpg", "s2/9.jpg", "b.jpg"):
        put(tmp_path / name)
    (tmp_path / "s2" / "loop").symlink_to(tmp_path)
    (tmp_path / "s3").symlink_to(tmp_path / "s10")
    found = names(open_source(str(tmp_path), recursive=True))
    assert found[:3] == ["b.jpg", "s2/9.jpg", "s2/10.jpg"]
    assert len(found) == 4 and found[3] in ("s3/1.jpg", "s10/1.jpg")


def test_what_is_left_out_is_said_in_one_line_each(tmp_path):
    for name in ("a.jpg", "deep/er/b.jpg"):
        put(tmp_path / name)
    for name in ("a.txt", "b.TXT", "c.mp4", "README"):
        (tmp_path / name).write_text("")
    lines = []
    assert names(open_source(str(tmp_path), note=lines.append)) == ["a.jpg"]
    assert lines == [
        f"{tmp_path}: left out 4 files that are no images (2 .txt, 1 without a suffix, 1 .mp4)",
        f"{tmp_path}: left out the images in sub-folders; --recursive takes them too",
    ]
    assert list_images(tmp_path, recursive=True).notes() == lines[:1]


ODD = [
    *("a b.jpg", "a\nb.jpg", "日本.jpg", "100%d.jpg", "%s{}.jpg", "-x.jpg", "it's.jpg", "a\x1b[31m.jpg"),
    "a" * 250 + ".jpg",
]
SHOWN = {"a b.jpg", "a\\nb.jpg", "日本.jpg", "100%d.jpg", "l\\xe4tin.jpg", "a\\x1b[31m.jpg"}


def test_odd_names_reach_every_output(tmp_path, two_people):
    folder = tmp_path / "photographs"
    for name in ODD:
        put(folder / name)
    put(folder / "plain.jpg").rename(os.fsdecode(os.fsencode(folder) + b"/l\xe4tin.jpg"))
    frames = list(open_source(str(folder)))
    assert len(frames) == len(ODD) + 1
    assert {"a b.jpg", "a\\nb.jpg", "日本.jpg", "100%d.jpg", "l\\xe4tin.jpg", "a\\x1b[31m.jpg"} < {
        f.name for f in frames
    }
    out, table = tmp_path / "poses.json", tmp_path / "poses.csv"
    with CocoResults(out) as json_file, CsvTable(table, SKELETONS["lsp14"]) as csv_file:
        for frame in frames:
            json_file.write(frame, two_people)
            csv_file.write(frame, two_people)
    assert len(json.loads(out.read_text())) == 2 * len(frames)
    assert len(table.read_text().splitlines()) == 2 * len(frames) + 1


def test_the_overlay_of_a_tiny_first_picture(cases):
    assert open_source(str(cases / "images" / "small_first")).canvas() == (320, 256)


@pytest.mark.parametrize(
    ("sizes", "canvas"),
    [
        ([(2, 2), (320, 256)], (320, 256)),
        ([(60, 9000), (48, 64)], (48, MIXED_EDGE)),
        ([(8192, 6000), (6000, 8192)], (MIXED_EDGE, MIXED_EDGE)),
        ([(1, 1), (1, 1), (15, 2), (320, 256)], (320, 256)),
        ([(2, 2)], (2, 2)),
        ([(60, 9000), (48, 64), (48, 64)], (48, 64)),
        ([(48, 64), (64, 48)], (64, 64)),
        ([(100, 10), (10, 200), (30, 30)], (100, 200)),
        ([(48, 64)] * 3 + [(1, 1)], (48, 64)),
    ],
)
def test_the_size_of_the_overlay_suits_all_pictures(tmp_path, sizes, canvas):
    paths = [put(tmp_path / f"{i}.png", *size) for i, size in enumerate(sizes)]
    (tmp_path / "bad.png").write_bytes(b"\x89PNG")
    assert canvas_of([*paths, tmp_path / "bad.png"]) == canvas
    with (
        open_source(str(tmp_path), strict=False) as source,
        VideoWriter(tmp_path / "x.mp4", 5.0, source.canvas()) as out,
    ):
        for frame in source:
            out.write(frame.image)
    video = cv2.VideoCapture(str(tmp_path / "x.mp4"))
    held = (int(video.get(cv2.CAP_PROP_FRAME_HEIGHT)), int(video.get(cv2.CAP_PROP_FRAME_WIDTH)))
    assert held == tuple(edge - edge % 2 for edge in canvas)
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == len(sizes)


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_a_picture_wider_than_the_encoder_takes(tmp_path, suffix):
    with VideoWriter(tmp_path / f"x{suffix}", 5.0) as out:
        out.write(np.zeros((90, 9000, 3), np.uint8))
    video = cv2.VideoCapture(str(tmp_path / f"x{suffix}"))
    assert video.read()[1].shape == (80, LONGEST_EDGE, 3)


def test_sizes_of_headers_are_those_of_the_pictures(tmp_path):
    for suffix in (".jpg", ".png", ".bmp", ".webp", ".tif", ".ppm"):
        assert size_of(put(tmp_path / f"x{suffix}", 34, 56)) == (34, 56)
    assert size_of(tmp_path / "missing.jpg") is None
