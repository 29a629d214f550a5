"""Every kind of system from its checkpoint by its contract alone: one build, one run, and what torch says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("openvino")

from random_weights import tamed  # noqa: E402

from edgepose.runtime.host import HostPipeline  # noqa: E402
from edgepose.training.checkpoint import Checkpoint, create_for, load_model, save_checkpoint  # noqa: E402
from edgepose.training.recipe import read_recipe  # noqa: E402

# Heatmaps, heatmaps behind messages, coordinates, cascades of crops, of features and of guesses, fields.
SYSTEMS = ("hrnet-small", "eol-spatial-small", "deeppose-small", "deeppose-cascade-small", "eol-small", "ief-small",
           "openpose-small")  # fmt: skip
ALWAYS = ("hrnet-small", "openpose-small")


class Torch:
    """The checkpoint as a session."""

    def __init__(self, path: Path) -> None:
        self.network, self.spec = load_model(path)
        self.inputs, self.outputs = (self.spec.input.name,), self.spec.outputs

    def run(self, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        with torch.inference_mode():
            found = self.network(torch.from_numpy(feed[self.spec.input.name]))
        found = found if isinstance(found, tuple) else (found,)
        return {name: value.numpy() for name, value in zip(self.outputs, found, strict=True)}


def checkpoint(name: str, path: Path) -> Path:
    """A network of random weights; one of fields may take any peak for a joint and any pair for a limb."""
    torch.manual_seed(3)
    spec = read_recipe(name).spec()
    if spec.codec.finds_people:
        loose = {"peak_threshold": 0.0, "limb_threshold": 0.0, "limb_ratio": 0.5, "min_score": 0.0}
        spec = replace(spec, codec=replace(spec.codec, **loose))
    weights = tamed(create_for(name, spec)).state_dict()
    save_checkpoint(path, Checkpoint(model=name, spec=spec, weights=weights, training={}))
    return path


def expected(path: Path, image: np.ndarray) -> np.ndarray:
    """[M, 14, 3]: what torch and the decoder say of a picture."""
    session = Torch(path)
    poses = HostPipeline(session, session.spec)(image)
    return np.concatenate([poses.xy_image, poses.scores[..., None]], axis=-1)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in ALWAYS else pytest.mark.slow) for name in SYSTEMS]
)
def test_one_build_and_one_run(edgepose: Callable[..., Any], photographs: Path, tmp_path: Path, name: str) -> None:
    """FP32 for all; INT8 for a cascade, for the others see tests/models/test_every_model.py."""
    weights, engines, poses = checkpoint(name, tmp_path / "best.pt"), tmp_path / "engines", tmp_path / "poses.json"
    int8 = ("--precision", "fp32,int8", "--no-guard", "--calib", f"images:{photographs}", "--calib-limit", 32)
    asked = int8 if name == "deeppose-cascade-small" else ("--precision", "fp32")
    done = edgepose("build", weights, *asked, "--out", engines)
    assert done.code == 0, done.err
    built = sorted(path.name for path in engines.iterdir() if path.is_dir())
    assert built == [f"openvino-{precision}" for precision in asked[1].split(",")]
    picture = photographs / "003.jpg"
    wanted = expected(weights, cv2.imread(str(picture)))
    for engine in built:
        done = edgepose("run", engines / engine, "--source", picture, "--out-coco-results", poses, "--overwrite")
        assert done.code == 0, done.err
        found = np.array([person["keypoints"] for person in json.loads(poses.read_text())]).reshape(-1, 14, 3)
        assert len(found) == len(wanted) >= 1 and np.isfinite(found).all()
        if engine == "openvino-fp32":
            away = np.abs(found - wanted)
            assert away[..., 2].max() <= 1e-3 * max(1.0, wanted[..., 2].max())
            assert (away[..., :2].max(axis=-1) < 0.05).mean() >= 0.9  # of two peaks as high either may be taken
    timed = tmp_path / "bench.json"
    paths = [engines / engine for engine in built]
    done = edgepose("bench", *paths, "--source", picture, "--people", 2, "--rounds", 2, "--json", timed)
    assert done.code == 0, done.err
    for entry in json.loads(timed.read_text())["engines"]:
        seen = 1 if name == "openpose-small" else 2  # a frame, or people
        assert entry["throughput_ips"] == pytest.approx(1e3 * seen / entry["stages"]["end_to_end"]["p50_ms"])
