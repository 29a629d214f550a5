"""Every output that writes files: complete however the run ends, and careful with the results of earlier runs."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgepose.api.outputs import OutputOptions
from edgepose.errors import EdgeposeError
from edgepose.media.results import MARKER, OUTPUTS, field_of

FILES = [name for name, output in OUTPUTS.items() if output.form in ("file", "text")]
FOLDERS = [name for name, output in OUTPUTS.items() if output.form == "folder"]


def frames_in(name: str, place: Path) -> int:
    """How many frames an output holds; it raises where the output cannot be read."""
    if name == "video":
        return int(cv2.VideoCapture(str(place)).get(cv2.CAP_PROP_FRAME_COUNT))
    if name == "json":
        return len(json.loads(place.read_text())["images"])
    if name == "coco_results":
        return len({entry["image_id"] for entry in json.loads(place.read_text())})
    if name == "jsonl":
        return len([json.loads(line) for line in place.read_text().splitlines()])
    if name == "csv":
        with place.open(newline="") as file:
            return len({row["frame"] for row in csv.DictReader(file)})
    if name == "parquet":
        from pyarrow import parquet

        return len(set(parquet.read_table(place)["frame"].to_pylist()))
    if name == "mot_challenge":
        return len({line.split(",")[0] for line in place.read_text().splitlines()})
    if name == "images":
        return sum(cv2.imread(str(path)) is not None for path in place.glob("*.jpg"))
    if name == "openpose":
        return len([json.loads(path.read_text()) for path in place.glob("*.json")])
    (table,) = (path for path in place.iterdir() if path.name != MARKER)
    return len(table.read_text().split("endheader\n")[-1].splitlines()) - (5 if name == "trc" else 1)


def test_options_and_registry_agree() -> None:
    assert [item.name for item in fields(OutputOptions)] == [field_of(name) for name in OUTPUTS]
    flags = {item.name: item.metadata["flag"] for item in fields(OutputOptions)}
    assert flags == {field_of(name): output.flag for name, output in OUTPUTS.items()}
    assert all(output.form in ("file", "text", "folder", "address") for output in OUTPUTS.values())


def test_the_registry_costs_no_numpy() -> None:
    code = "import sys, edgepose.api.outputs; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
def test_an_interrupted_run_leaves_what_it_found(name, opened, frame, tracked, tmp_path) -> None:
    with pytest.raises(KeyboardInterrupt), opened(name) as sink:
        for i in range(3):
            sink.write(frame(i), tracked)
        raise KeyboardInterrupt
    (place,) = tmp_path.iterdir()
    assert frames_in(name, place) == 3
    sink.close()  # twice is fine


@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
def test_a_run_that_found_nobody_and_fails_keeps_the_earlier_results(name, opened, frame, tracked, tmp_path) -> None:
    with opened(name) as sink:
        sink.write(frame(0), tracked)
    (place,) = tmp_path.iterdir()
    before = {path: path.read_bytes() for path in [place, *place.glob("*")] if path.is_file()}
    with pytest.raises(EdgeposeError), opened(name):
        raise EdgeposeError("the source cannot be read")
    assert list(tmp_path.iterdir()) == [place]
    assert {path: path.read_bytes() for path in [place, *place.glob("*")] if path.is_file()} == before


@pytest.mark.parametrize("name", FOLDERS)
def test_a_later_run_replaces_a_folder(name, opened, frame, tracked, tmp_path) -> None:
    for count in (3, 2):
        with opened(name) as sink:
            for i in range(count):
                sink.write(frame(i), tracked)
    assert frames_in(name, tmp_path / "out") == 2
    marker = json.loads((tmp_path / "out" / MARKER).read_text())
    assert (marker["format"], marker["source"], marker["skeleton"]["name"]) == (1, "clip", "lsp14")


@pytest.mark.parametrize("name", [*(set(FILES) - {"video", "coco_results", "mot_challenge"})])
def test_frames_without_people_are_there(name, opened, frame, tracked, nobody, tmp_path) -> None:
    with opened(name) as sink:
        for i, poses in enumerate((nobody, tracked, nobody)):
            sink.write(frame(i), poses)
    assert frames_in(name, tmp_path / "out") == 3


@pytest.mark.parametrize("name", FILES)
def test_a_place_that_cannot_be_written(name, opened, frame, tracked, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" / ("x.mp4" if name == "video" else "x")
    with pytest.raises(EdgeposeError, match="cannot write"), opened(name, place) as sink:
        sink.write(frame(0), tracked)


@pytest.fixture
def small_disk():
    """No file can grow beyond 20 kB: what a full disk looks like from inside."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", [*(set(FILES) - {"video", "jsonl"}), "trc"])
def test_a_full_disk_is_an_error_and_keeps_the_old_file(name, opened, frame, tracked, tmp_path, small_disk) -> None:
    place = tmp_path / "poses"
    if name != "trc":
        place.write_text("old")
    one = tracked[0] if name == "trc" else tracked
    rng = np.random.default_rng(0)
    with pytest.raises(EdgeposeError, match=r"cannot write .*poses"), opened(name, place) as sink:
        for i in range(2000):
            one.xy_image[:] = rng.uniform(0, 100, one.xy_image.shape)  # what Parquet cannot compress
            sink.write(frame(i), one)
    assert list(tmp_path.iterdir()) == ([] if name == "trc" else [place])
    assert name == "trc" or place.read_text() == "old"


def test_a_full_disk_leaves_whole_lines(opened, frame, tracked, tmp_path, small_disk) -> None:
    with pytest.raises(EdgeposeError, match="cannot write"), opened("jsonl") as sink:
        for i in range(100):
            sink.write(frame(i), tracked)
    assert frames_in("jsonl", tmp_path / "out") > 5
