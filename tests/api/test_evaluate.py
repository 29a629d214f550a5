"""Which engines `evaluate` measures together."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgepose.api.evaluate import EvaluateOptions, _refuse
from edgepose.artifacts.spec import spec_from_dict
from edgepose.errors import UsageError

DETECTOR = {"name": "net", "skeleton": "person", "codec": {"type": "onestage"}, "outputs": ["detections"]}
POSES = {**DETECTOR, "skeleton": "coco17", "outputs": ["people"]}


def manifests(*specs: dict[str, Any]) -> list[Any]:
    return [SimpleNamespace(spec=spec_from_dict(one, "net.toml")) for one in specs]


def test_detectors_are_measured_by_their_boxes_and_alone() -> None:
    folders = [Path("a"), Path("b")]
    _refuse(folders, manifests(DETECTOR, DETECTOR), EvaluateOptions(), "coco:x")
    with pytest.raises(UsageError, match=r"^b is a person detector.*--data coco:x --detector b$"):
        _refuse(folders, manifests(POSES, DETECTOR), EvaluateOptions(), "coco:x")
    with pytest.raises(UsageError, match="leave out --detector"):
        _refuse(folders[:1], manifests(DETECTOR), EvaluateOptions(detector="c"), "coco:x")
