"""Damaged videos: the frames of the results are those that a decoder gives, and missing ones are reported."""

from __future__ import annotations

import json
from pathlib import Path

import av
import cv2
import numpy as np

from fuzzing.contracts import check_poses
from fuzzing.damage import damaged_bytes, pick
from fuzzing.headers import damaged_header
from fuzzing.kind import Kind, Notes, require
from fuzzing.networks import ENGINE, write_engine
from fuzzing.seeds import picture

# name -> the codec; the containers are those that cameras and converters write
CLIPS = {"a.mp4": "mpeg4", "b.avi": "mjpeg", "c.mkv": "mpeg4", "d.mp4": "libx264", "e.mov": "mjpeg", "f.webm": "libvpx"}
FRAMES = 12
PLAN = "plan.json"


def prepare(sound: Path) -> None:
    write_engine(sound)
    random = np.random.default_rng(4)
    first, last = picture(random, (96, 64)), picture(random, (96, 64))
    for name, codec in CLIPS.items():
        with av.open(str(sound / name), "w") as container:
            try:
                stream = container.add_stream(codec, rate=10)
            except ValueError:  # this build of FFmpeg lacks the encoder
                continue
            stream.width, stream.height = 64, 96
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            for i in range(FRAMES):
                image = cv2.addWeighted(first, 1 - i / FRAMES, last, i / FRAMES, 0)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "bgr24")))
            container.mux(stream.encode())


def mutate(sound: Path, case: Path, random: np.random.Generator) -> str:
    name = pick(random, [name for name in CLIPS if (sound / name).exists() and (sound / name).stat().st_size])
    raw = (sound / name).read_bytes()
    headed = random.random() < 0.35 and name.endswith(("mp4", "mov", "avi"))
    data, done = damaged_header(name.rpartition(".")[2], raw, random) if headed else damaged_bytes(raw, random)
    path = case / name
    path.write_bytes(data)
    (case / PLAN).write_text(json.dumps({"source": str(path), "video": bool(random.random() < 0.3)}))
    return f"{name}: {done}"


def attempt(sound: Path, case: Path) -> None:
    from edgepose.api.run import RunOptions, run

    plan = json.loads((case / PLAN).read_text())
    seen: list[int] = []

    def look(frame: object, poses: object) -> None:
        seen.append(frame.index)  # type: ignore[attr-defined]
        check_poses(poses, frame.image.shape[:2])  # type: ignore[attr-defined]

    out = case / "out"
    note = Notes()
    video = out / "poses.mp4" if plan["video"] else None
    options = RunOptions(out_json=out / "poses.json", out_video=video, threads=1)
    result = run(sound / ENGINE, source=plan["source"], options=options, sinks=[look], note=note)
    people = json.loads((out / "poses.json").read_text())["annotations"]
    require(result.frames == len(seen) == len(set(seen)), f"{result.frames} frames, {len(seen)} seen")
    require(len(people) == result.frames, f"{len(people)} people in {result.frames} frames of one person")
    if not note.lines:
        expected = _decoded(Path(plan["source"]))
        lost = expected - result.frames
        require(lost <= max(2, 0.05 * expected), f"{result.frames} of {expected} frames, without a message")


def _decoded(path: Path) -> int:
    """Return how many frames FFmpeg decodes, or 0 where it refuses the file."""
    count = 0
    try:
        with av.open(str(path)) as container:
            for _ in container.decode(video=0):
                count += 1
    except (av.FFmpegError, IndexError, ValueError):
        return count
    return count


def words(sound: Path, case: Path) -> list[str]:
    source = json.loads((case / PLAN).read_text())["source"]
    out = ["--out-json", str(case / "poses2.json"), "--out-video", str(case / "poses2.mp4")]
    return ["run", str(sound / ENGINE), "--source", source, *out]


KIND = Kind(name="video", share=9, prepare=prepare, mutate=mutate, attempt=attempt, words=words)
