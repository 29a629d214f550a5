"""`edgepose data check` and `edgepose eval` on label files that once gave silent zeros, as typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def numbers(edgepose: Callable[..., Any], engines: Path, tmp_path: Path) -> Callable[..., tuple[float, float, str]]:
    """PCK and AP of lite on labels, and what was printed on stderr."""

    def measure(labels: str | Path, *args: object) -> tuple[float, float, str]:
        out = tmp_path / "eval.json"
        line = ("eval", engines / "openvino-fp32", "--data", f"json:{labels}", "--n-boot", 100, "--json", out)
        done = edgepose(*line, "--overwrite", *args)
        assert done.code == 0, done.err
        metrics = json.loads(out.read_text())["engines"][0]["metrics"]
        return metrics.get("pck@0.2", {}).get("value"), metrics["oks_ap"]["value"], done.err

    return measure


def test_eval_has_the_numbers_of_base_where_labels_can_be_read(numbers: Callable[..., Any], cases: Path) -> None:
    folder = cases / "labels"
    pck, ap, err = numbers(folder / "base.json")
    assert (pck, ap) == (pytest.approx(0.571, abs=0.08), pytest.approx(0.425, abs=0.1))
    assert "base.json:" not in err.replace("eval", "")  # no warning
    for name, says in (
        ("area_zero", "area cannot be that of its box"),
        ("bbox_zero", "the box around the labeled joints is used"),
        ("labelstudio_images_prefix", ""),
        ("category_5", ""),
        ("bom", ""),
    ):
        other_pck, other_ap, err = numbers(folder / f"{name}.json")
        assert (other_pck, other_ap) == (pck, pytest.approx(ap, abs=1e-3)), name
        assert says in err


def test_eval_says_what_makes_its_numbers_wrong(numbers: Callable[..., Any], cases: Path) -> None:
    folder = cases / "labels"
    base_ap = numbers(folder / "base.json")[1]
    for name, says in (
        ("bbox_xyxy.json", "if bbox is x0 y0 x1 y1"),
        ("percent.json", "percent?"),
        ("exif/o6_stored_no_size.json", "turned or mirrored by their EXIF tag"),
    ):
        assert says in numbers(folder / name)[2]
    _, ap, err = numbers(f"{folder / 'base.json'}:{folder / 'sigmas_not_divided.toml'}")
    assert ap > base_ap
    assert "divide the sigmas of skeleton mine by 10" in err
    err = numbers(f"{folder / 'base.json'}:{folder / 'sigmas_divided.toml'}")[2]
    assert "sigma" not in err.partition("joints compared")[0]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("category_mismatch", "2 annotations are of category 2, which has no joints here"),
        ("none_visibility", "joint 13 of 14, neck, has visibility None"),
        ("num_keypoints_zero", "num_keypoints is 0 although joints are labeled"),
        ("exif/o6_stored", "the image is turned by its EXIF tag; width and height are of the unturned"),
        ("exif/o6_displayed_but_stored_size", "the image is turned by its EXIF tag"),
    ],
)
def test_eval_refuses_with_the_reason(
    edgepose: Callable[..., Any], engines: Path, cases: Path, name: str, says: str
) -> None:
    done = edgepose("eval", engines / "openvino-fp32", "--data", f"json:{cases}/labels/{name}.json")
    assert done.code == 1
    assert says in done.err


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("base", 0, "2 people in 2 images, skeleton lsp14"),
        ("category_mismatch", 1, "which has no joints here"),
        ("exif/o6_stored", 1, "turned by its EXIF tag"),
        ("exif/o6_stored_no_size", 0, "images turned by their EXIF tag: 1"),
        ("bbox_xyxy", 0, "x0 y0 x1 y1?"),
        ("percent", 0, "odd: all 28 labeled joints lie within"),
    ],
)
def test_exit_codes_of_the_check(edgepose: Callable[..., Any], cases: Path, name: str, code: int, says: str) -> None:
    done = edgepose("data", "check", f"json:{cases}/labels/{name}.json")
    assert done.code == code
    assert says in done.out + done.err


def test_boxes_of_every_category(
    edgepose: Callable[..., Any], numbers: Callable[..., Any], engines: Path, cases: Path, tmp_path: Path
) -> None:
    base = cases / "labels" / "base.json"
    same = [
        cases / "boxes" / "category_1.json",
        cases / "boxes" / "category_0.json",
        cases / "labels" / "category_5.json",
    ]
    found = [numbers(base, "--detector", path)[1] for path in same]
    assert found[0] > 0
    assert found == [found[0]] * 3
    out = tmp_path / "poses.json"
    line = ("run", engines / "openvino-fp32", "--source", cases / "labels" / "images", "--out-json", out, "--overwrite")
    people = []
    for path in same[:2]:
        done = edgepose(*line, "--detector", path)
        assert done.code == 0, done.err
        assert "1 of 2 boxes belong to no frame of the source" in done.err  # image_id 2, and the digits 0 and 1
        people.append(json.loads(out.read_text())["annotations"])
    assert people[0] == people[1]
    assert len(people[0]) == 1
    done = edgepose(*line, "--detector", cases / "boxes" / "frame_as_integer.json")
    written = json.loads(out.read_text())
    names = {entry["id"]: entry["file_name"] for entry in written["images"]}
    assert [names[entry["image_id"]] for entry in written["annotations"]] == ["fig0.jpg"]
