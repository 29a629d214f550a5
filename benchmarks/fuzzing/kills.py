"""SIGKILL at random moments of build, calibrate, train and run: what is there afterwards is whole, a retry works."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fuzzing.labels import write_labels
from fuzzing.networks import write_networks
from fuzzing.seeds import picture

LIMIT_S = 300.0
RECIPE = """model = "simplebaseline-lite"
sizes = [[64, 64]]
epochs = [3]
batch = [3]
sigma = 1.0
"""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command that is killed.

    Attributes:
        name: The verb.
        kills: How often it is killed.
        words: Words of the command line; takes the folder of sound inputs and the folder of outputs.
        again: Words that a user adds for the next try; takes the folder of outputs.
        check: Raises an error where an output is there and cannot be read; takes the folder of outputs.
    """

    name: str
    kills: int
    words: Callable[[Path, Path], list[str]]
    again: Callable[[Path], list[str]]
    check: Callable[[Path], None]


@dataclass(frozen=True, kw_only=True)
class Killed:
    """What was left after one kill.

    Attributes:
        command: The verb.
        after_s: When it was killed.
        ended: Whether it had ended before.
        unreadable: Why an output cannot be read; empty where all can.
        retry: What the next call said when it failed; empty where it worked.
        left: Name of a temporary file that was still there after the next call; empty for none.
    """

    command: str
    after_s: float
    ended: bool
    unreadable: str = ""
    retry: str = ""
    left: str = ""

    @property
    def faults(self) -> str:
        """What is wrong, or an empty text."""
        return "; ".join(filter(None, (self.unreadable, self.retry, self.left and f"left {self.left} behind")))


def _build(sound: Path, out: Path) -> list[str]:
    given = ["--spec", str(sound / "plain.toml"), "--calib", f"images:{sound / 'pictures'}", "--out", str(out)]
    return ["build", str(sound / "plain.onnx"), *given, "--precision", "fp32,fp16,int8", "--backend", "openvino"]


def _calibrate(sound: Path, out: Path) -> list[str]:
    data = ["--data", f"images:{sound / 'pictures'}", "--out", str(out / "scales.json")]
    return ["calibrate", str(sound / "built" / "fp32.onnx"), *data]


def _train(sound: Path, out: Path) -> list[str]:
    labels = f"json:{sound / 'labels.json'}"
    data = [*["--data", labels] * 3, "--val", labels, "--out", str(out), "--workers", "0"]
    return ["train", str(sound / "tiny.toml"), *data, "--threads", "1"]


def _run(sound: Path, out: Path) -> list[str]:
    outputs = [f"--out-{kind}={out / f'poses.{suffix}'}" for kind, suffix in
               (("json", "json"), ("csv", "csv"), ("video", "mp4"))]  # fmt: skip
    return ["run", str(sound / "built" / "openvino-fp32"), "--source", str(sound / "frames"), *outputs]


def check_engines(out: Path) -> None:
    """Open every engine folder, graph and scales.json below `out`."""
    from edgepose.artifacts.scales import read_scales
    from edgepose.backends.engine import open_engine
    from edgepose.backends.session import OpenOptions
    from edgepose.graph.lookup import load_onnx

    for path in out.iterdir() if out.is_dir() else ():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            open_engine(path, OpenOptions(threads=1))[0].close()
        elif path.suffix == ".onnx":
            load_onnx(path)
        else:
            read_scales(path)


def check_checkpoints(out: Path) -> None:
    """Read the checkpoints and the log of a training."""
    from edgepose.training.checkpoint import load_model

    for path in out.iterdir() if out.is_dir() else ():
        if path.suffix == ".pt" and not path.name.startswith("."):
            load_model(path)
    if (out / "log.csv").exists():
        with (out / "log.csv").open(newline="") as file:
            rows = list(csv.reader(file))
        if any(len(row) != len(rows[0]) for row in rows):
            raise ValueError("a row of log.csv is cut off")


def check_results(out: Path) -> None:
    """Read the results of `edgepose run`."""
    if (out / "poses.json").exists():
        json.loads((out / "poses.json").read_text())
    if (out / "poses.csv").exists():
        with (out / "poses.csv").open(newline="") as file:
            rows = list(csv.reader(file))
        if any(len(row) != len(rows[0]) for row in rows):
            raise ValueError("a row of poses.csv is cut off")
    if (out / "poses.mp4").exists() and not cv2.VideoCapture(str(out / "poses.mp4")).read()[0]:
        raise ValueError("poses.mp4 cannot be played")


def _resume(out: Path) -> list[str]:
    return ["--resume"] if (out / "last.pt").exists() else []


COMMANDS = (
    Command(name="build", kills=40, words=_build, again=lambda out: ["--overwrite"], check=check_engines),
    Command(name="calibrate", kills=20, words=_calibrate, again=lambda out: ["--overwrite"], check=check_engines),
    Command(name="train", kills=20, words=_train, again=_resume, check=check_checkpoints),
    Command(name="run", kills=20, words=_run, again=lambda out: ["--overwrite"], check=check_results),
)


def prepare(sound: Path) -> None:
    """Write what the commands read."""
    from edgepose.api.build import build
    from edgepose.api.request import BuildOptions

    sound.mkdir(parents=True)
    write_networks(sound)
    options = BuildOptions(precisions=("fp32",), backends=("openvino",), spec=sound / "plain.toml")
    build(sound / "plain.onnx", out=sound / "built", options=options)
    (sound / "tiny.toml").write_text(RECIPE)
    write_labels(sound)
    (sound / "frames").mkdir()
    for i in range(60):
        cv2.imwrite(str(sound / "frames" / f"{i}.png"), picture(np.random.default_rng(i), (240, 320)))


def edgepose(words: list[str]) -> subprocess.Popen[str]:
    """Start the command line."""
    command = [sys.executable, "-m", "edgepose", *words]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def kill_once(command: Command, sound: Path, out: Path, moment: float, whole_s: float) -> Killed:
    """Kill a command and try again.

    Args:
        command: The command.
        sound: The folder of sound inputs.
        out: The folder of outputs; it is emptied first, except at every second kill, which hits an overwriting run.
        moment: When to kill, as a share of the time that the command takes.
        whole_s: How long the command takes, in seconds.
    """
    words = command.words(sound, out)
    process = edgepose(words + (command.again(out) if out.exists() else []))
    time.sleep(moment * whole_s)
    ended = process.poll() is not None
    process.kill()
    process.communicate()
    unreadable = retry = left = ""
    try:
        command.check(out)
    except Exception as error:  # whatever the reader says counts
        unreadable = f"unreadable: {error!r}"[:300]
    process = edgepose(words + command.again(out))
    try:
        _, said = process.communicate(timeout=LIMIT_S)
        if process.returncode:
            retry = f"the next call: {said.strip()[-300:]}"
    except subprocess.TimeoutExpired:
        process.kill()
        retry = "the next call hangs"
    hidden = [path.name for path in out.rglob(".*")]
    if hidden:
        left = hidden[0]
    try:
        command.check(out)
    except Exception as error:
        retry += f" after the next call: {error!r}"[:300]
    return Killed(
        command=command.name, after_s=moment * whole_s, ended=ended, unreadable=unreadable, retry=retry, left=left
    )


def kill_often(command: Command, sound: Path, work: Path, kills: int) -> list[Killed]:
    """Kill a command `kills` times at moments spread evenly over its time, in random order."""
    out = work / command.name
    took = []
    for _ in range(2):  # the first time is longer, since files are not yet in memory
        shutil.rmtree(out, ignore_errors=True)
        began = time.perf_counter()
        process = edgepose(command.words(sound, out))
        _, said = process.communicate()
        if process.returncode:
            raise RuntimeError(f"edgepose {command.name} does not work at all: {said}")
        took.append(time.perf_counter() - began)
    random = np.random.default_rng(len(command.name))
    moments = (random.permutation(kills) + random.uniform(size=kills)) / kills
    found = []
    for i, moment in enumerate(moments):
        if i % 2:
            shutil.rmtree(out)
        found.append(kill_once(command, sound, out, float(moment), min(took)))
    return found
