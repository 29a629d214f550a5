"""Damaged image files: each is read as its decoder reads it, or refused; one that was cut off is refused."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from fuzzing.contracts import check_poses
from fuzzing.damage import damaged_bytes, pick
from fuzzing.headers import damaged_header
from fuzzing.kind import Kind, Notes, require
from fuzzing.networks import ENGINE, write_engine
from fuzzing.seeds import picture

SUFFIXES = ("jpg", "jpg", "jpg", "png", "png", "webp", "bmp", "tiff", "ppm", "pgm")
HEADED = ("png", "jpg", "bmp", "ppm", "pgm")
PLAN = "plan.json"
OTHERS = ("._2.jpg", ".hidden.png", "note.txt", "ü ☃.gif", "Thumbs.db")  # what also lies in a folder of images
FRAMED = ("jpg", "png", "webp")  # formats that say where they end


def prepare(sound: Path) -> None:
    write_engine(sound)
    for suffix in dict.fromkeys(SUFFIXES):
        made = picture(np.random.default_rng(3), (96, 72))
        cv2.imwrite(str(sound / f"picture.{suffix}"), made[..., 0] if suffix == "pgm" else made)


def mutate(sound: Path, case: Path, random: np.random.Generator) -> str:
    suffix = pick(random, SUFFIXES)
    raw = (sound / f"picture.{suffix}").read_bytes()
    headed = random.random() < 0.25 and suffix in HEADED
    data, done = damaged_header(suffix, raw, random) if headed else damaged_bytes(raw, random)
    named = pick(random, [suffix] * 8 + ["jpg", "png", "tif", "JPG"])
    folder = random.random() < 0.3
    path = case / "in" / f"1.{named}"
    path.parent.mkdir()
    path.write_bytes(data)
    if folder:
        (path.parent / f"2.{suffix}").write_bytes(raw)
        if random.random() < 0.3:
            (path.parent / pick(random, ["._2.jpg", ".hidden.png", "note.txt", "ü ☃.gif", "Thumbs.db"])).write_bytes(
                data
            )
    cut = done == "bytes: truncate" and suffix in FRAMED and len(data) < len(raw) - 2
    (case / PLAN).write_text(json.dumps({"source": str(path.parent if folder else path), "cut": cut}))
    return f"{suffix} as {named}{' in a folder' * folder}: {done}"


def attempt(sound: Path, case: Path) -> None:
    from edgepose.api.run import RunOptions, run

    plan = json.loads((case / PLAN).read_text())
    seen = []

    def look(frame: object, poses: object) -> None:
        seen.append(frame.name)  # type: ignore[attr-defined]
        check_poses(poses, frame.image.shape[:2])  # type: ignore[attr-defined]

    note = Notes()
    out = case / "out"
    options = RunOptions(out_json=out / "poses.json", out_csv=out / "poses.csv", threads=1)
    engine = sound / ENGINE
    result = run(engine, source=plan["source"], options=options, sinks=[look], note=note)
    people = json.loads((out / "poses.json").read_text())["annotations"]
    require(result.frames == len(seen), f"{result.frames} frames, {len(seen)} seen")
    require(len(people) >= 1 or bool(note.lines), "nothing was found and nothing was said")
    if plan["cut"] and not note.lines:
        require(not any(name.startswith("1.") for name in seen), "an image that was cut off is read")


def words(sound: Path, case: Path) -> list[str]:
    source = json.loads((case / PLAN).read_text())["source"]
    out = ["--out-json", str(case / "poses2.json"), "--out-video", str(case / "poses2.mp4")]
    return ["run", str(sound / ENGINE), "--source", source, *out]


KIND = Kind(name="image", share=9, prepare=prepare, mutate=mutate, attempt=attempt, words=words)
