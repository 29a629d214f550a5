"""Small label files in the published forms, written by scipy and h5py, which know the formats better than we do."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgepose.pose.skeletons import SKELETONS

MPII = SKELETONS["mpii16"]


def struct_array(rows: list[dict[str, Any]]) -> np.ndarray:  # type: ignore[type-arg]
    """A MATLAB struct array [1, N] with the fields of its rows; a row that lacks one has it empty."""
    fields = list(dict.fromkeys(field for row in rows for field in row))
    made = np.empty((1, len(rows)), [(field, object) for field in fields])
    for i, row in enumerate(rows):
        made[0, i] = tuple(row.get(field, np.zeros((0, 0))) for field in fields)
    return made


def mat(content: dict[str, Any], *, compress: bool = True) -> bytes:
    savemat = pytest.importorskip("scipy.io").savemat
    file = io.BytesIO()
    savemat(file, content, do_compression=compress)
    return file.getvalue()


def mpii_person(seed: int, joints: tuple[int, ...] = tuple(range(16))) -> dict[str, Any]:
    """An annorect: a head box of 30 x 40, a scale of 1.5, points counted from 1."""
    random = np.random.default_rng(seed)
    points = [
        {"x": float(x), "y": float(y), "id": joint}
        | ({} if MPII.joints[joint] in ("head_top", "neck") else {"is_visible": "1" if joint % 3 else "0"})
        for joint, (x, y) in zip(joints, random.integers(50, 400, (len(joints), 2)), strict=True)
    ]
    return {
        "x1": 101.0, "y1": 21.0, "x2": 131.0, "y2": 61.0, "scale": 1.5, "objpos": {"x": 201.0, "y": 151.0},
        "annopoints": {"point": struct_array(points)},
    }  # fmt: skip


def mpii_release(people: list[list[dict[str, Any]]], training: list[int]) -> dict[str, Any]:
    """RELEASE with an image for each list of people."""
    images = [
        {"image": {"name": f"{i:09d}.jpg"}, "annorect": struct_array(rows) if rows else np.zeros((0, 0))}
        for i, rows in enumerate(people)
    ]
    return {"RELEASE": {"annolist": struct_array(images), "img_train": np.array([training], float), "version": "12"}}


def mpii_h5(path: Path, n: int = 4, **changes: Any) -> Path:
    """A valid.h5 of n people in images 0, 2, 4, ...; the first has no ankles."""
    h5py = pytest.importorskip("h5py")
    random = np.random.default_rng(0)
    part = random.integers(50, 400, (n, 16, 2)).astype(float)
    part[0, [0, 5]] = 0
    content: dict[str, Any] = {
        "part": part,
        "visible": (np.arange(n * 16).reshape(n, 16) % 3 > 0).astype(float),
        "center": np.full((n, 2), 201.0),
        "scale": np.full(n, 1.875),
        "normalize": np.full(n, 30.0),
        "index": 2.0 * np.arange(n),
        "person": np.zeros(n),
        "imgname": np.array([f"{2 * i:09d}.jpg".encode() for i in range(n)]),
    }
    with h5py.File(path, "w") as file:
        for key, value in (content | changes).items():
            if value is not None:
                file[key] = value
    return path


def flic_examples(n: int = 4) -> dict[str, Any]:
    """`examples` of n people; every other one is a test example."""
    random = np.random.default_rng(0)
    rows = []
    for i in range(n):
        coords = np.full((2, 29), np.nan)
        coords[:, [0, 1, 2, 3, 4, 5, 6, 9, 12, 13, 16]] = random.integers(20, 200, (2, 11))
        rows.append({
            "moviename": "film", "coords": coords, "filepath": f"film-{i:08d}.jpg", "torsobox": [1.0, 2, 3, 4],
            "istrain": i % 2 == 0, "istest": i % 2 == 1,
        })  # fmt: skip
    return {"examples": struct_array(rows)}


def coco_labels(joints: int = 17, people: int = 3) -> dict[str, Any]:
    """COCO's JSON with two images, the second empty; the last person is a crowd."""
    random = np.random.default_rng(0)
    annotations = []
    for i in range(people):
        keypoints = np.column_stack([random.integers(1, 60, (joints, 2)), random.integers(0, 3, joints)])
        keypoints[0, 2] = 2
        crowd = i == people - 1
        keypoints = keypoints * (not crowd)
        annotations.append({
            "id": i + 1, "image_id": 7, "category_id": 1, "iscrowd": int(crowd), "area": 512.5,
            "num_keypoints": int((keypoints[:, 2] > 0).sum()), "bbox": [1.0, 2.0, 50.0, 55.5],
            "keypoints": keypoints.ravel().tolist(),
        })  # fmt: skip
    return {
        "images": [{"id": 7, "file_name": "7.png", "height": 60, "width": 80},
                   {"id": 9, "file_name": "9.png", "height": 60, "width": 80}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": annotations,
    }  # fmt: skip


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path
