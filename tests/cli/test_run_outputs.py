"""`edgepose run` with many outputs at once: from the command line to files, standard output and the live view."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgepose.media.results import MARKER, OUTPUTS
from edgepose.media.video import VideoWriter

ROOT = Path(__file__).resolve().parents[2]
CODE = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {}\n"
CODE += "from edgepose.cli.main import main; main()"
FILES = {
    "--out-video": "overlay.mp4", "--out-images": "drawn", "--out-json": "poses.json",
    "--out-coco-results": "people.json", "--out-csv": "poses.csv", "--out-openpose": "openpose",
    "--out-trc": "trc", "--out-mot": "mot",
    "--out-mot-challenge": "boxes.txt",
}  # fmt: skip


def started(engine: Path, *words: object, before: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CODE.format(before), "run", str(engine), *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def film(path: Path, frames: int) -> Path:
    with VideoWriter(path, 25.0) as video:
        for i in range(frames):
            video.write(np.full((64, 48, 3), i % 250, np.uint8))
    return path


def test_every_output_of_one_run(engines: Path, tmp_path: Path) -> None:
    source = film(tmp_path / "walk.mp4", 3)
    words = [word for flag, name in FILES.items() for word in (flag, tmp_path / name)]
    with started(engines / "openvino-fp32", "--source", source, *words, "--out-jsonl", "-") as process:
        out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    lines = [json.loads(line) for line in out.splitlines()]  # nothing else is on standard output
    assert [line["index"] for line in lines] == [0, 1, 2] and lines[0]["frame"] == "walk-000000"
    assert {str(tmp_path / name) for name in FILES.values()} <= set(err.splitlines())
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*FILES.values(), "walk.mp4"])
    found = json.loads((tmp_path / "poses.json").read_text())
    assert [image["index"] for image in found["images"]] == [0, 1, 2]
    person = found["annotations"][0]
    assert person["keypoints"] == lines[0]["people"][0]["keypoints"] and person["track_id"] is None
    assert (tmp_path / "openpose" / "walk_000000000002_keypoints.json").is_file()
    assert {path.name for path in (tmp_path / "trc").iterdir()} == {MARKER, "walk_px_person00.trc"}
    assert cv2.imread(str(tmp_path / "drawn" / "walk-000002.jpg")).shape == (64, 48, 3)
    words += ["--out-json", "-"]
    with started(engines / "openvino-fp32", "--source", source, *words, "--overwrite") as process:
        out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert json.loads(out) == found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_run_that_is_watched_and_stopped(engines: Path, tmp_path: Path, number: int) -> None:
    source, outputs = film(tmp_path / "walk.avi", 4000), tmp_path / "out"
    words = [word for flag, name in FILES.items() for word in (flag, outputs / name)]
    slow = "import time, edgepose.media.draw as d; f = d.draw_poses; "
    slow += "d.draw_poses = lambda *a, **k: (time.sleep(0.02), f(*a, **k))[1]"
    with started(engines / "openvino-fp32", "--source", source, *words, "--view", "0", before=slow) as process:
        assert process.stderr is not None
        url = next(line.split()[-1] for line in process.stderr if "the run is shown at" in line)
        end = time.monotonic() + 60
        while (seen := get_json(url))["frames"] < 20:
            assert time.monotonic() < end
            time.sleep(0.05)
        with urllib.request.urlopen(f"{url}frame.jpg", timeout=10) as answer:
            assert answer.read(2) == b"\xff\xd8"
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert {"read", "poses", "write"} <= set(seen["latency_ms"]) and seen["source"] == "walk"
    assert sorted(path.name for path in outputs.iterdir()) == sorted(FILES.values())
    frames = len(json.loads((outputs / "poses.json").read_text())["images"])
    assert frames >= 20
    assert int(cv2.VideoCapture(str(outputs / "overlay.mp4")).get(cv2.CAP_PROP_FRAME_COUNT)) == frames
    assert len(list((outputs / "openpose").glob("*.json"))) == len(list((outputs / "drawn").glob("*.jpg"))) == frames
    assert f"\nnRows={frames}\n" in (outputs / "mot" / "walk_angles_person00.mot").read_text()


def get_json(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}numbers.json", timeout=10) as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


def test_the_test_has_all_file_outputs() -> None:
    declared = {output.flag for output in OUTPUTS.values() if output.form != "address" and output.package is None}
    assert declared == {*FILES, "--out-jsonl"}
