"""A thousand damaged label files: each loads, or is refused with one clear line that names the file and the field.

Damage is done in two ways: to the bytes (cut off, changed), where a reader can at best say which file it is, and to
the content (a field missing, of another shape or kind, not a number, huge), where it must say which field. What
loads is held to what every user of a data set relies on, so that no number is silently wrong.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelfiles import coco_labels, flic_examples, mat, mpii_h5, mpii_person, mpii_release

from edgepose.datasets.open import open_data
from edgepose.errors import EdgeposeError
from edgepose.pose.skeletons import SKELETONS
from edgepose.runtime.finders.boxes_file import BoxesFile

SKELETON = (
    'joints = ["wrist", "left_tip", "right_tip"]\nflips = [["left_tip", "right_tip"]]\nsigmas = [0.1, 0.1, 0.1]\n'
)
RELEASE = "mpii_human_pose_v1_u12_1.mat"


def lsp_mat() -> bytes:
    joints = np.random.default_rng(0).uniform(1, 150, (3, 14, 2000)).round()
    joints[2] = joints[2] % 2
    return mat({"joints": joints})


def release_mat() -> bytes:
    return mat(mpii_release([[mpii_person(0), mpii_person(1)], [mpii_person(2, (3, 7, 9))]], [1, 1]))


def h5(folder: Path) -> bytes:
    return mpii_h5(folder / "made.h5").read_bytes()


def coco() -> dict[str, Any]:
    content = coco_labels()
    content["categories"][0]["keypoints"] = list(SKELETONS["coco17"].joints)
    return content


# kind -> (the file that is damaged, what opens it)
PLACES: dict[str, tuple[str, str]] = {
    "lsp": ("joints.mat", "lsp:{}:val"),
    "mpii release": (RELEASE, "mpii:{}:trainval"),
    "mpii h5": ("valid.h5", "mpii:{}:valid"),
    "flic": ("examples.mat", "flic:{}:train"),
    "coco": ("annotations/person_keypoints_val.json", "coco:{}:val"),
    "own": ("labels.json", "json:{}/labels.json:{}/skeleton.toml"),
    "skeleton": ("skeleton.toml", "json:{}/labels.json:{}/skeleton.toml"),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The undamaged content of each kind's file."""
    return {
        "lsp": lsp_mat(),
        "mpii release": release_mat(),
        "mpii h5": h5(tmp_path_factory.mktemp("h5")),
        "flic": mat(flic_examples()),
        "coco": json.dumps(coco()).encode(),
        "own": json.dumps(coco_labels(3)).encode(),
        "skeleton": SKELETON.encode(),
        "boxes": json.dumps(detections()).encode(),
    }


def detections() -> list[dict[str, Any]]:
    return [{"image_id": i, "category_id": 1, "bbox": [1.0, 2, 30, 40], "score": 0.5} for i in range(3)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, sound: dict[str, bytes]) -> Path:
    """A folder where every kind finds what it needs beside the file that is damaged."""
    root = tmp_path_factory.mktemp("labels")
    for folder in ("images", "val", "annotations"):
        (root / folder).mkdir()
    for kind, (name, _) in PLACES.items():
        (root / name).write_bytes(sound[kind])
    return root


def outcome(kind: str, place: Path, content: bytes) -> str | None:
    """The error's line, or None where the file loads and what it holds can be relied on."""
    if kind == "boxes":
        return _outcome(lambda: check_boxes(place / "boxes.json", content), "boxes.json")
    name, text = PLACES[kind]
    path = place / name
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        return _outcome(lambda: check_data(text.replace("{}", str(place))), path.name)
    finally:
        path.write_bytes(before)


def _outcome(load: Callable[[], None], name: str) -> str | None:
    try:
        load()
    except EdgeposeError as error:
        line = str(error)
        assert name in line, line
        assert "\n" not in line, line
        assert len(line) < 700, line
        return line
    return None


def check_data(text: str) -> None:
    """What training and evaluation rely on."""
    data = open_data(text)
    k = len(data.skeleton)
    for i in range(len(data)):
        sample = data[i]
        assert sample.xy_image.shape == (k, 2)
        assert sample.labeled.shape == sample.occluded.shape == (k,)
        assert sample.labeled.dtype == sample.occluded.dtype == np.bool_
        assert (np.abs(sample.xy_image) <= 1e6).all()
        assert (np.abs(sample.box_xyxy) <= 1e6).all()
        assert (sample.box_xyxy[2:] >= sample.box_xyxy[:2]).all()
        assert 0 <= sample.area <= 1e12
        assert np.isnan(sample.head_px) or 0 < sample.head_px <= 1e6
        assert not (sample.occluded & ~sample.labeled).any()
        assert sample.ignore == (sample.crowd or not sample.labeled.any())
        assert sample.image_id in data.image_ids
        assert sample.name


def check_boxes(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    boxes = BoxesFile(path)
    boxes.number_frames({f"{number}.jpg": number for number in range(3)})
    for number in range(3):
        rows, scores = boxes(np.zeros((8, 8, 3), np.uint8), f"{number}.jpg")
        assert np.isfinite(rows).all()
        assert np.isfinite(scores).all()


def damaged(raw: bytes, rng: random.Random) -> bytes:
    """Cut off, or a few bytes changed."""
    bad = bytearray(raw)
    if rng.random() < 0.4:
        return bytes(bad[: rng.randrange(len(bad))])
    for _ in range(rng.choice([1, 3, 20])):
        bad[rng.randrange(len(bad))] = rng.choice([0, 1, 255, rng.randrange(256)])
    return bytes(bad)


BYTES = {"lsp": 30, "mpii release": 80, "mpii h5": 110, "flic": 80, "coco": 60, "own": 80, "skeleton": 40, "boxes": 40}


@pytest.mark.parametrize("kind", BYTES)
def test_damaged_bytes(kind: str, place: Path, sound: dict[str, bytes]) -> None:
    """520 files."""
    assert outcome(kind, place, sound[kind]) is None
    rng = random.Random(kind)
    refused = sum(outcome(kind, place, damaged(sound[kind], rng)) is not None for _ in range(BYTES[kind]))
    assert refused > 0.2 * BYTES[kind]


@pytest.mark.slow
@pytest.mark.parametrize("kind", BYTES)
def test_damaged_bytes_at_length(kind: str, place: Path, sound: dict[str, bytes]) -> None:
    """Forty times as many."""
    rng = random.Random(f"{kind} at length")
    for _ in range(40 * BYTES[kind]):
        outcome(kind, place, damaged(sound[kind], rng))


GONE = object()
NAN = float("nan")
# what may stand where a number, a name or a list belongs
WRONG = [GONE, None, "text", True, {}, [], [[1]], NAN, float("inf"), -float("inf"), 1e300, 10**400]
# JSON kind -> path of a field (with an index where it is a list), and whether it may be left out
FIELDS: dict[str, dict[tuple[Any, ...], bool]] = {
    "coco": {
        ("images", 0, "id"): False, ("images", 0, "file_name"): False, ("images", 0, "height"): False,
        ("images", 0, "width"): False, ("annotations", 0, "image_id"): False, ("annotations", 0, "bbox"): False,
        ("annotations", 0, "keypoints"): False, ("annotations", 0, "area"): False, ("annotations", 0, "iscrowd"): False,
        ("annotations", 0, "num_keypoints"): False, ("annotations", 0, "category_id"): True,
        ("annotations", 0, "keypoints", 3): False, ("annotations", 0, "bbox", 2): False, ("images",): False,
        ("annotations",): False, ("categories", 0, "id"): True, ("categories", 0, "keypoints"): True,
    },
    "own": {
        ("images", 0, "id"): False, ("images", 0, "file_name"): False, ("images", 0, "height"): False,
        ("annotations", 0, "image_id"): False, ("annotations", 0, "keypoints"): True,
        ("annotations", 0, "bbox"): True, ("annotations", 0, "area"): True, ("annotations", 0, "iscrowd"): True,
        ("annotations", 0, "num_keypoints"): True, ("annotations", 0, "keypoints", 1): False,
    },
    "boxes": {(0, "bbox"): False, (1, "bbox", 3): False, (0, "score"): True, (0, "image_id"): False},
}  # fmt: skip
# what is not wrong after all: a name is a name, boxes may be by name, nobody may be labeled, and null or NaN is nothing
FITS: list[tuple[str, tuple[Any, ...], Any]] = [
    ("coco", ("images", 0, "file_name"), "text"), ("own", ("images", 0, "file_name"), "text"),
    ("boxes", (0, "image_id"), "text"), ("coco", ("annotations",), []),
    ("coco", ("categories", 0, "keypoints"), None),
    *(("own", ("annotations", 0, key), None) for key in ("keypoints", "bbox", "area", "iscrowd", "num_keypoints")),
    *(("own", ("annotations", 0, key), NAN) for key in ("bbox", "area", "iscrowd", "num_keypoints")),
    *(("own", ("annotations", 0, key), []) for key in ("keypoints", "bbox")),
    ("own", ("annotations", 0, "iscrowd"), True),
]  # fmt: skip


def changed(content: Any, where: tuple[Any, ...], value: Any) -> Any:
    made = copy.deepcopy(content)
    *path, last = where
    holder = made
    for step in path:
        holder = holder[step]
    if value is GONE:
        del holder[last]
    else:
        holder[last] = value
    return made


CONTENTS: dict[str, Callable[[], Any]] = {"coco": coco, "own": lambda: coco_labels(3), "boxes": detections}


@pytest.mark.parametrize("kind", FIELDS)
def test_wrong_fields_of_json_are_named(kind: str, place: Path) -> None:
    """31 fields by 12 wrong values: 372 files. None loads but where a field may be left out."""
    for where, optional in FIELDS[kind].items():
        named = next(step for step in reversed(where) if isinstance(step, str))
        for value in WRONG:
            line = outcome(kind, place, json.dumps(changed(CONTENTS[kind](), where, value)).encode())
            may_load = (optional and value is GONE) or (kind, where, value) in FITS
            if may_load:
                assert line is None, (where, value, line)
            else:
                assert line is not None, (where, value)
                assert named.rstrip("s") in line, (where, value, line)


def _without(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda row: {key: value for key, value in row.items() if key != name}


def _points(change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    from labelfiles import struct_array

    points = [{"x": 20.0, "y": 30.0, "id": 1, "is_visible": "1"}, {"x": 25.0, "y": 35.0, "id": 2, "is_visible": "0"}]
    person = mpii_person(0) | {"annopoints": {"point": struct_array([change(points[0]), points[1]])}}
    return mpii_release([[person]], [1])


NUMBERS = [np.nan, np.inf, 1e300, "text", np.ones((2, 3)), np.zeros((0, 0)), np.array([[1j]])]


@pytest.mark.parametrize("field", ["x", "y", "id"])
@pytest.mark.parametrize("value", [GONE, *NUMBERS], ids=range(1 + len(NUMBERS)))
def test_wrong_points_of_the_release_are_named(place: Path, field: str, value: Any) -> None:
    """24 files."""
    content = _points(_without(field) if value is GONE else lambda row: row | {field: value})
    line = outcome("mpii release", place, mat(content))
    assert line is not None
    assert "annolist(1).annorect(1).annopoints(1).point" in line
    assert field == "id" or f".{field}:" in line or "a labeled joint is at" in line


H5_FIELDS = {
    "part": (4, 16, 2), "visible": (4, 16), "center": (4, 2), "scale": (4,), "normalize": (4,), "index": (4,),
    "imgname": (4,),
}  # fmt: skip


@pytest.mark.parametrize("field", H5_FIELDS)
def test_wrong_fields_of_h5_are_named(place: Path, tmp_path: Path, field: str) -> None:
    """7 fields by 7 wrong values, but for two: 47 files."""
    shape = H5_FIELDS[field]
    values: list[Any] = [
        None, np.zeros((3, *shape[1:])), np.zeros((*shape, 2)), np.full(shape, np.nan), np.full(shape, np.inf),
        np.full(shape, 1e300), np.full(shape, -7.5),
    ]  # fmt: skip
    for i, value in enumerate(values):
        if (field, i) in (("part", 6), ("center", 6)):
            continue  # people may be partly outside their image, as in the published sets
        line = outcome("mpii h5", place, mpii_h5(tmp_path / f"{i}.h5", **{field: value}).read_bytes())
        assert line is not None, (field, i)
        spoken = {"part": "joint", "center": "corner of the box", "normalize": "head size"}
        if (field, i) != ("part", 1):  # with a person less, all the others are too long
            assert field in line or spoken.get(field, field) in line, line


def _example(field: str, value: Any) -> dict[str, Any]:
    content = flic_examples()
    content["examples"][0, 0][field] = value
    return content


@pytest.mark.parametrize("field", ["coords", "filepath", "istrain"])
def test_wrong_fields_of_flic_are_named(place: Path, field: str) -> None:
    """3 fields by 8 wrong values: 24 files; a joint that is NaN is not labeled, and half a point is none."""
    values = [np.zeros((29, 2)), np.full((2, 29), np.inf), np.full((2, 29), 1e300), 1e300, np.nan, {"a": 1}, [], 7j]
    for value in values:
        line = outcome("flic", place, mat(_example(field, value)))
        assert line is not None, (field, value)
        assert f"examples(1).{field}" in line, line


@pytest.mark.parametrize("axes", [(3, 14, 1999), (14, 3, 2000), (3, 16, 2000), (3, 14), (0, 0), (2, 14, 2000)])
def test_wrong_shapes_of_lsp_are_named(place: Path, axes: tuple[int, ...]) -> None:
    """6 files."""
    line = outcome("lsp", place, mat({"joints": np.ones(axes)}))
    assert line is not None
    assert "joints has shape" in line or "no numeric array named 'joints'" in line


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, 2e6])
@pytest.mark.parametrize("row", [0, 1, 2])
def test_wrong_numbers_of_lsp_are_named(place: Path, value: float, row: int) -> None:
    """15 files: a coordinate, or the flag that says hidden."""
    joints = np.ones((3, 14, 2000))
    joints[row, 5, 950] = value
    line = outcome("lsp", place, mat({"joints": joints}))
    assert line is not None
    assert "joints has a visibility" in line if row == 2 else "joints of im0951.jpg" in line
