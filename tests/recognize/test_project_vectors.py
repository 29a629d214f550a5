"""Joints that the projects' own code decoded from small random outputs; `benchmarks/projects/vectors.py` wrote them.

`benchmarks/peers.py` compares many more networks with the projects themselves, where those are installed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from published import returning

from edgepose.backends.onnxruntime import OnnxRuntimeSession
from edgepose.backends.session import OpenOptions
from edgepose.codecs import heatmap
from edgepose.export.foreign import import_network
from edgepose.runtime.pipeline import open_pipeline

VECTORS = Path(__file__).parent / "vectors"
FRAME = (90, 134, 3)
CROP = (128, 96)
CLOSE_PX = 1e-3


def test_ultralytics(tmp_path: Path) -> None:
    """Its predict mode on a raw output; it counts from the edge of the image and clips to it."""
    known = np.load(VECTORS / "ultralytics-raw.npz")
    model = returning({"output0": known["output"].astype(np.float32)}, size=(64, 64), name="images")
    names = {"task": "pose", "kpt_shape": "[17, 3]", "imgsz": "[64, 64]", "names": "{0: 'person'}", "stride": "32"}
    onnx.helper.set_model_props(model, names)
    onnx.save(model, tmp_path / "yolo.onnx")
    made = import_network(tmp_path / "yolo.onnx", None)
    session = OnnxRuntimeSession(made.model.SerializeToString(), OpenOptions(threads=1))
    with session, open_pipeline(session, made.spec, threads=1) as pipeline:
        found = pipeline(np.zeros(FRAME, np.uint8))
    assert len(found.box_scores) == known["people"]
    best = slice(len(known["scores"]))
    edge = np.array(FRAME[1::-1])
    np.testing.assert_allclose(found.box_scores[best], known["scores"], atol=1e-6)
    np.testing.assert_allclose(found.scores[best], known["joints"][..., 2], atol=1e-6)
    joints = np.clip(found.xy_image[best] + 0.5, 0, edge)
    np.testing.assert_allclose(joints, known["joints"][..., :2], atol=CLOSE_PX)
    boxes = np.clip(found.boxes_xyxy[best] + 0.5, 0, np.tile(edge, 2))
    np.testing.assert_allclose(boxes, known["boxes"], atol=CLOSE_PX)


@pytest.mark.parametrize(("method", "grid"), [("udp", "corners"), ("dark", "stride"), ("quarter", "stride")])
def test_mmpose_heatmaps(method: str, grid: str) -> None:
    """mmpose's UDP counts in sizes of the crop where its crop has the corner pixels on the corners of the box."""
    known = np.load(VECTORS / "mmpose-heatmaps.npz")
    theirs, size = known[method], np.array(CROP[::-1])
    if method == "udp":
        theirs = theirs / size * (size - 1)
    maps = known["maps"].astype(np.float32)[None]
    joints, _ = heatmap.decode_to_image(maps, np.eye(2, 3)[None], CROP, method, grid=grid)
    np.testing.assert_allclose(joints[0], theirs, atol=CLOSE_PX)
