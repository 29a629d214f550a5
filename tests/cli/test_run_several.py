"""`edgepose run` with several sources: outputs for each, one that fails, one page for all, and faulty cameras."""

from __future__ import annotations

import json
import re
import shutil
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgepose.api.run import RunOptions, run
from edgepose.errors import DataError, UsageError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def two(photographs: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Two folders of pictures, of 6 and of 3."""
    hall, yard = tmp_path / "hall", tmp_path / "yard"
    for folder, count in ((hall, 6), (yard, 3)):
        folder.mkdir()
        for i in range(count):
            shutil.copy(photographs / f"{i:03d}.jpg", folder)
    return hall, yard


def test_each_source_has_outputs_of_its_own(
    edgepose: Callable[..., Any], engines: Path, two: tuple[Path, Path], tmp_path: Path
) -> None:
    hall, yard = two
    out = tmp_path / "out"
    done = edgepose(
        "run", engines / "openvino-fp32", "--source", hall, "--source", yard, "--track", "--smooth",
        "--out-json", out / "poses.json", "--out-openpose", out / "{source}" / "op", "--out-jsonl", out / "poses.jsonl",
    )  # fmt: skip
    assert done.code == 0, done.err
    for name, count in (("hall", 6), ("yard", 3)):
        written = json.loads((out / f"poses-{name}.json").read_text())
        assert [image["file_name"] for image in written["images"]] == [f"{i:03d}.jpg" for i in range(count)]
        assert written["info"]["source"] == name
        assert len(list((out / name / "op").glob("*.json"))) == count
        mine = [json.loads(line) for line in (out / f"poses-{name}.jsonl").read_text().splitlines()]
        assert {line["source"] for line in mine} == {name}
        assert [line["index"] for line in mine] == list(range(count))
        assert all(person["track_id"] == 1 for line in mine for person in line["people"])  # ids begin anew
        assert f"{name}: {count} frames" in done.err and f"{name}: smoothing: " in done.err


def test_several_sources_have_the_poses_of_single_runs(engines: Path, two: tuple[Path, Path]) -> None:
    alone: dict[tuple[str, str], Any] = {}
    together: dict[tuple[str, str], Any] = {}
    for source in two:
        run(engines / "openvino-fp32", source=source,
            sinks=[lambda frame, poses, name=source.name: alone.setdefault((name, frame.name), poses)])  # fmt: skip
    result = run(
        engines / "openvino-fp32",
        source=list(two),
        sinks=[lambda frame, poses: together.setdefault((frame.source, frame.name), poses)],
    )
    assert [(one.name, one.frames, one.error) for one in result.sources] == [("hall", 6, ""), ("yard", 3, "")]
    assert result.frames == 9 and together.keys() == alone.keys()
    for key, poses in alone.items():
        assert together[key].xy_image == pytest.approx(poses.xy_image, abs=0.5)


def test_a_source_that_fails_does_not_end_the_others(
    edgepose: Callable[..., Any], engines: Path, two: tuple[Path, Path], tmp_path: Path
) -> None:
    hall, yard = two
    (yard / "001.jpg").write_bytes(b"no picture")
    done = edgepose(
        "run", engines / "openvino-fp32", "--source", hall, "--source", yard, "--source", tmp_path / "gone.mp4",
        "--strict", "--out-csv", tmp_path / "poses.csv",
    )  # fmt: skip
    assert done.code == 1
    assert len((tmp_path / "poses-hall.csv").read_text().splitlines()) == 1 + 6
    assert len(re.findall("the other sources go on", done.err)) == 2 and "gone: no source" in done.err
    assert "sources that failed: yard, gone" in done.err
    with pytest.raises(DataError, match="no source"):
        run(engines / "openvino-fp32", source=[tmp_path / "a.mp4", tmp_path / "b.mp4"], sinks=[print])


def test_only_sources_with_frames_have_a_line_about_their_people(engines: Path, two: tuple[Path, Path]) -> None:
    _, yard = two
    (yard / "000.jpg").write_bytes(b"no picture")
    lines: list[str] = []
    options = RunOptions(strict=True, track=True, smooth=True)
    result = run(engines / "openvino-fp32", source=list(two), options=options, sinks=[print], note=lines.append)
    assert [one.frames for one in result.sources] == [6, 0]
    assert [line.split(": ")[0] for line in lines if "smoothing: " in line] == ["hall"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--out-json", "-"), "cannot hold several sources"),
        (("--out-csv", "p.csv", "--detector", "boxes.json"), "about the frames of one source"),
        (("--out-csv", "p.csv", "--source", "camera:left"), "expected camera:N"),
    ],
)
def test_what_several_sources_cannot_do(
    edgepose: Callable[..., Any], engines: Path, two: tuple[Path, Path], tmp_path: Path, given: tuple[str, ...],
    message: str, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    done = edgepose("run", engines / "openvino-fp32", "--source", two[0], "--source", two[1], *given)
    assert done.code == 2 and message in done.err, done.err


def test_sources_of_one_name_are_numbered() -> None:
    from edgepose.api.several import names_of

    assert names_of(["rtsp://a/live", "camera:0", "rtsp://b/live"]) == ["live-1", "camera0", "live-3"]
    with pytest.raises(UsageError, match="two sources would be called 'live-1'"):
        names_of(["rtsp://a/live", "rtsp://b/live", "rtsp://c/live-1"])


def test_one_page_shows_all_sources(engines: Path, two: tuple[Path, Path]) -> None:
    seen: dict[str, Any] = {}
    address: list[str] = []

    def get(path: str) -> bytes:
        with urllib.request.urlopen(address[0] + path, timeout=10) as answer:
            found: bytes = answer.read()
        return found

    def note(line: str) -> None:
        address.extend(re.findall(r"http://localhost:\d+/", line))

    def look(frame: Any, poses: Any) -> None:
        if address and frame.source == "hall" and frame.index == 3 and not seen:
            seen["page"], seen["numbers"] = get(""), json.loads(get("numbers.json"))
            seen["second"] = json.loads(get("2/numbers.json"))
            seen["picture"], seen["own page"] = get("1/frame.jpg"), get("1/")

    run(engines / "openvino-fp32", source=list(two), options=RunOptions(view="0"), sinks=[look], note=note)
    assert b'"person"' in seen["page"], "one of the people is no plural"
    assert b"align-items: start" in seen["page"], "low pictures would have a black field below"
    assert b"numbers.json" in seen["page"] and b"stream.mjpg" in seen["own page"]
    assert [one["source"] for one in seen["numbers"]["sources"]] == ["hall", "yard"]
    assert seen["second"]["source"] == "yard" and seen["picture"][:2] == b"\xff\xd8"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--start", "abc"), "--start 'abc' is no time"),
        (("--end", "1:99"), "--end '1:99' is no time"),
        (("--detect-every", "x"), "edgepose: --detect-every 'x'"),
        (("--det-classes", "dog"), "add --detector"),
        (("--det-classes", "a,,b", "--detector", "x.onnx"), "--det-classes 'a,,b': expected names or numbers"),
    ],
)
def test_wrong_values_name_their_flag(edgepose: Callable[..., Any], given: tuple[str, ...], message: str) -> None:
    done = edgepose("run", "lite", "--source", "x.mp4", *given)
    assert done.code == 2 and message in done.err


def test_one_frame_is_no_plural(edgepose: Callable[..., Any], engines: Path, photographs: Path) -> None:
    done = edgepose("run", engines / "openvino-fp32", "--source", photographs / "000.jpg")
    assert done.code == 0 and "\n1 frame\n" in f"\n{done.err}"


@pytest.mark.slow
def test_faulty_cameras_end_no_run(data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty seconds of `benchmarks/soak.py`, with more faults than there."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import soak

    faults = {"stalls_per_s": 0.2, "cuts_per_s": 0.2, "damage_per_s": 3.0, "stall_s": 1.0}
    try:
        done = soak.soak(data_root / soak.VIDEO, 20.0, faults=faults)
    finally:
        for name in ("soak", "faulty_camera", "records"):
            sys.modules.pop(name, None)
    assert done.exits == 0, done.said
    assert done.frames > 10 and sum(fault.flipped for fault in done.faults) > 50
