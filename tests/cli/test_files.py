"""Files are precious: whatever a command line says, no input, device, pipe or folder of the user is lost."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgepose._leftovers import only_one
from edgepose.media.video import VideoWriter

Edgepose = Callable[..., Any]


@pytest.fixture(scope="module")
def engine(engines: Path) -> Path:
    return engines / "openvino-fp32"


def clip(path: Path, frames: int = 3) -> Path:
    with VideoWriter(path, 5.0) as video:
        for _ in range(frames):
            video.write(np.full((64, 48, 3), 90, np.uint8))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_run_never_replaces_what_it_reads(edgepose: Edgepose, engine: Path, photographs: Path, tmp_path: Path) -> None:
    source = clip(tmp_path / "clip.mp4")
    own = shutil.copytree(engine, tmp_path / "engine")
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps([{"frame": "clip-000000", "bbox": [1, 1, 40, 60], "score": 1.0}]))
    (tmp_path / "link.mp4").symlink_to(source)
    (tmp_path / "hard.mp4").hardlink_to(source)
    before = contents(tmp_path)
    for flags in (
        ("--source", source, "--out-video", source),
        ("--source", source, "--out-video", tmp_path / "link.mp4"),
        ("--source", source, "--out-video", tmp_path / "hard.mp4"),
        ("--source", tmp_path / "link.mp4", "--out-video", source),
        ("--source", source, "--out-json", source),
        ("--source", source, "--detector", boxes, "--out-json", boxes),
        ("--source", source, "--out-json", own / "manifest.json"),
        ("--source", photographs, "--out-csv", photographs / "003.jpg"),
    ):
        done = edgepose("run", own, *flags, "--overwrite")
        assert done.code == 2 and "input" in done.err, (flags, done.err)
        assert contents(tmp_path) == before
    assert (tmp_path / "link.mp4").is_symlink()


def test_run_writes_through_links_and_into_devices(edgepose: Edgepose, engine: Path, tmp_path: Path) -> None:
    source, pipe = clip(tmp_path / "clip.mp4"), tmp_path / "pipe"
    (tmp_path / "deep").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "deep" / "poses.json")
    os.mkfifo(pipe)
    done = edgepose("run", engine, "--source", source, "--out-json", tmp_path / "link.json", "--out-csv", "/dev/null")
    assert done.code == 0, done.err
    assert (tmp_path / "link.json").is_symlink()
    assert len(json.loads((tmp_path / "deep" / "poses.json").read_text())["images"]) == 3
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode) and "/dev/null" not in done.out
    done = edgepose("run", engine, "--source", source, "--out-json", pipe, "--overwrite")
    assert done.code == 1 and "nobody reads from this pipe" in done.err
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    done = edgepose("run", engine, "--source", source, "--out-json", "/dev/zero", "--overwrite")
    assert done.code == 2 and "is a device" in done.err
    done = edgepose("run", engine, "--source", source, "--out-json", tmp_path / "clip.mp4" / "x.json")
    assert done.code == 1 and "Not a directory" in done.err
    done = edgepose("run", engine, "--source", source, "--out-json", tmp_path / ("x" * 300 + ".json"))
    assert done.code == 1 and "too long" in done.err


def test_a_run_that_fails_at_once_keeps_the_earlier_results(edgepose: Edgepose, engine: Path, tmp_path: Path) -> None:
    outputs = {flag: tmp_path / name for flag, name in (("--out-json", "p.json"), ("--out-csv", "p.csv"))}
    flags = [part for pair in outputs.items() for part in pair]
    (tmp_path / "cut.jpg").write_bytes(cv2.imencode(".jpg", np.zeros((64, 48, 3), np.uint8))[1].tobytes()[:-30])
    done = edgepose("run", engine, "--source", tmp_path / "cut.jpg", *flags, "--out-video", tmp_path / "v.mp4")
    assert done.code == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.jpg"]
    for path in outputs.values():
        path.write_text("earlier")
    done = edgepose("run", engine, "--source", tmp_path / "cut.jpg", *flags, "--overwrite")
    assert done.code == 1
    assert [path.read_text() for path in outputs.values()] == ["earlier", "earlier"]


def test_folders_of_images_from_end_to_end(edgepose: Edgepose, engine: Path, cases: Path, tmp_path: Path) -> None:
    out, video = tmp_path / "poses.json", tmp_path / "poses.mp4"
    done = edgepose("run", engine, "--source", cases / "images" / "one_bad", "--out-json", out, "--out-video", video)
    assert done.code == 1
    assert "skipped from there: 1" in done.err and "b.jpg is empty" in done.err
    assert [entry["file_name"] for entry in json.loads(out.read_text())["images"]] == ["a.jpg", "c.jpg"]
    strict = ("--strict", "--overwrite", "--out-json", out)
    done = edgepose("run", engine, "--source", cases / "images" / "one_bad", *strict)
    assert done.code == 1 and "skipped" not in done.err and "b.jpg is empty" in done.err
    done = edgepose("run", engine, "--source", cases / "images" / "subfolders", "--out-json", out, "--overwrite")
    assert done.code == 1 and "--recursive" in done.err
    done = edgepose("run", engine, "--source", cases / "images" / "subfolders", "--recursive")
    assert done.code == 0
    assert [json.loads(line)["frame"] for line in done.out.splitlines()] == ["cam1/im1.jpg", "cam2/im1.jpg"]


def test_boxes_of_two_folders_are_not_mixed(edgepose: Edgepose, engine: Path, cases: Path, tmp_path: Path) -> None:
    source = cases / "images" / "subfolders"
    done = edgepose("run", engine, "--source", source, "--recursive", "--detector", tmp_path / "boxes.json")
    assert done.code == 2 and "leave out --recursive" in done.err


def test_build_never_replaces_what_it_reads(edgepose: Edgepose, engines: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    float_net = shutil.copy(engines / "fp32.onnx", out / "int8.onnx")
    spec = out / "scales.json"
    spec.write_text('name = "net"')
    engine = shutil.copytree(engines / "openvino-fp32", out / "onnxruntime-fp32")
    inside = shutil.copy(engines / "fp32.onnx", engine / "net.onnx")
    before = contents(tmp_path)
    flags = ("--precision", "fp32", "--backend", "onnxruntime", "--out", out, "--overwrite")
    for given, says in (
        ((float_net,), "int8.onnx is an input"),
        ((engines / "fp32.onnx", "--spec", spec), "scales.json is an input"),
        ((inside,), "in it is an input"),
    ):
        done = edgepose("build", *given, *flags)
        assert done.code == 2 and says in done.err
        assert contents(tmp_path) == before


def test_a_folder_that_is_no_engine_stays(edgepose: Edgepose, tmp_path: Path) -> None:
    photos = tmp_path / "openvino-fp32"
    photos.mkdir()
    (photos / "a.jpg").write_text("precious")
    done = edgepose("build", "lite", "--precision", "fp32", "--backend", "openvino", "--out", tmp_path, "--overwrite")
    assert done.code == 2 and "edgepose did not write it" in done.err
    assert contents(tmp_path) == {"openvino-fp32/a.jpg": b"precious"}


def test_two_builds_into_one_folder(edgepose: Edgepose, tmp_path: Path) -> None:
    with only_one(tmp_path / "out", "build"):
        done = edgepose("build", "lite", "--precision", "fp32", "--out", tmp_path / "out")
    assert done.code == 1 and "another build is writing into" in done.err


def test_other_verbs_never_replace_what_they_read(
    edgepose: Edgepose, engines: Path, photographs: Path, tmp_path: Path
) -> None:
    own = shutil.copytree(engines / "openvino-fp32", tmp_path / "engine")
    net = shutil.copy(engines / "fp32.onnx", tmp_path / "fp32.onnx")
    results = tmp_path / "results"
    results.mkdir()
    (results / "eval.json").write_text('{"format": 1}')
    (tmp_path / "x.pt").write_text("weights")
    before = contents(tmp_path)
    image = photographs / "001.jpg"
    for words in (
        ("calibrate", net, "--data", "synthetic:32", "--out", net),
        ("calibrate", net, "--data", f"images:{photographs}", "--out", image),
        ("bench", own, "--json", own / "manifest.json"),
        ("bench", own, "--source", image, "--json", image),
        ("eval", own, "--data", "synthetic:4", "--json", own / "manifest.json"),
        ("report", results, "--out", results / "eval.json"),
        ("export", tmp_path / "x.pt", "--out", tmp_path / "x.pt"),
    ):
        done = edgepose(*words, "--overwrite")
        assert done.code == 2 and "input" in done.err, (words, done.err)
        assert contents(tmp_path) == before


def test_demo_replaces_nothing_unasked(edgepose: Edgepose, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_text("precious")
    done = edgepose("demo", "--out", tmp_path)
    assert done.code == 2 and "clip.mp4 exists" in done.err
    assert contents(tmp_path) == {"clip.mp4": b"precious"}


SECRETS = (
    "rtsp://me:secret@127.0.0.1:9/live",
    "rtsp://me:se/cret?secret@127.0.0.1:9",
    "http://127.0.0.1:9/clip.mp4?token=secret",
    "ftp://me:secret@127.0.0.1/x.mp4",
    "foo://me:secret@127.0.0.1/x.mp4",
)


@pytest.mark.parametrize("address", SECRETS)
def test_no_password_is_printed(edgepose: Edgepose, engine: Path, tmp_path: Path, address: str) -> None:
    for words in (
        ("run", engine, "--source", address, "--out-json", tmp_path / "x.json"),
        ("run", address, "--source", "x.jpg", "--out-json", tmp_path / "x.json"),
        ("run", engine, "--source", "x.jpg", "--detector", address, "--out-json", tmp_path / "x.json"),
        ("run", engine, address),
        ("build", address, "--precision", "fp32", "--out", tmp_path / "out"),
        ("bench", engine, "--source", address),
        ("eval", engine, "--data", address),
        ("inspect", address),
        (address,),
    ):
        done = edgepose(*words)
        assert done.code in (1, 2)
        assert "secret" not in done.out + done.err
    assert not list(tmp_path.iterdir())


def test_no_password_is_stored(edgepose: Edgepose, tmp_path: Path) -> None:
    """The manifest holds the command line of the build."""
    from edgepose.api.request import BuildOptions, build_request

    request = build_request("http://me:secret@host/net.onnx", tmp_path, BuildOptions(calib="http://host/a?key=secret"))
    assert "secret" not in request.command
    given = build_request("lite", tmp_path, BuildOptions(), command="edgepose build 'http://me:secret@h/n' --out x")
    assert given.command == "edgepose build 'http://***@h/n' --out x"
