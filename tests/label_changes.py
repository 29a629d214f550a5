"""Small changes of a label file, for tests of how each is read, noted or refused."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

Content = dict[str, Any]
WIDTH, HEIGHT, JOINTS = 256, 320, 14  # of the images and people of the cases


def people(change: Callable[[Content], Any]) -> Callable[[Content], None]:
    """Change every annotation."""

    def apply(content: Content) -> None:
        for entry in content["annotations"]:
            change(entry)

    return apply


def images(change: Callable[[Content], Any]) -> Callable[[Content], None]:
    """Change every image."""

    def apply(content: Content) -> None:
        for entry in content["images"]:
            change(entry)

    return apply


def joints(change: Callable[[float, float, int, int], tuple[Any, ...]]) -> Callable[[Content], None]:
    """Change every joint: (x, y, v, index) -> what stands in its place."""

    def apply(entry: Content) -> None:
        flat = entry["keypoints"]
        rows = [change(*flat[3 * i : 3 * i + 3], i) for i in range(JOINTS)]
        entry["keypoints"] = [value for row in rows for value in row]

    return people(apply)


def boxes(change: Callable[[float, float, float, float], list[float]]) -> Callable[[Content], None]:
    """Change every bbox: (x, y, width, height) -> what stands in its place."""
    return people(lambda entry: entry.update(bbox=change(*entry["bbox"])))


def category(**fields: Any) -> Callable[[Content], None]:
    """Change the category."""
    return lambda content: content["categories"][0].update(fields)


def changed_file(cases: Path, folder: Path, *changes: Callable[[Content], Any], encoding: str = "utf-8") -> Path:
    """Write cases/labels/base.json with changes, and its images beside it."""
    content = copy.deepcopy(json.loads((cases / "labels" / "base.json").read_text()))
    for change in changes:
        change(content)
    shutil.copytree(cases / "labels" / "images", folder / "images", copy_function=shutil.copyfile)
    path = folder / "labels.json"
    path.write_bytes(json.dumps(content, ensure_ascii=False).encode(encoding))
    return path
