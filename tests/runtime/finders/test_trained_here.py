"""The person detector of edgepose as a person finder: the file that `export` writes, against torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("openvino")

from edgepose.backends.session import OpenOptions  # noqa: E402
from edgepose.export.onnx import export  # noqa: E402
from edgepose.kernels.cropping import cut, frame_box  # noqa: E402
from edgepose.models import create  # noqa: E402
from edgepose.runtime.finders import open_finder  # noqa: E402
from edgepose.training.recipe import Recipe, read_recipe, recipe_from_dict  # noqa: E402

SIZE = (160, 128)


def recipe() -> Recipe:
    table = {**read_recipe("people").to_json(), "sizes": [list(SIZE)], "imagenet": False}
    return recipe_from_dict(table, "test")


def test_its_boxes_are_those_of_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are random, and 20 cells are above the threshold; a wide photograph has borders."""
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    spec, network = recipe().spec(), create("people", 0).eval()
    for head in network.heads:
        torch.nn.init.normal_(head.score.weight, std=0.01)
        torch.nn.init.zeros_(head.score.bias)
    image = np.random.default_rng(0).integers(0, 256, (90, 200, 3)).astype(np.uint8)
    seen, inverse = cut(image, frame_box((90, 200)), spec)
    with torch.no_grad():
        rows = network(torch.from_numpy(seen)).numpy()
    threshold = float(np.sort(rows[0, :, 4])[-21:-19].mean())
    spec = replace(spec, codec=replace(spec.codec, score_threshold=threshold))
    export(network, spec, tmp_path / "people.onnx", seen)

    wanted = spec.codec.decode((rows,), None, inverse, spec)
    with open_finder(str(tmp_path / "people.onnx"), OpenOptions(threads=1)) as finder:
        boxes, scores = finder(image, "a.png", None)
    low, high = np.array([-0.5] * 4), np.array([199.5, 89.5] * 2)
    clipped = wanted.boxes_xyxy.clip(low, high)
    inside = (clipped[:, 2:] > clipped[:, :2]).all(axis=1)
    assert 3 <= inside.sum() <= len(wanted.box_scores) <= 20
    np.testing.assert_allclose(scores, wanted.box_scores[inside], atol=1e-4)
    np.testing.assert_allclose(boxes, clipped[inside], atol=0.02)
