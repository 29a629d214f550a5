"""One-stage networks are rewritten to rows of boxes and joints: each form against its project's own arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from published import returning

from edgepose.errors import ModelError
from edgepose.graph.adapters import onestage

SIZE = (64, 96)
RNG = np.random.default_rng(0)


def run(model: onnx.ModelProto) -> np.ndarray:
    """The only output for an image, after the model was checked."""
    import onnxruntime

    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.output] == ["people"]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {
        item.name: np.zeros([1, 3, *SIZE], item.type[7:-1].replace("float", "float32")) for item in session.get_inputs()
    }
    (found,) = session.run(None, feed)
    return found


def expected(boxes: Any, scores: Any, joints: Any) -> np.ndarray:
    """[M, 5 + 3K] of what is counted from the canvas's edge."""
    joints = np.array(joints, np.float32)
    joints[..., :2] -= 0.5
    return np.concatenate(
        [np.asarray(boxes) - 0.5, np.asarray(scores)[:, None], joints.reshape(len(joints), 3 * joints.shape[1])], axis=1
    )


def people(count: int, joints: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes [M, 4], scores [M], joints [M, K, 3]."""
    low = RNG.uniform(0, 40, (count, 2))
    boxes = np.concatenate([low, low + RNG.uniform(2, 30, (count, 2))], axis=1)
    found = np.concatenate([RNG.uniform(0, 60, (count, joints, 2)), RNG.random((count, joints, 1))], axis=2)
    return boxes.astype(np.float32), RNG.random(count).astype(np.float32), found.astype(np.float32)


def repeated(scores: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Joints whose score is that of their person."""
    return np.concatenate([joints[..., :2], np.repeat(scores[:, None, None], joints.shape[1], axis=1)], axis=2)


@pytest.mark.parametrize("opset", [11, 13, 17])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("classes", [1, 3])
def test_raw_ultralytics(classes: int, dims: int, opset: int) -> None:
    boxes, _, joints = people(40, 5)
    scores = RNG.random((40, classes)).astype(np.float32)
    middle, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    rows = np.concatenate([middle, size, scores, joints[..., :dims].reshape(40, -1)], axis=1)
    model = returning({"output0": rows.T}, size=SIZE, name="images", opset=opset)
    best = scores.max(axis=1)
    wanted = expected(boxes, best, joints if dims == 3 else repeated(best, joints))
    made = onestage.ultralytics_raw(model, classes, 5, dims)
    np.testing.assert_allclose(run(made)[0], wanted, atol=1e-4)
    assert [axis.dim_value for axis in made.graph.output[0].type.tensor_type.shape.dim][1:] == [40, 20]


@pytest.mark.parametrize("dims", [2, 3])
def test_transposed_ultralytics(dims: int) -> None:
    boxes, scores, joints = people(30, 17)
    rows = np.concatenate([boxes, scores[:, None], joints[..., :dims].reshape(30, -1)], axis=1)
    found = run(onestage.ultralytics_raw(returning({"output": rows}, size=SIZE), 1, 17, dims, transposed=True))
    np.testing.assert_allclose(
        found[0], expected(boxes, scores, joints if dims == 3 else repeated(scores, joints)), atol=1e-4
    )


def test_any_number_of_cells_keeps_all_of_them() -> None:
    rows = np.zeros((56, 150), np.float32)
    model = returning({"output0": rows}, size=SIZE, shapes={"output0": ["batch", 56, "anchors"]})
    assert run(onestage.ultralytics_raw(model, 1, 17, 3)).shape == (1, 150, 56)


@pytest.mark.parametrize("dims", [2, 3])
def test_suppressed_ultralytics(dims: int) -> None:
    boxes, scores, joints = people(300, 17)
    rows = np.concatenate([boxes, scores[:, None], np.zeros((300, 1)), joints[..., :dims].reshape(300, -1)], axis=1)
    rows[20:] = 0  # padded
    found = run(onestage.ultralytics_end2end(returning({"output0": rows.astype(np.float32)}, size=SIZE), 17, dims))
    wanted = expected(boxes, scores, joints if dims == 3 else repeated(scores, joints))
    np.testing.assert_allclose(found[0, :20], wanted[:20], atol=1e-4)
    assert not found[0, 20:, 4].any()


@pytest.mark.parametrize("count", [0, 3, 150])
@pytest.mark.parametrize("opset", [10, 11, 17])
def test_boxes_and_keypoints_of_any_number(count: int, opset: int) -> None:
    """They become a fixed number: the first ones, then rows that are nobody."""
    boxes, scores, joints = people(count, 17)
    given = {"dets": np.concatenate([boxes, scores[:, None]], axis=1), "keypoints": joints}
    shapes = {"dets": ["batch", "n", 5], "keypoints": ["batch", "n", 17, 3]}
    model = returning(given, size=SIZE, shapes=shapes, opset=opset)
    found = run(onestage.boxes_and_keypoints(model, "dets", "keypoints", 17))
    assert found.shape == (1, onestage.ROWS, 56)
    kept = min(count, onestage.ROWS)
    np.testing.assert_allclose(found[0, :kept], expected(boxes, scores, joints)[:kept], atol=1e-4)
    assert not found[0, kept:].any()


def test_counted_people_of_yolo_nas() -> None:
    boxes, scores, joints = people(20, 17)
    joints[7:], scores[9] = np.nan, np.nan  # rows behind the number hold anything
    given = {"num_predictions": np.array([7]), "boxes": boxes, "scores": scores, "joints": joints}
    found = run(onestage.counted(returning(given, size=SIZE), list(given), 17))
    np.testing.assert_allclose(found[0, :7], expected(boxes, scores, joints)[:7], atol=1e-4)
    assert found.shape == (1, 20, 56) and not found[0, 7:, 4].any()


@pytest.mark.parametrize("count", [0, 4])
def test_flat_rows_of_yolo_nas(count: int) -> None:
    boxes, scores, joints = people(count, 17)
    rows = np.concatenate([np.zeros((count, 1)), boxes, scores[:, None], joints.reshape(count, 51)], axis=1)
    model = returning({"rows": rows.astype(np.float32)}, size=SIZE)
    flat = onnx.helper.make_node("Reshape", ["rows", "flat.shape"], ["flat"])
    model.graph.node.append(flat)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([-1, 57]), "flat.shape"))
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info("flat", 1, ["n", 57]))
    found = run(onestage.flat_rows(model, 17))
    assert found.shape == (1, onestage.ROWS, 56)
    np.testing.assert_allclose(found[0, :count], expected(boxes, scores, joints), atol=1e-4)
    assert not found[0, count:, 4].any()


def test_movenet_multipose() -> None:
    boxes, scores, joints = people(6, 17)
    unit = np.array([SIZE[1], SIZE[0]], np.float32)
    found = np.concatenate([joints[..., 1::-1] / unit[::-1], joints[..., 2:]], axis=2).reshape(6, 51)
    rows = np.concatenate([found, boxes.reshape(6, 2, 2)[..., ::-1].reshape(6, 4) / np.tile(unit[::-1], 2)], axis=1)
    rows = np.concatenate([rows, scores[:, None]], axis=1).astype(np.float32)
    made = onestage.movenet_multipose(returning({"output_0": rows}, size=SIZE), 17, SIZE)
    np.testing.assert_allclose(run(made)[0], expected(boxes, scores, joints), atol=1e-3)


@pytest.mark.parametrize("opset", [16, 18])
def test_detrpose(opset: int) -> None:
    """Its second input becomes the size of the canvas; the stub multiplies fractions with it, as the network does."""
    from onnx import TensorProto, helper, numpy_helper

    _, scores, joints = people(60, 17)
    unit = joints[..., :2] / np.array([SIZE[1], SIZE[0]], np.float32)
    nodes = [
        helper.make_node("Cast", ["orig_target_sizes"], ["sizes"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["sizes", "four"], ["wide"]),
        helper.make_node("Mul", ["unit", "wide"], ["keypoints"]),
        helper.make_node("Identity", ["given"], ["scores"]),
        helper.make_node("Identity", ["given"], ["labels"]),
        helper.make_node("Identity", ["images"], ["unread"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([-1, 1, 1, 2]), "four"),
        numpy_helper.from_array(unit[None], "unit"),
        numpy_helper.from_array(scores[None], "given"),
    ]
    shapes = {"scores": [1, 60], "labels": [1, 60], "keypoints": [1, 60, 17, 2]}
    graph = helper.make_graph(
        nodes,
        "detrpose",
        [
            helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, *SIZE]),
            helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, [1, 2]),
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    made = onestage.detrpose(model, "scores", "keypoints", "orig_target_sizes", 17, SIZE)
    assert [value.name for value in made.graph.input] == ["images"]
    xy = joints[..., :2]
    boxes = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1)
    np.testing.assert_allclose(run(made)[0], expected(boxes, scores, repeated(scores, joints)), atol=1e-3)


def test_an_output_of_another_form_is_refused() -> None:
    model = returning({"output0": np.zeros((55, 84), np.float32)}, size=SIZE)
    with pytest.raises(ModelError, match=r"\['batch', 55, 84\]; its axis 1 should have length 56"):
        onestage.ultralytics_raw(model, 1, 17, 3)
    with pytest.raises(ModelError, match="there is no output 'dets'; there is output0"):
        onestage.boxes_and_keypoints(model, "dets", "keypoints", 17)
