"""Damaged label files: what loads can be relied on, and what is measured on it is a finite share."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from labelfiles import coco_labels, flic_examples, mat, mpii_h5, mpii_person, mpii_release

from fuzzing.damage import damaged_bytes, damaged_json, damaged_toml, pick
from fuzzing.kind import Kind, Notes, require
from fuzzing.networks import ENGINE, write_engine
from fuzzing.seeds import picture

PLAN = "plan.json"
RELEASE = "mpii_human_pose_v1_u12_1.mat"
# form of the file -> (its path, the data set that reads it)
PLACES = {
    "lsp": ("joints.mat", "lsp:{}:val"),
    "mpii release": (RELEASE, "mpii:{}:trainval"),
    "mpii h5": ("valid.h5", "mpii:{}:valid"),
    "flic": ("examples.mat", "flic:{}:train"),
    "coco": ("annotations/person_keypoints_val.json", "coco:{}:val"),
    "own": ("labels.json", "json:{}/labels.json"),
    "skeleton": ("skeleton.toml", "json:{}/hands.json:{}/skeleton.toml"),
    "boxes": ("boxes.json", "json:{}/labels.json"),
}
OFTEN = ("coco", "coco", "own", "own", "own", "skeleton", "boxes", "boxes", "lsp", "mpii release", "mpii h5", "flic")
SKELETON: dict[str, Any] = {
    "name": "hand", "joints": ["wrist", "left_tip", "right_tip"], "flips": [["left_tip", "right_tip"]],
    "limbs": [["wrist", "left_tip"]], "sigmas": [0.06, 0.04, 0.04],
}  # fmt: skip


def _people() -> dict[str, Any]:
    """Return COCO labels of 14 joints and of four people in two pictures, the last one a crowd."""
    from edgepose.pose.skeletons import SKELETONS

    content = coco_labels(14, people=4)
    content["categories"][0]["keypoints"] = list(SKELETONS["lsp14"].joints)
    for i, person in enumerate(content["annotations"][:3]):
        person["image_id"] = 9 if i == 2 else 7
        person["keypoints"][2::3] = [2] * 14
        person["num_keypoints"] = 14
    return content


def _coco() -> dict[str, Any]:
    from edgepose.pose.skeletons import SKELETONS

    content = coco_labels()
    content["categories"][0]["keypoints"] = list(SKELETONS["coco17"].joints)
    return content


def _boxes() -> list[dict[str, Any]]:
    named = [{"file_name": f"{i}.png", "bbox": [1.0, 2, 30, 40], "score": 0.5} for i in (7, 9)]
    return [*named, *({"image_id": i, "category_id": 1, "bbox": [3, 2, 30, 40], "score": 0.5} for i in (7, 9))]


JSON: dict[str, Any] = {"coco": _coco, "own": _people, "boxes": _boxes}


def write_labels(folder: Path) -> None:
    """Write labels.json and the pictures that it is about."""
    (folder / "labels.json").write_text(json.dumps(_people()))
    for i in (7, 9):
        cv2.imwrite(str(folder / f"{i}.png"), picture(np.random.default_rng(i), (60, 80)))


def prepare(sound: Path) -> None:
    write_engine(sound)
    write_labels(sound)
    joints = np.random.default_rng(0).uniform(1, 150, (3, 14, 2000)).round()
    joints[2] = joints[2] % 2
    (sound / "joints.mat").write_bytes(mat({"joints": joints}))


def mutate(sound: Path, case: Path, random: np.random.Generator) -> str:
    form = pick(random, OFTEN)
    for folder in ("images", "val", "annotations"):
        (case / folder).mkdir()
    for folder in ("images", "val"):
        for i in (7, 9):
            (case / folder / f"{i}.png").symlink_to(sound / f"{i}.png")
    (case / "labels.json").write_text(json.dumps(_people()))
    (case / "hands.json").write_text(json.dumps(coco_labels(3)))
    path = case / PLACES[form][0]
    if form in JSON:
        data, done = damaged_json(JSON[form](), random)
    elif form == "skeleton":
        data, done = damaged_toml(SKELETON, random)
    else:
        data, done = _matlab(form, sound, case, random)
    path.write_bytes(data)
    (case / PLAN).write_text(json.dumps({"form": form}))
    return f"{form}: {done}"


NUMBERS: tuple[Any, ...] = (np.nan, np.inf, 1e300, -1e6, "text", np.ones((2, 3)), np.zeros((0, 0)), 1j, {"a": 1.0})


def _matlab(form: str, sound: Path, case: Path, random: np.random.Generator) -> tuple[bytes, str]:
    """Return a damaged .mat or .h5 file: in its bytes, or with a field of another value."""
    value = pick(random, NUMBERS)
    fields = random.random() < 0.5
    if form == "lsp":
        raw = (sound / "joints.mat").read_bytes()
        if fields:
            joints = np.ones((3, 14, int(pick(random, [2000, 1000, 1]))))
            joints[:, int(random.integers(14)), -1] = pick(random, [np.nan, np.inf, 1e300, -7.5, 0.5])
            return mat({"joints": joints}), f"joints {joints.shape}"
    elif form == "mpii release":
        person = mpii_person(0)
        if fields:
            key = pick(random, list(person))
            person[key] = value
            return mat(mpii_release([[person, mpii_person(1)]], [1])), f"annorect.{key} = {value}"
        raw = mat(mpii_release([[person, mpii_person(1)], [mpii_person(2, (3, 7, 9))]], [1, 1]))
    elif form == "mpii h5":
        key = pick(random, ["part", "visible", "center", "scale", "normalize", "index", "imgname"])
        wrong = pick(random, [None, np.zeros((3, 2)), np.full((4, 16, 2), np.nan), np.full(4, 1e300), np.full(4, -7.5)])
        made = mpii_h5(case / "made.h5", **({key: wrong} if fields else {}))
        raw = made.read_bytes()
        made.unlink()
        if fields:
            return raw, f"{key}: {np.shape(wrong)}"
    else:
        content = flic_examples()
        if fields:
            key = pick(random, ["coords", "filepath", "istrain", "torsobox"])
            content["examples"][0, 0][key] = value
            return mat(content), f"examples.{key} = {value}"
        raw = mat(content)
    return damaged_bytes(raw, random)


def attempt(sound: Path, case: Path) -> None:
    from edgepose.api.data import check_data
    from edgepose.api.evaluate import EvaluateOptions, evaluate
    from edgepose.datasets.open import open_data

    form = json.loads((case / PLAN).read_text())["form"]
    text = PLACES[form][1].replace("{}", str(case))
    data = open_data(text)
    for i in range(len(data)):
        _check(data[i], len(data.skeleton))
    if form in ("coco", "own", "skeleton"):
        report = check_data([text], sheet=case / "sheet.png", labels_only=form == "coco")
        json.dumps(report.to_json(), allow_nan=False)
    if form in ("coco", "own", "boxes"):
        boxes = str(case / "boxes.json") if form == "boxes" else None
        note = Notes()
        options = EvaluateOptions(n_boot=100, threads=1, detector=boxes)
        engine = sound / ENGINE
        result = evaluate([engine], data=text, options=options, out=case / "eval.json", note=note)
        for name, metric in result.engines[0].metrics.items():
            value = metric.interval.value
            require(math.isfinite(value), f"{name} = {value}")
            require(value <= 1 or "epe" in name or "px" in name, f"{name} = {value}")


def _check(sample: Any, k: int) -> None:
    """Raise SilentlyWrong unless a person is what training and evaluation rely on."""
    require(sample.xy_image.shape == (k, 2) and sample.labeled.shape == (k,), f"{sample.xy_image.shape} for {k} joints")
    require(bool((np.abs(sample.xy_image) <= 1e6).all()), "a joint is not in any image")
    require(bool((np.abs(sample.box_xyxy) <= 1e6).all()), "a box is not in any image")
    require(bool((sample.box_xyxy[2:] >= sample.box_xyxy[:2]).all()), "a box is turned inside out")
    require(0 <= sample.area <= 1e12, f"area = {sample.area}")
    require(bool(np.isnan(sample.head_px) or 0 < sample.head_px <= 1e6), f"head size {sample.head_px}")
    require(bool(sample.name), "no name")


def words(sound: Path, case: Path) -> list[str]:
    form = json.loads((case / PLAN).read_text())["form"]
    text = PLACES[form][1].replace("{}", str(case))
    if form == "boxes":
        given = ["--detector", str(case / "boxes.json"), "--json", str(case / "eval2.json"), "--n-boot", "100"]
        return ["eval", str(sound / ENGINE), "--data", text, *given]
    return ["data", "check", text, "--sheet", str(case / "sheet2.png"), "--labels-only"]


KIND = Kind(name="label file", share=18, prepare=prepare, mutate=mutate, attempt=attempt, words=words)
