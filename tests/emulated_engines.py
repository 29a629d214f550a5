"""Networks whose outputs are exact, for pipelines on an emulated device, and frames with people for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgepose.artifacts.spec import ModelSpec, spec_from_dict
from edgepose.pose.poses import Poses

JOINTS, HEIGHT, WIDTH = 14, 16, 12
CODECS: dict[str, Any] = {
    "quarter": {"type": "heatmap"},
    "dark": {"type": "heatmap", "decode": "dark"},
    "simcc": {"type": "simcc", "split": 2.0},
    "regression": {"type": "regression"},
}
WHOLE: dict[str, Any] = {  # of networks that find people
    "onestage": {"type": "onestage", "score_threshold": 0.5, "iou_threshold": 0.6, "max_people": 40},
}
SHAPES: dict[str, list[tuple[str, tuple[int, ...]]]] = {
    "heatmap": [("heatmaps", (JOINTS, 8, 6))],
    "simcc": [("x", (JOINTS, 2 * WIDTH)), ("y", (JOINTS, 2 * HEIGHT))],
    "regression": [("coords", (JOINTS, 3))],
    "onestage": [("people", (40, 5 + 3 * JOINTS))],
}


def spec_of(codec: str) -> ModelSpec:
    kind = (CODECS | WHOLE)[codec]["type"]
    names = [name for name, _ in SHAPES[kind]]
    value = {
        "name": codec, "skeleton": "lsp14", "input": {"name": "image", "size": [HEIGHT, WIDTH]},
        "codec": (CODECS | WHOLE)[codec], "outputs": names,
    }  # fmt: skip
    return spec_from_dict(value, "test")


def network(kind: str) -> onnx.ModelProto:
    """Every output a product of integers with the flattened crop's rounded levels: exact in any order of summing."""
    rng = np.random.default_rng(0)
    nodes = [helper.make_node("Round", ["image"], ["r"]), helper.make_node("Flatten", ["r"], ["flat"])]
    weights, outputs = [], []
    for name, shape in SHAPES[kind]:
        matrix = rng.integers(-2, 3, (3 * HEIGHT * WIDTH, int(np.prod(shape)))).astype(np.float32)
        weights += [numpy_helper.from_array(matrix, f"w_{name}")]
        weights += [numpy_helper.from_array(np.array([-1, *shape], np.int64), f"s_{name}")]
        nodes += [helper.make_node("MatMul", ["flat", f"w_{name}"], [f"m_{name}"])]
        nodes += [helper.make_node("Reshape", [f"m_{name}", f"s_{name}"], [name])]
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, HEIGHT, WIDTH])
    graph = helper.make_graph(nodes, kind, [image], outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def frames(count: int, size: tuple[int, int] = (48, 64)) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (*size, 3), np.uint8) for _ in range(count)]


def people(n: int) -> np.ndarray:
    rng = np.random.default_rng(n)
    corner = rng.uniform(-10, 40, (n, 2))
    return np.hstack([corner, corner + rng.uniform(8, 40, (n, 2))]).astype(np.float32)


def assert_same(found: Poses, expected: Poses) -> None:
    np.testing.assert_array_equal(found.xy_image.view(np.uint32), expected.xy_image.view(np.uint32))
    np.testing.assert_array_equal(found.scores.view(np.uint32), expected.scores.view(np.uint32))
    np.testing.assert_array_equal(found.boxes_xyxy, expected.boxes_xyxy)
    np.testing.assert_array_equal(found.box_scores, expected.box_scores)
