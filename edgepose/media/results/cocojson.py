"""COCO JSON: a data set with every frame among its images, and every person among its annotations.

`pycocotools.coco.COCO` and the tools for COCO labels load it. People and images are written as they come; images
follow the annotations in the file, because a file has one end.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgepose.media.results.record import FORMAT, frame_facts, people_of
from edgepose.media.results.sink import ResultSink, RunFacts
from edgepose.media.results.textfile import TextFile
from edgepose.media.sources import Frame
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import Skeleton

PERSON = 1  # the category


class CocoJson(ResultSink):
    """A COCO JSON file; see the module."""

    def __init__(self, path: Path, about: RunFacts) -> None:
        self._out: TextFile | None = TextFile(path)
        info = {"description": "Poses found by edgepose", "source": about.name, "fps": round(about.fps, 6)}
        head = {"format": FORMAT, "info": info, "licenses": [], "categories": [category(about.skeleton)]}
        self._out.write(_dumps(head)[:-1] + ',\n"annotations": [')
        self._images = self._out.part()
        self._people = 0

    def write(self, frame: Frame, poses: Poses) -> None:
        """Append an image and its annotations."""
        assert self._out is not None, "written to after close"
        facts = frame_facts(frame)
        image = {"id": facts.pop("image_id"), "file_name": facts.pop("frame"), **facts}
        self._out.write_to(self._images, (",\n" if self._out.frames else "\n") + _dumps(image))
        self._out.count(poses)
        for person in people_of(poses):
            separator = ",\n" if self._people else "\n"
            self._people += 1
            self._out.write(separator + _dumps(annotation(person, self._people, frame.image_id)))

    def close(self, error: BaseException | None = None) -> None:
        """Append the list of images, and rename the file to its path."""
        out, self._out = self._out, None
        if out is not None:
            if out.is_kept(error):
                out.write('\n],\n"images": [')
                out.append(self._images)
            out.end(error, "\n]}\n")


def open_sink(place: Path, about: RunFacts) -> ResultSink:
    """Open a COCO JSON file."""
    return CocoJson(place, about)


def category(skeleton: Skeleton) -> dict[str, Any]:
    """Return the COCO category of a skeleton; COCO counts joints from 1 in its limbs."""
    limbs = [[a + 1, b + 1] for a, b in skeleton.limb_indices()]
    names = {"id": PERSON, "name": "person", "supercategory": "person"}
    return {**names, "keypoints": list(skeleton.joints), "skeleton": limbs}


def annotation(person: dict[str, Any], number: int, image_id: int) -> dict[str, Any]:
    """Return the COCO annotation of a person of `people_of`."""
    width, height = person["bbox"][2:]
    return {
        "id": number,
        "image_id": image_id,
        "category_id": PERSON,
        **person,
        "num_keypoints": sum(1 for visible in person["keypoints"][2::3] if visible),
        "area": round(width * height, 3),
        "iscrowd": 0,
    }


def _dumps(value: dict[str, Any]) -> str:
    return json.dumps(value, allow_nan=False)
