"""`edgepose run` by the contract alone: networks of part affinity fields, SimCC vectors and coordinates."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from nets import answering

from edgepose.codecs import paf, regression, simcc

SIZE, MAP = (96, 128), (24, 32)
JOINTS = ("head_top", "neck", "left_hip", "left_ankle")
SKELETON = (
    f'skeleton = {{ name = "stick", joints = {json.dumps(JOINTS)}, '
    'limbs = [["head_top", "neck"], ["neck", "left_hip"], ["left_hip", "left_ankle"]] }'
)
PEOPLE = np.array([[[30.0, y] for y in (10, 30, 50, 80)], [[90.0, y] for y in (15, 35, 55, 85)]])  # in the input


def built(edgepose: Callable[..., Any], folder: Path, codec: str, outputs: dict[str, np.ndarray]) -> Path:
    """An FP32 engine of a network that answers so."""
    spec = folder / "net.toml"
    spec.write_text(f'name = "answering"\n{SKELETON}\ncodec = {codec}\noutputs = {json.dumps(list(outputs))}\n')
    net = answering(folder / "net.onnx", outputs, SIZE)
    done = edgepose("build", net, "--spec", spec, "--precision", "fp32", "--out", folder / "engines")
    assert done.code == 0, done.err
    return folder / "engines" / "openvino-fp32"


@pytest.fixture
def fields(edgepose: Callable[..., Any], tmp_path: Path) -> Path:
    """An engine of part affinity fields that sees two people, whatever it is shown."""
    cells = (PEOPLE + 0.5) / 4 - 0.5
    limbs = np.array([[0, 1], [1, 2], [2, 3]])
    maps, vectors = paf.encode(cells, np.ones((2, 4), bool), limbs, MAP, sigma=1.0, width=1.0)
    outputs = {"maps": maps[None], "fields": vectors.reshape(1, -1, *MAP)}
    return built(edgepose, tmp_path, '{ type = "paf", peak_threshold = 0.2, field_order = "xy" }', outputs)


def joints_in_crop(path: Path, frame: tuple[int, int], padding: float) -> np.ndarray:
    """[entries, 4, 2]: what a run on whole frames of (height, width) wrote, in the network's input."""
    entries = json.loads(path.read_text())["annotations"]
    xy = np.array([entry["keypoints"] for entry in entries]).reshape(-1, 4, 3)[..., :2]
    scale = min(SIZE[0] / frame[0], SIZE[1] / frame[1]) / padding
    return (xy - (np.array(frame[::-1]) - 1) / 2) * scale + (np.array(SIZE[::-1]) - 1) / 2


def test_fields_find_everyone_without_a_detector(
    edgepose: Callable[..., Any], fields: Path, photographs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "poses.json"
    done = edgepose("run", fields, "--source", photographs, "--out-json", out, "--out-csv", tmp_path / "poses.csv")
    assert done.code == 0, done.err
    xy = joints_in_crop(out, (128, 96), padding=1.0)
    assert len(xy) == 2 * 40
    order = np.argsort(xy[:2, 0, 0])
    assert np.abs(xy[:2][order] - PEOPLE).max() < 1
    assert len((tmp_path / "poses.csv").read_text().splitlines()) == 1 + 2 * 40


def test_a_detector_for_fields_is_wrong_usage(
    edgepose: Callable[..., Any], fields: Path, photographs: Path, tmp_path: Path
) -> None:
    for detector in ("whole", "boxes.json"):
        done = edgepose(
            "run", fields, "--source", photographs, "--detector", detector, "--out-json", tmp_path / "poses.json"
        )
        assert done.code == 2
        assert "finds people by itself" in done.err and "leave out --detector" in done.err
    assert not (tmp_path / "poses.json").exists()


def test_bench_times_a_network_of_whole_frames(edgepose: Callable[..., Any], fields: Path, tmp_path: Path) -> None:
    done = edgepose("bench", fields, "--rounds", 1, "--people", 3, "--json", tmp_path / "bench.json")
    assert done.code == 0, done.err
    (entry,) = json.loads((tmp_path / "bench.json").read_text())["engines"]
    assert entry["throughput_ips"] == pytest.approx(1e3 / entry["stages"]["end_to_end"]["p50_ms"])


def test_eval_of_fields_is_of_everyone_they_find(
    edgepose: Callable[..., Any], fields: Path, photographs: Path, engines: Path, tmp_path: Path
) -> None:
    """A picture of the input's size with the two people there, one without: AP falls to the share that is right."""
    picture = cv2.resize(cv2.imread(str(photographs / "000.jpg")), (SIZE[1], SIZE[0]))
    for name in ("two.jpg", "none.jpg"):
        cv2.imwrite(str(tmp_path / name), picture)
    labels, skeleton = own_labels(tmp_path)
    out = tmp_path / "eval.json"
    done = edgepose("eval", fields, "--data", f"json:{labels}:{skeleton}", "--json", out)
    assert done.code == 0, done.err
    (found,) = json.loads(out.read_text())["engines"]
    assert found["boxes"] == "the network itself" and found["n"] == 2
    # Four people are found, all equally sure: those of the empty picture come behind those that are there.
    assert found["metrics"]["oks_ar"]["value"] == 1.0
    assert 0.5 <= found["metrics"]["oks_ap"]["value"] <= 1.0
    assert "pck@0.2" in found["skipped"]
    for args in ((fields, "--detector", "whole"), (fields, engines / "openvino-fp32")):
        done = edgepose("eval", *args, "--data", f"json:{labels}:{skeleton}")
        assert done.code == 2
        assert "finds people by itself" in done.err


def own_labels(folder: Path) -> tuple[Path, Path]:
    """PEOPLE as labels of two.jpg, and nobody in none.jpg."""
    sigmas = [0.1] * len(JOINTS)
    skeleton = folder / "stick.toml"
    skeleton.write_text(
        f'name = "stick"\njoints = {json.dumps(JOINTS)}\nsigmas = {sigmas}\n'
        'limbs = [["head_top", "neck"], ["neck", "left_hip"], ["left_hip", "left_ankle"]]\n'
    )
    size = {"width": SIZE[1], "height": SIZE[0]}
    people = [
        {
            "id": i, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 2000.0, "num_keypoints": 4,
            "bbox": [float(xy[0, 0]) - 15, float(xy[0, 1]), 30.0, 70.0],
            "keypoints": [value for joint in xy for value in (*joint.tolist(), 2)],
        }
        for i, xy in enumerate(PEOPLE)
    ]  # fmt: skip
    images = [{"id": i, "file_name": name, **size} for i, name in ((1, "two.jpg"), (2, "none.jpg"))]
    labels = folder / "labels.json"
    category = {"id": 1, "name": "person", "keypoints": list(JOINTS), "skeleton": []}
    labels.write_text(json.dumps({"images": images, "annotations": people, "categories": [category]}))
    return labels, skeleton


def test_inspect_prints_the_parameters_that_apply(edgepose: Callable[..., Any], fields: Path, engines: Path) -> None:
    contract = json.loads(edgepose("inspect", fields, "--json").out)["contract"]
    assert contract["codec"].startswith("paf, peak_threshold 0.2, capacity 100, limb_samples 10, ")
    assert "sigma" not in contract["codec"]
    lite = json.loads(edgepose("inspect", engines / "openvino-fp32", "--json").out)["contract"]
    assert lite["codec"] == "heatmap, decode quarter, sigma 2.0"


@pytest.mark.parametrize("flip_test", [False, True])
@pytest.mark.parametrize("codec", ["simcc", "regression"])
def test_vectors_and_coordinates_are_run_by_the_contract(
    edgepose: Callable[..., Any], photographs: Path, tmp_path: Path, codec: str, flip_test: bool
) -> None:
    """A skeleton without left and right, and joints on the middle line: the mirrored run says the same."""
    xy = np.stack([np.full(4, (SIZE[1] - 1) / 2), [10.0, 30, 50, 80]], axis=-1)[None]
    if codec == "simcc":
        x, y = simcc.encode(xy, np.ones((1, 4), bool), SIZE, 2.0, 6.0)
        engine = built(edgepose, tmp_path, '{ type = "simcc" }', {"x": x, "y": y})
    else:
        coords = regression.encode(xy, SIZE, "unit")
        engine = built(edgepose, tmp_path, '{ type = "regression", range = "unit" }', {"joints": coords})
    out = tmp_path / "poses.json"
    flags = ["--flip-test"] if flip_test else []
    done = edgepose("run", engine, "--source", photographs, "--out-json", out, *flags)
    assert done.code == 0, done.err
    found = joints_in_crop(out, (128, 96), padding=1.25)
    assert found.shape == (40, 4, 2)
    assert np.abs(found - xy).max() < 0.01


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_two_people_keep_their_identities(
    edgepose: Callable[..., Any],
    fields: Path,
    photographs: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "poses.csv"
    done = edgepose("run", fields, "--source", photographs, "--track", "--smooth", "--out-csv", out, "--det-score", 0.1)
    assert done.code == 0, done.err
    rows = rows_of(out)
    assert len(rows) == 2 * 40
    assert {row["track_id"] for row in rows} == {"1", "2"}
    places: dict[str, set[float]] = {}
    for row in rows:
        places.setdefault(row["track_id"], set()).add(round(float(row["head_top_x"])))
    assert all(len(where) == 1 for where in places.values())
    assert "smoothing: jitter" in done.err


@pytest.mark.parametrize(
    ("given", "people"), [(("--max-people", 1), 1), (("--roi", "0,0,0.5,1"), 1), (("--roi", "0,0,1,1"), 2)]
)
def test_only_those_who_count_are_written(
    edgepose: Callable[..., Any],
    fields: Path,
    photographs: Path,
    tmp_path: Path,
    given: tuple[Any, ...],
    people: int,
) -> None:
    out = tmp_path / "poses.json"
    done = edgepose("run", fields, "--source", photographs, "--out-json", out, *given)
    assert done.code == 0, done.err
    assert len(json.loads(out.read_text())["annotations"]) == people * 40


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--smooth",), "add --track"),
        (("--detect-every", "3"), "add --track"),
        (("--track", "--detect-every", "3"), "leave it out"),
        (("--track", "--detect-every", "seldom"), "auto"),
        (("--roi", "5,5,1,1"), "x0 < x1"),
        (("--roi", "5000,5000,6000,6000"), "outside of the image"),
    ],
)
def test_options_that_do_not_fit_are_wrong_usage(
    edgepose: Callable[..., Any],
    fields: Path,
    photographs: Path,
    tmp_path: Path,
    given: tuple[str, ...],
    message: str,
) -> None:
    done = edgepose("run", fields, "--source", photographs, "--out-json", tmp_path / "poses.json", *given)
    assert done.code == 2, done.err
    assert message in done.err
