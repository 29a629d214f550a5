"""`edgepose run` on videos of every kind: results and overlay have the frames and the times of the file."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
from media.films import CASES, moving, steps, write_film

Edgepose = Callable[..., Any]
# file -> (frames, time of the last one, length of the overlay), both in seconds
EXPECTED = {
    "plain.mp4": (30, 1.16, 1.2),
    "interlaced.mp4": (15, 1.12, 1.2),
    "vfr_pause.mkv": (30, 2.69, 2.73),
    "vfr_pause.mp4": (30, 2.69, 2.73),
    "held_frames.avi": (30, 2.69, 2.70),
    "fps1000.mp4": (30, 0.029, 0.030),
    "cover_art.mkv": (30, 1.16, 1.2),
    "av1.mp4": (30, 1.16, 1.2),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_cases(edgepose: Edgepose, engines: Path, tmp_path: Path, name: str) -> None:
    source = CASES / name
    if not source.is_file():
        pytest.skip(f"no {source}")
    outs = [tmp_path / f"o.{kind}" for kind in ("mp4", "json", "csv")]
    done = edgepose(
        "run", engines / "openvino-fp32", "--source", source,
        "--out-video", outs[0], "--out-json", outs[1], "--out-csv", outs[2],
    )  # fmt: skip
    count, last, length = EXPECTED[name]
    assert done.code == 0, done.err
    rows = list(csv.DictReader(outs[2].read_text().splitlines()))
    assert len(rows) == count == len(json.loads(outs[1].read_text())["images"])
    assert float(rows[-1]["time_s"]) == pytest.approx(last, abs=1e-3)
    assert sum(float(row["score"]) for row in rows) / count > 0.1  # a black picture has scores near 0
    with av.open(str(outs[0])) as file:
        stream = file.streams.video[0]
        assert stream.codec.canonical_name == "h264" and stream.pix_fmt == "yuv420p"
        assert stream.frames == count
        assert float(stream.duration * stream.time_base) == pytest.approx(length, abs=0.06)
        times = [frame.time for frame in file.decode(video=0)]
    assert times[-1] == pytest.approx(last, abs=1e-3)


def test_a_part_with_sound(edgepose: Edgepose, engines: Path, tmp_path: Path) -> None:
    source = write_film(tmp_path / "film.mkv", steps(50), sound=("aac", 0.0))
    out = tmp_path / "o.mp4"
    part = ("--start", "0:00:00.4", "--end", "1.4", "--every", "5")
    done = edgepose("run", engines / "openvino-fp32", "--source", source, *part, "--out-video", out)
    assert done.code == 0, done.err
    with av.open(str(out)) as file:
        assert [stream.type for stream in file.streams] == ["video", "audio"]
        assert [frame.time for frame in file.decode(video=0)] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8], abs=1e-3)
    done = edgepose("run", engines / "openvino-fp32", "--source", source, *part)
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [line["index"] for line in lines] == [10, 15, 20, 25, 30]
    assert [line["time_s"] for line in lines] == [0.4, 0.6, 0.8, 1.0, 1.2]


def test_a_truncated_film(edgepose: Edgepose, engines: Path, tmp_path: Path) -> None:
    source = write_film(tmp_path / "film.mkv", steps(40), pictures=moving(40), options={"g": "5"})
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    words = ("run", engines / "openvino-fp32", "--source", source, "--overwrite", "--out-json", tmp_path / "o.json")
    done = edgepose(*words)
    assert done.code == 1 and done.err.count("damaged or truncated") == 1 and "Traceback" not in done.err
    kept = len(json.loads((tmp_path / "o.json").read_text())["images"])
    done = edgepose(*words, "--skip-errors")
    assert done.code == 0 and done.err.count("damaged or truncated") == 1
    assert len(json.loads((tmp_path / "o.json").read_text())["images"]) == kept > 5


def test_wrong_usage(edgepose: Edgepose, engines: Path, tmp_path: Path) -> None:
    source = write_film(tmp_path / "film.mp4", steps(3))
    for words, says in (
        (("--start", "soon"), "is no time"),
        (("--start", "2", "--end", "1"), "--end 1 is not after --start 2"),
        (("--every", "0"), "--every"),
        (("--video-codec", "h265", "--out-video", tmp_path / "o.mp4"), "did you mean"),
        (("--video-codec", "h264", "--out-video", tmp_path / "o.webm"), "takes no h264"),
    ):
        done = edgepose("run", engines / "openvino-fp32", "--source", source, *words)
        assert done.code == 2 and says in done.err, done.err
    done = edgepose(
        "run", engines / "openvino-fp32", "--source", tmp_path, "--recursive", "--out-video", source, "--overwrite"
    )
    assert done.code == 2 and "--recursive reads the videos" in done.err
