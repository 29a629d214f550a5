"""SIGTERM and SIGHUP end a command as Ctrl-C does: results so far are whole, and nothing is left over."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgepose.media.video import VideoWriter

ROOT = Path(__file__).resolve().parents[2]
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@contextmanager
def started(*words: object, before: str = "") -> Iterator[subprocess.Popen[str]]:
    """`edgepose WORDS...` in a process; Ctrl-C is not ignored, as it is in background jobs of some shells."""
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += f"signal.signal(signal.SIGHUP, signal.SIG_DFL); {before}\n"
    code += "from edgepose.cli.main import main; main()"
    given = {"cwd": ROOT, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code, *map(str, words)], **given) as process:  # type: ignore[call-overload]
        yield process
        process.kill()


def wait_for(condition: object, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film that takes far longer than any test waits."""
    path = tmp_path_factory.mktemp("film") / "film.avi"
    with VideoWriter(path, 25.0) as video:
        for i in range(4000):
            video.write(np.full((64, 48, 3), i % 250, np.uint8))
    return path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_run_that_is_stopped_keeps_what_it_found(engines: Path, film: Path, tmp_path: Path, number: int) -> None:
    outputs = {"--out-video": tmp_path / "v.mp4", "--out-json": tmp_path / "p.json", "--out-csv": tmp_path / "p.csv"}
    flags = [part for pair in outputs.items() for part in pair]
    slow = "import edgepose.media.draw as d, time; f = d.draw_poses; "
    slow += "d.draw_poses = lambda *a, **k: (time.sleep(0.01), f(*a, **k))[1]"
    with started("run", engines / "openvino-fp32", "--source", film, *flags, before=slow) as process:
        wait_for(lambda: any(p.stat().st_size > 9000 for p in tmp_path.glob(".p-edgepose-*.json") if p.exists()))
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == CODES[signal.Signals(number)], err
    assert "Traceback" not in err and "stopped; what was finished is kept" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.csv", "p.json", "v.mp4"]
    found = len(json.loads((tmp_path / "p.json").read_text())["images"])
    assert found > 9 and len((tmp_path / "p.csv").read_text().splitlines()) == found + 1
    video = cv2.VideoCapture(str(tmp_path / "v.mp4"))
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == found and video.read()[0]


def test_a_build_that_is_stopped_leaves_nothing_half(tmp_path: Path) -> None:
    out, number = tmp_path / "out", signal.SIGTERM
    with started("build", "lite", "--precision", "fp32,fp16", "--out", out) as process:
        wait_for(lambda: out.is_dir() and any(out.iterdir()))
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == CODES[number], err
    assert "Traceback" not in err
    left = sorted(path.name for path in out.iterdir()) if out.exists() else []
    assert not [name for name in left if name.startswith(".")]
    assert all((out / name / "manifest.json").is_file() for name in left if (out / name).is_dir())


def test_a_run_that_is_killed_leaves_nothing_to_the_next(engines: Path, film: Path, tmp_path: Path) -> None:
    out, video = tmp_path / "p.json", tmp_path / "a.mp4"
    flags = ("--out-json", out, "--out-video", video)
    with started("run", engines / "openvino-fp32", "--source", film, *flags) as process:
        wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
        process.kill()
        process.communicate()
    assert all(path.name.startswith(".") for path in tmp_path.iterdir())
    cv2.imwrite(str(tmp_path / "one.png"), np.zeros((64, 48, 3), np.uint8))
    with started("run", engines / "openvino-fp32", "--source", tmp_path / "one.png", *flags) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "one.png", "p.json"]


def in_process(code: str) -> str:
    """Run code in a process of its own, since a signal may crash one in which native libraries run many threads."""
    begin = "import os, signal, time; from edgepose._stop import Stopped, exit_code, stop_signals\n"
    done = subprocess.run([sys.executable, "-c", begin + code], cwd=ROOT, text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_ignored_signals_stay_ignored() -> None:
    """`nohup` ignores SIGHUP so that the command outlives its terminal."""
    code = "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    code += "with stop_signals():\n    os.kill(os.getpid(), signal.SIGHUP)\nprint('goes on')\n"
    assert in_process(code) == "goes on\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_signals_are_ctrl_c_with_another_number(number: signal.Signals) -> None:
    code = (
        f"number = {int(number)}\nsignal.signal(number, signal.SIG_DFL)\n"
        "try:\n    with stop_signals():\n        os.kill(os.getpid(), number)\n        time.sleep(5)\n"
        "except KeyboardInterrupt as error:\n"
        "    print(type(error) is Stopped, exit_code(error), signal.getsignal(number) == signal.SIG_DFL)\n"
        "    print(exit_code(KeyboardInterrupt()))\n"
    )
    assert in_process(code) == f"True {CODES[number]} True\n130\n"


def test_no_password_in_what_ffmpeg_prints(engines: Path) -> None:
    """FFmpeg writes to the descriptor, past Python."""
    for address in ("rtsp://me:secret@127.0.0.1:9/live", "http://me:secret@127.0.0.1:9/clip.mp4?token=secret"):
        with started("run", engines / "openvino-fp32", "--source", address) as process:
            out, err = process.communicate(timeout=60)
        assert process.returncode == 1 and "cannot open the stream" in err
        assert "secret" not in out + err


def test_a_signal_during_an_import_is_not_lost(tmp_path: Path) -> None:
    """The package swallows whatever is raised while it is imported; the signal is raised behind the import."""
    (tmp_path / "swallows.py").write_text(
        "import os, signal, time\n"
        "try:\n    os.kill(os.getpid(), signal.SIGTERM)\n    time.sleep(0.05)\n"
        "except BaseException:\n    print('lost')\n"
    )
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from edgepose._stop import Stopped, stop_signals\n"
        "try:\n    with stop_signals():\n        import swallows\n        time.sleep(20)\n"
        "except Stopped as error:\n    print('stopped by', error.number)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, text=True, capture_output=True, timeout=60)
    assert done.stdout == "stopped by 15\n", done.stderr


def test_signals_after_the_work_end_the_process_silently() -> None:
    code = (
        "import os, signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from edgepose._stop import end_at_once; end_at_once(143)\n"
        "os.kill(os.getpid(), signal.SIGINT); print('goes on')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "")


def test_a_forked_process_ends_as_usual() -> None:
    code = (
        "import os, signal, time; from edgepose._stop import stop_signals\n"
        "with stop_signals():\n    child = os.fork()\n    if not child:\n        time.sleep(20)\n        os._exit(0)\n"
        "    time.sleep(0.3)\n    os.kill(child, signal.SIGTERM)\n    print(os.WTERMSIG(os.waitpid(child, 0)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, timeout=60)
    assert (done.stdout, done.stderr) == ("15\n", "")
