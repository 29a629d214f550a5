"""Label files that once gave silent zeros: each is read as the right one, with a warning where needed, or refused."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_changes import HEIGHT, WIDTH, boxes, category, changed_file, images, joints, people

from edgepose.datasets.check import Findings, examine
from edgepose.datasets.doubts import note_doubts
from edgepose.datasets.open import open_data
from edgepose.errors import DataError, UsageError
from edgepose.pose.skeletons import SKELETONS

LSP = SKELETONS["lsp14"].joints


def checked(text: str) -> Findings:
    return examine(open_data(text))


def said(found: Findings) -> str:
    """All that a check says."""
    odd = [item.reason for item in found.odd]
    return "\n".join([*found.errors, *found.missing, *found.broken, *found.warnings, *odd])


def same_people(data: Any, base: Any) -> bool:
    """Whether people, boxes and areas are those of another data set, to the rounding of its labels."""
    return len(data) == len(base) and all(
        np.allclose(a.xy_image, b.xy_image)
        and (a.labeled == b.labeled).all()
        and np.allclose(a.box_xyxy, b.box_xyxy, atol=0.02)
        and np.isclose(a.area, b.area, rtol=1e-3)
        and (a.read() == b.read()).all()
        for a, b in zip(data, base, strict=True)
    )


READ_RIGHT = {  # case -> what the check says about it; the people are those of base.json
    "area_zero": r"area cannot be that of its box: 2 times, annotation 1 \(area 0, bbox 160\.53 x 183\.85\)",
    "bbox_zero": r"bbox is empty: 2 times, annotation 1 \(bbox \[0, 0, 0, 0\]\).*; the box around the labeled joints",
    "bom": "",
    "category_5": "",
    "labelstudio_images_prefix": "",
}


@pytest.mark.parametrize(("name", "says"), READ_RIGHT.items())
def test_cases_that_are_read_right(cases: Path, name: str, says: str) -> None:
    base, data = (open_data(f"json:{cases}/labels/{file}.json") for file in ("base", name))
    assert same_people(data, base)
    found = examine(data)
    assert_matches(says, said(found))
    assert not found.errors


def assert_matches(pattern: str, text: str) -> None:
    assert bool(text) == bool(pattern), text
    assert re.search(pattern, text), text


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("base", ""),
        ("bbox_xyxy", r"2 of 2 boxes reach up to 19 px beyond their image and fit the joints if bbox is x0 y0 x1 y1"),
        ("bbox_xyxy", r"the box reaches 19 px beyond the image; x0 y0 x1 y1\?"),
        ("percent", r"all 28 labeled joints lie within 84\.9 px .* 256x320: percent\?"),
        ("num_keypoints_zero", r"num_keypoints is 0 although joints are labeled: 2 times, annotation 1 \(num_keyp"),
        ("exif/o6_displayed", ""),
        (
            "exif/o3_displayed",
            r"1 of 1 images are turned or mirrored by their EXIF tag, e\.g\. o3\.jpg \(or",
        ),
        ("exif/o6_stored_no_size", r"1 of 1 images are turned .* e\.g\. o6\.jpg \(orientation 6\)"),
        ("exif/o6_stored", r"is 256x320, its labels are for 320x256; the image is turned by its EXIF tag; width and"),
        ("exif/o6_displayed_but_stored_size", r"EXIF tag; width and height are of the unturned image \(orientation 6"),
    ],
)
def test_what_the_check_says_about_cases(cases: Path, name: str, says: str) -> None:
    found = checked(f"json:{cases}/labels/{name}.json")
    assert_matches(says, said(found))
    assert found.turned == name.startswith("exif/")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "category_mismatch",
            "2 annotations are of category 2, which has no joints here; joints are",
        ),
        ("none_visibility", "annotation 1: keypoints: joint 13 of 14, neck, has visibility None; expected 0"),
    ],
)
def test_cases_that_are_refused(cases: Path, name: str, says: str) -> None:
    with pytest.raises(DataError, match=rf"{name}\.json: {says}"):
        open_data(f"json:{cases}/labels/{name}.json")


def test_sigmas_that_were_not_divided(cases: Path) -> None:
    base = cases / "labels" / "base.json"
    wrong = checked(f"json:{base}:{cases}/labels/sigmas_not_divided.toml")
    assert_matches(r"the OKS sigma of right_hip is 1\.07, .* divide the sigmas of skeleton mine by 10", said(wrong))
    assert said(checked(f"json:{base}:{cases}/labels/sigmas_divided.toml")) == ""


def test_sigmas_that_were_divided_twice(cases: Path, tmp_path: Path) -> None:
    text = (cases / "labels" / "sigmas_divided.toml").read_text().replace("0.0", "0.00").replace("0.107", "0.0107")
    (tmp_path / "mine.toml").write_text(text)
    found = checked(f"json:{cases}/labels/base.json:{tmp_path / 'mine.toml'}")
    assert_matches(r"the largest OKS sigma is 0\.0107", said(found))


def rename(rule: Callable[[str], str]) -> Callable[[Any], None]:
    return category(keypoints=[rule(joint) for joint in LSP])


def camel(joint: str) -> str:
    side, _, part = joint.rpartition("_")
    return side[:1].upper() + part.capitalize() if side in ("left", "right") else joint.title().replace("_", "")


def with_id(change: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Change the id of every image, and image_id with it."""

    def apply(content: Any) -> None:
        for entry in content["images"]:
            entry["id"] = change(entry["id"])
        for entry in content["annotations"]:
            entry["image_id"] = change(entry["image_id"])

    return apply


def renamed_file(rule: str) -> Callable[[Any], None]:
    return images(lambda entry: entry.update(file_name=rule.format(entry["file_name"])))


SIMILAR = "found under a similar name"
SPELLED = "joint names in another spelling"
EQUAL: dict[str, tuple[Any, ...]] = {  # change, what the check says, encoding
    "area 1": (people(lambda p: p.update(area=1)), "area cannot be that of its box"),
    "area a fraction": (people(lambda p: p.update(area=0.36)), "area cannot be that of its box"),
    "area of the image": (people(lambda p: p.update(area=WIDTH * HEIGHT)), "area cannot be that of its box"),
    "area missing": (people(lambda p: p.pop("area")), ""),
    "area null": (people(lambda p: p.update(area=None)), ""),
    "bbox null": (people(lambda p: p.update(bbox=None)), ""),
    "bbox missing": (people(lambda p: p.pop("bbox")), ""),
    "bbox flat": (boxes(lambda x, y, w, h: [x, y, w, 0]), "bbox is empty"),
    "iscrowd missing": (people(lambda p: p.pop("iscrowd")), ""),
    "num_keypoints missing": (people(lambda p: p.pop("num_keypoints")), ""),
    "num_keypoints 5": (people(lambda p: p.update(num_keypoints=5)), r"\(num_keypoints 5, 14 labeled\)"),
    "nested": (people(lambda p: p.update(keypoints=[p["keypoints"][i : i + 3] for i in range(0, 42, 3)])), ""),
    "pairs": (joints(lambda x, y, v, i: (x, y)), "keypoints have no visibility: 2 times"),
    "v as floats": (joints(lambda x, y, v, i: (x, y, float(v))), ""),
    "LShoulder": (rename(camel), SPELLED),
    "l_shoulder": (rename(lambda joint: joint.replace("left_", "l_").replace("right_", "r_")), SPELLED),
    "Left Shoulder": (rename(lambda joint: joint.replace("_", " ").title()), SPELLED),
    "shoulder.left": (rename(lambda joint: ".".join(joint.split("_")[::-1]) if "_t" not in joint else joint), SPELLED),
    "ids as text": (with_id(str), ""),
    "ids as names": (with_id("image-{}".format), ""),
    "ids as floats": (with_id(float), ""),
    "an id twice": (people(lambda p: p.update(id=1)), r"id is used by several annotations: 1 times, annotation 1 \(2"),
    "size null": (images(lambda i: i.update(width=None, height=None)), ""),
    "size missing": (images(lambda i: (i.pop("width"), i.pop("height"))), ""),
    "backslash": (renamed_file("images\\{}"), SIMILAR),
    "Windows": (renamed_file("C:\\Users\\me\\set\\images\\{}"), SIMILAR),
    "absolute": (renamed_file("/home/me/set/{}"), SIMILAR),
    "URL": (renamed_file("http://localhost:8080/data/upload/1/1a2b3c4d-{}"), SIMILAR),
    "Label Studio": (renamed_file("upload/1/1a2b3c4d-{}"), SIMILAR),
    "Label Studio, local": (renamed_file("/data/local-files/?d=images%2F{}"), SIMILAR),
    "URL-encoded": (renamed_file("my%20set/{}"), SIMILAR),
    "upper case": (images(lambda i: i.update(file_name=i["file_name"].upper())), SIMILAR),
    "./": (renamed_file("./{}"), ""),
    "UTF-16": (people(lambda p: None), "", "utf-16"),
    "UTF-16 without a mark": (people(lambda p: None), "", "utf-16-le"),
    "UTF-32": (people(lambda p: None), "", "utf-32"),
}  # fmt: skip


@pytest.mark.parametrize("name", EQUAL)
def test_other_ways_to_write_the_same_labels(cases: Path, tmp_path: Path, name: str) -> None:
    change, says, *encoding = EQUAL[name]
    path = changed_file(cases, tmp_path, change, **({"encoding": encoding[0]} if encoding else {}))
    data = open_data(f"json:{path}")
    assert data.skeleton is SKELETONS["lsp14"]
    expected = open_data(f"json:{cases}/labels/base.json")
    assert [np.allclose(a.xy_image, b.xy_image) for a, b in zip(data, expected, strict=True)] == [True, True]
    assert same_people(data, expected)
    assert_matches(says, said(examine(data)))


def unit(x: float, y: float, v: int, i: int) -> tuple[Any, ...]:
    return x / WIDTH, y / HEIGHT, v


UNIT_BOX = boxes(lambda x, y, w, h: [x / WIDTH, y / HEIGHT, w / WIDTH, h / HEIGHT])
PERCENT_BOX = boxes(lambda x, y, w, h: [100 * x / WIDTH, 100 * y / HEIGHT, 100 * w / WIDTH, 100 * h / HEIGHT])
FATAL = {
    "joints and boxes": ([joints(unit), UNIT_BOX], "joints lie within 0.849 px .*: coordinates from 0 to 1"),
    "boxes alone": ([UNIT_BOX], "the boxes of all 2 people lie within 1.5 px .*: from 0 to 1"),
}


@pytest.mark.parametrize(("changes", "says"), FATAL.values(), ids=FATAL.keys())
def test_fractions_of_the_image_stop_every_use(cases: Path, tmp_path: Path, changes: Any, says: str) -> None:
    data = open_data(f"json:{changed_file(cases, tmp_path, *changes)}")
    assert_matches(says, "\n".join(examine(data).errors))
    with pytest.raises(DataError, match=says):
        note_doubts(data, print)


def stretched(factor: float) -> Callable[[Any], None]:
    return joints(lambda x, y, v, i: (x * factor, y * factor, v))


def left_out(content: Any) -> None:
    content["categories"].append({"id": 2, "name": "dog", "keypoints": ["snout", "tail"]})
    content["annotations"].append(
        {"id": 3, "image_id": 1, "category_id": 2, "keypoints": [9, 9, 2, 30, 40, 2], "bbox": [5, 5, 50, 60]}
    )


def region(content: Any) -> None:
    content["annotations"].append(
        {"id": 9, "image_id": 2, "category_id": 1, "segmentation": [[1, 2, 30, 40, 5, 60]], "bbox": [1, 2, 40, 60]}
    )


WARNED = {
    "percent, boxes alone": ([PERCENT_BOX], "most joints of 2 of 2 people are outside the person's box"),
    "percent, joints alone": ([joints(lambda x, y, v, i: (x / 2.56, y / 3.2, v))], r"percent\?"),
    "the center of the box": (
        [boxes(lambda x, y, w, h: [x + w / 2, y + h / 2, w, h])],
        "2 of 2 boxes .* if bbox is center x, center y, width and height",
    ),
    "x0 y0 x1 y1 without sizes": (
        [boxes(lambda x, y, w, h: [x, y, x + w, y + h]), images(lambda i: (i.pop("width"), i.pop("height")))],
        "if bbox is x0 y0 x1 y1",
    ),
    "a crowd with joints": ([people(lambda p: p.update(iscrowd=True))], "iscrowd is set although joints are labeled"),
    "all v 0": ([joints(lambda x, y, v, i: (x, y, 0))], "no joint is labeled .all have v = 0. although"),
    "a joint at (0, 0)": ([joints(lambda x, y, v, i: (0, 0, 2) if i == 3 else (x, y, v))], r"1 joints are labeled at"),
    "a joint at (-1, -1)": (
        [joints(lambda x, y, v, i: (-1, -1, 2) if i == 3 else (x, y, v))],
        "1 joints outside",
    ),
    "another category": ([left_out], r"of another category .* annotation 3 \(category_id 2\); .* json:LABELS:CATEGORY"),
    "a region": ([region], "no keypoints: 1 times, annotation 9; the region is ignored"),
    "nobody": (
        [lambda content: content.update(annotations=[])],
        "none of its 0 annotations is a person",
    ),
    "a person twice": (
        [lambda content: content["annotations"].append(content["annotations"][1] | {"id": 3})],
        r"the same person twice: 1 times, annotation 2 and annotation 3 \(image 2\)",
    ),
    "a file twice": ([images(lambda i: i.update(file_name="fig0.jpg"))], r"file_name is used by several images"),
    "one joint and no box": (
        [joints(lambda x, y, v, i: (x, y, v * (i == 0))), people(lambda p: p.pop("bbox"))],
        "empty box around them, and no bbox",
    ),
    "width and height exchanged": (
        [images(lambda i: i.update(width=320, height=256))],
        "height exchanged",
    ),
    "images of half the size": (
        [stretched(2), images(lambda i: (i.pop("width"), i.pop("height")))],
        "most joints of 2 of 2 people are outside their image, e.g. in fig0.jpg of 256x320; are the labels of a larger",
    ),
    "resized images": ([images(lambda i: i.update(width=512, height=640))], "the image was resized by 0.5"),
    "far outside": ([stretched(8)], "far outside; correct the labels"),
}


@pytest.mark.parametrize("name", WARNED)
def test_what_is_said_about_odd_labels(cases: Path, tmp_path: Path, name: str) -> None:
    changes, says = WARNED[name]
    assert_matches(says, said(checked(f"json:{changed_file(cases, tmp_path, *changes)}")))


@pytest.mark.parametrize(("said_as", "stored"), [("e\u0301", "\xe9"), ("\xe9", "e\u0301")])
def test_an_accent_is_one_character_or_two(cases: Path, tmp_path: Path, said_as: str, stored: str) -> None:
    path = changed_file(cases, tmp_path, renamed_file(f"{said_as}{{}}"))
    for i in range(2):
        (path.parent / "images" / f"fig{i}.jpg").rename(path.parent / "images" / f"{stored}fig{i}.jpg")
    found = checked(f"json:{path}")
    assert not found.missing
    assert_matches(SIMILAR, said(found))


def test_labels_in_a_folder_of_annotations(cases: Path, tmp_path: Path) -> None:
    path = changed_file(cases, tmp_path, people(lambda p: None))
    moved = path.parent / "annotations" / path.name
    moved.parent.mkdir()
    path.rename(moved)
    assert same_people(open_data(f"json:{moved}"), open_data(f"json:{cases}/labels/base.json"))


def test_one_odd_person_is_said_before_use(cases: Path, tmp_path: Path) -> None:
    def shrink(content: Any) -> None:
        flat = content["annotations"][1]["keypoints"]
        flat[:] = [value if i % 3 == 2 else value / 3 for i, value in enumerate(flat)]

    lines: list[str] = []
    note_doubts(open_data(f"json:{changed_file(cases, tmp_path, shrink)}"), lines.append)
    assert len(lines) == 1
    assert_matches(r"the labels of 1 of 2 people look wrong, e\.g\. in fig1\.jpg: .* data check lists", lines[0])


@pytest.mark.parametrize("name", ["https://me:secret@host/{}?sig=secret", "https://me:secret@host/no_{}?sig=secret"])
def test_passwords_in_names_of_images_are_hidden(cases: Path, tmp_path: Path, name: str) -> None:
    corner = joints(lambda x, y, v, i: (0, 0, 2) if i < 9 else (x, y, v))
    found = checked(f"json:{changed_file(cases, tmp_path, renamed_file(name), corner)}")
    assert said(found)
    assert "secret" not in json.dumps(found.to_json())


def stray(content: Any) -> None:
    content["annotations"][1]["category_id"] = 7


def ambiguous(content: Any) -> None:
    for day, entry in enumerate(content["images"]):
        entry["file_name"] = f"day{day}/fig0.jpg"


REFUSED = {
    "41 numbers": (people(lambda p: p["keypoints"].pop()), r"keypoints is 41 numbers; expected 42 numbers: x, y and v"),
    "17 joints": (people(lambda p: p["keypoints"].extend([0] * 9)), "keypoints is 51 numbers; expected 42 numbers"),
    "counted from 1": (joints(lambda x, y, v, i: (x, y, v + 1)), "are 1, 2 or 3: are they counted from 1"),
    "confidence": (joints(lambda x, y, v, i: (x, y, 0.9)), r"joint 1 of 14, right_ankle, .* 0\.9; .* a confidence\?"),
    "v -1": (joints(lambda x, y, v, i: (x, y, -1 if i == 5 else v)), "joint 6 of 14, left_ankle, has visibility -1"),
    "v NaN": (
        joints(lambda x, y, v, i: (x, y, math.nan if i == 12 else v)),
        "joint 13 of 14, neck, .* nan",
    ),
    "v text": (joints(lambda x, y, v, i: (x, y, str(v))), "has visibility '2'"),
    "x NaN": (joints(lambda x, y, v, i: (math.nan if i == 3 else x, y, v)), "joint 4 of 14, left_hip, has x = nan"),
    "x text": (joints(lambda x, y, v, i: (str(x), y, v)), r"joint 1 of 14, right_ankle, has x = '181\.34'"),
    "a stray category": (stray, "1 annotation is of category 7, which has no joints here.*annotation 2"),
    "no image": (people(lambda p: p.update(image_id=8)), "annotation 1: there is no image 8; correct image_id"),
    "no images": (lambda content: content.pop("images"), "has no list of 'images'.*with id and file_name"),
    "two images of one file": (ambiguous, r"image 1 \('day0/fig0\.jpg'\) and image 2 .* both lead to"),
    "no joint names": (category(keypoints=None), "names no joints.*json:.*:lsp14"),
    "size 0": (images(lambda i: i.update(width=0, height=0)), "image 1: height and width are 0 and 0; expected pixels"),
    "joints as tables": (
        people(lambda p: p.update(keypoints=[{"x": 1, "y": 2, "v": 2}] * 14)),
        r"keypoints is \[\{'v': 2, 'x': 1, 'y': 2\}, .*; expected 42 numbers",
    ),
    "two wrong ones": (
        joints(lambda x, y, v, i: (x, y, None if i == 5 else v)),
        "annotation 1: .* visibility None;.*; annotation 2: .*; 2 annotations are wrong in all",
    ),
    "a negative box": (boxes(lambda x, y, w, h: [x + w, y, -w, h]), "width and height must not be negative"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_labels_without_a_right_reading_are_refused(cases: Path, tmp_path: Path, name: str) -> None:
    change, says = REFUSED[name]
    path = changed_file(cases, tmp_path, change)
    with pytest.raises(DataError, match=rf"{path}.*{says}"):
        open_data(f"json:{path}")


def test_joints_in_another_order_and_some_of_them(cases: Path, tmp_path: Path) -> None:
    order = [13, 12, *range(12)]

    def reorder(content: Any) -> None:
        content["categories"][0]["keypoints"] = [LSP[i] for i in order]
        for entry in content["annotations"]:
            entry["keypoints"] = [value for i in order for value in entry["keypoints"][3 * i : 3 * i + 3]]

    base = open_data(f"json:{cases}/labels/base.json")
    data = open_data(f"json:{changed_file(cases, tmp_path, reorder)}")
    assert data.skeleton.name == "lsp14-reordered"
    assert data.skeleton.flips == SKELETONS["lsp14"].flips
    assert np.array_equal(data[0].xy_image, base[0].xy_image[order])
    shorter = people(lambda p: p.update(keypoints=p["keypoints"][:36], num_keypoints=12))
    (tmp_path / "part").mkdir()
    path = changed_file(cases, tmp_path / "part", category(keypoints=list(LSP[:12])), shorter)
    part = open_data(f"json:{path}")
    assert (part.skeleton.name, len(part.skeleton)) == ("lsp14-part", 12)
    assert np.array_equal(part[1].xy_image, base[1].xy_image[:12])


def test_the_user_chooses_a_category_and_a_layout(cases: Path, tmp_path: Path) -> None:
    def adult(content: Any) -> None:
        left_out(content)
        content["categories"][0]["name"] = "adult"

    path = changed_file(cases, tmp_path, adult)
    with pytest.raises(DataError, match=r"names 2 categories .*, adult, dog; .* json:.*labels\.json:adult"):
        open_data(f"json:{path}")
    for text in ("adult", "1", "lsp14:adult"):
        data = open_data(f"json:{path}:{text}")
        assert data.name == f"json:{path}:{text}"
        assert len(data) == 2
    (tmp_path / "dog.toml").write_text('joints = ["snout", "tail"]\n')
    assert len(open_data(f"json:{path}:{tmp_path / 'dog.toml'}:dog")) == 1
    with pytest.raises(DataError, match="has no category 'cat'; known: adult, dog"):
        open_data(f"json:{path}:cat")
    with pytest.raises(DataError, match=r"keypoints of .* are snout, tail; make them the same"):
        open_data(f"json:{path}:lsp14:dog")
    with pytest.raises(UsageError, match="expected json:LABELS"):
        open_data(f"json:{path}:adult:dog")


def test_categories_with_the_same_joints_are_read_as_one(cases: Path, tmp_path: Path) -> None:
    def child(content: Any) -> None:
        content["categories"][0]["name"] = "adult"
        content["categories"].append(content["categories"][0] | {"id": 2, "name": "child"})
        content["annotations"][1]["category_id"] = 2

    path = changed_file(cases, tmp_path, child)
    assert len(open_data(f"json:{path}")) == 2
    assert len(open_data(f"json:{path}:child")) == 1


@pytest.mark.parametrize("gone", ["categories", "names"])
def test_a_file_without_joint_names_takes_a_known_layout(cases: Path, tmp_path: Path, gone: str) -> None:
    change = category(keypoints=None) if gone == "names" else lambda content: content.pop("categories")
    path = changed_file(cases, tmp_path, change)
    assert same_people(open_data(f"json:{path}:lsp14"), open_data(f"json:{cases}/labels/base.json"))
    with pytest.raises(DataError, match=r"expected 51 numbers: .* 17 joints of skeleton coco17"):
        open_data(f"json:{path}:coco17")


def test_names_and_flips_of_a_toml_are_looked_at(cases: Path, tmp_path: Path) -> None:
    names = [camel(joint) for joint in LSP]
    (tmp_path / "mine.toml").write_bytes(b"\xef\xbb\xbf" + f"joints = {names}\n".encode())
    found = checked(f"json:{cases}/labels/base.json:{tmp_path / 'mine.toml'}")
    assert_matches(r"14 joints of skeleton custom have names .* RAnkle \(is it right_ankle\?\)", said(found))
    (tmp_path / "sides.toml").write_text(f"joints = {list(LSP)}\n")
    found = checked(f"json:{cases}/labels/base.json:{tmp_path / 'sides.toml'}")
    assert_matches("flips of skeleton custom does not exchange left_ankle and right_ankle, 6 such pairs", said(found))


def test_published_labels_raise_no_doubt(data_root: Path) -> None:
    for text in (f"coco:{data_root}/coco-mini:train2017", f"coco:{data_root}/coco-mini:val2017"):
        found = checked(text)
        assert said(found) == ""
        assert found.turned == 0
    for name in ("lsp/lsp_coco17.json",):
        found = examine(open_data(f"json:{data_root}/{name}"), read=False)
        assert said(found) == ""
