"""`edgepose data check` and `eval --detector`, as typed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from labelfiles import coco_labels, mpii_h5, write_json

HAND = 'joints = ["wrist", "left_tip", "right_tip"]\nflips = [["left_tip", "right_tip"]]\nlimbs = []\n'


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """labels.json with images and skeleton.toml."""
    write_json(tmp_path / "labels.json", coco_labels(3))
    (tmp_path / "skeleton.toml").write_text(HAND)
    for name in ("7.png", "9.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((60, 80, 3), np.uint8))
    return tmp_path


def test_says_what_it_found_and_draws(edgepose: Callable[..., Any], own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own)
    before = sorted(own.iterdir())
    done = edgepose("data", "check", "json:labels.json:skeleton.toml")
    assert done.code == 0, done.err
    assert sorted(own.iterdir()) == before  # no contact sheet but where one is asked for
    assert "3 people in 2 images, skeleton custom" in done.out
    assert "images: 2, 1 with nobody in them" in done.out
    assert "2 that count, 1 ignored, 1 of them crowds" in done.out
    assert "left tip" in done.out
    drawn = edgepose("data", "check", "json:labels.json:skeleton.toml", "--sheet", "people.png")
    assert drawn.out.splitlines()[-1] == "people.png"
    assert cv2.imread(str(own / "people.png")) is not None
    again = edgepose("data", "check", "json:labels.json:skeleton.toml", "--sheet", "people.png")
    assert (again.code, "--overwrite" in again.err) == (2, True)


def test_json(edgepose: Callable[..., Any], own: Path) -> None:
    data = f"json:{own / 'labels.json'}:{own / 'skeleton.toml'}"
    done = edgepose("data", "check", data, "--json", "--sheet", own / "sheet.png")
    value = json.loads(done.out)
    assert value["data"][0]["people"] == 3
    assert value["shared"] == []
    assert value["sheet"] == str(own / "sheet.png")


def test_missing_photographs_and_broken_labels_are_exit_code_1(edgepose: Callable[..., Any], tmp_path: Path) -> None:
    data, sheet = tmp_path / "mpii", tmp_path / "sheet.png"
    data.mkdir()
    mpii_h5(data / "valid.h5")
    done = edgepose("data", "check", f"mpii:{data}", "--sheet", sheet)
    assert done.code == 1
    assert "MISSING: 4 of 4 images: cannot read image" in done.out
    assert "and 1 more" in done.out
    assert "head boxes: 4" in done.out
    assert sheet.exists()
    quick = edgepose("data", "check", f"mpii:{data}", "--sheet", sheet, "--labels-only", "--overwrite")
    assert quick.code == 0
    assert "MISSING" not in quick.out


def test_photographs_in_two_splits_are_named(edgepose: Callable[..., Any], tmp_path: Path, data_root: Path) -> None:
    """A COCO folder whose val split holds a photograph of its train split."""
    source = data_root / "coco-mini" / "val2017"
    names = sorted(path.name for path in source.iterdir())[:3]
    for split, files in (("train", names[:2]), ("val", names[1:])):
        (tmp_path / split).mkdir()
        images = []
        for i, name in enumerate(files):
            shutil.copy(source / name, tmp_path / split / name)
            height, width = cv2.imread(str(source / name)).shape[:2]
            images.append({"id": i, "file_name": name, "height": height, "width": width})
        content = {"images": images, "annotations": [], "categories": []}
        del content["categories"]
        write_json(tmp_path / "annotations" / f"person_keypoints_{split}.json", content)
    done = edgepose("data", "check", f"coco:{tmp_path}", "--sheet", tmp_path / "sheet.png")
    assert done.code == 0, done.err
    assert f"that are in coco:{tmp_path}:val too: 1: {names[1]} is {names[1]}" in done.out
    assert "nothing is labeled" not in done.out  # nobody is there to be labeled


def test_photographs_without_labels(edgepose: Callable[..., Any], photographs: Path, tmp_path: Path) -> None:
    done = edgepose("data", "check", f"images:{photographs}", "--sheet", tmp_path / "sheet.png")
    assert done.code == 0, done.err
    assert "nothing is labeled: fit for calibration" in done.out
    for name in ("003.jpg", "017.jpg"):
        (photographs / name).write_bytes(b"no photograph")
    done = edgepose("data", "check", f"images:{photographs}", "--sheet", tmp_path / "sheet.png", "--overwrite")
    assert done.code == 1, done.err
    assert "MISSING: 2 of 40 images" in done.out
    assert "003.jpg is no image" in done.out


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("data", "check", "lps:x"), 2, "did you mean 'lsp'"),
        (("data", "check", "lsp:nothing"), 1, "no folder nothing"),
        (("data", "chek", "lsp:x"), 2, "chek"),
        (("data", "check"), 2, "KIND:PATH"),
    ],
)
def test_wrong_words(
    edgepose: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    args: tuple[str, ...], code: int, says: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    done = edgepose(*args)
    assert done.code == code
    assert says in done.err
    assert not any(tmp_path.iterdir())


def test_eval_on_a_detectors_people(
    edgepose: Callable[..., Any], engines: Path, tmp_path: Path, data_root: Path
) -> None:
    """COCO detections with scores: AP alone, on the joints that lite and COCO share."""
    labels = json.loads((data_root / "coco-mini" / "annotations" / "person_keypoints_val2017.json").read_text())
    detections = [
        {"image_id": entry["image_id"], "category_id": 1, "bbox": entry["bbox"], "score": 0.9}
        for entry in labels["annotations"]
        if not entry["iscrowd"]
    ]
    boxes = write_json(tmp_path / "detections.json", detections)
    data, out = f"coco:{data_root / 'coco-mini'}:val2017", tmp_path / "eval.json"
    engine = engines / "openvino-fp32"
    done = edgepose("eval", engine, "--data", data, "--detector", boxes, "--json", out, "--n-boot", 100)
    assert done.code == 0, done.err
    entry = json.loads(out.read_text())["engines"][0]
    assert entry["boxes"] == str(boxes)
    assert entry["n"] == 66  # of 68 people two have none of the twelve joints labeled
    assert {"oks_ap", "oks_ap_medium", "oks_ar_large"} <= set(entry["metrics"])
    assert not any(name.startswith(("pck", "pcp", "pdj")) for name in entry["metrics"])
    assert 0.2 < entry["metrics"]["oks_ap50"]["value"] < 0.9
    assert "not measured: pck@0.2, pck@0.1" in done.err
    foreign = write_json(tmp_path / "foreign.json", [{"image_id": 999999, "bbox": [1, 2, 3, 4], "score": 1.0}])
    done = edgepose("eval", engine, "--data", data, "--detector", foreign)
    assert done.code == 1
    assert "none of its 1 boxes" in done.err
