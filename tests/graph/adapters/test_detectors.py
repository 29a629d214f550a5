"""Adapters of person detectors against plain numpy, on random outputs of the published shapes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from published import returning

from edgepose._checks import Array
from edgepose.errors import ModelError
from edgepose.graph.adapters.detectors import (
    OUTPUT,
    ROWS,
    before_suppression,
    channels_first,
    distances,
    grid_of,
    labeled_boxes,
    queries,
    rows_with_class,
    suppression_inside,
    yolox_decoded,
    yolox_raw,
)

SIZE = (64, 96)
RNG = np.random.default_rng(0)
HALF = np.array([0.5, 0.5, 0.5, 0.5, 0])


def run(model: onnx.ModelProto, size: tuple[int, int] = SIZE) -> Array:
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.output] == [OUTPUT]
    assert len(model.graph.input) == 1
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (found,) = session.run(None, {model.graph.input[0].name: RNG.random((1, 3, *size)).astype(np.float32)})
    assert found.dtype == np.float32
    return np.asarray(found[0])


def boxes(count: int, size: tuple[int, int] = SIZE) -> Array:
    low = RNG.uniform(0, 30, (count, 2))
    return np.concatenate([low, low + RNG.uniform(1, 30, (count, 2))], axis=1)


def scored(corners: Array, scores: Array) -> Array:
    return np.column_stack([corners, scores]) - HALF


@pytest.mark.parametrize("opset", [7, 11, 13, 17])
@pytest.mark.parametrize("classes", [1, 5])
def test_rows_of_ultralytics(opset: int, classes: int) -> None:
    """[1, 4 + classes, A]: center x, center y, width, height, scores."""
    person = classes // 2
    center, extent, scores = RNG.uniform(0, 60, (126, 2)), RNG.uniform(1, 20, (126, 2)), RNG.random((126, classes))
    output = np.concatenate([center, extent, scores], axis=1).T.astype(np.float32)
    found = run(channels_first(returning({"output0": output}, size=SIZE, opset=opset), "output0", [person]))
    expected = scored(np.concatenate([center - extent / 2, center + extent / 2], axis=1), scores[:, person])
    assert np.abs(found - expected).max() < 1e-4


@pytest.mark.parametrize("opset", [7, 11, 17])
def test_rows_with_a_class(opset: int) -> None:
    corners, scores, label = boxes(300), RNG.random(300), RNG.integers(0, 4, 300)
    output = np.column_stack([corners, scores, label]).astype(np.float32)
    found = run(rows_with_class(returning({"output0": output}, size=SIZE, opset=opset), "output0", [2]))
    assert np.abs(found - scored(corners, scores * (label == 2))).max() < 1e-4
    assert 0 < (found[:, 4] > 0).sum() < 300


def test_the_best_of_several_classes_counts() -> None:
    output = RNG.random((4 + 5, 126)).astype(np.float32)
    found = run(channels_first(returning({"output0": output}, size=SIZE), "output0", [1, 4]))
    assert np.abs(found[:, 4] - output[[5, 8]].max(axis=0)).max() < 1e-6
    raw = RNG.random((len(grid_of(SIZE, (8, 16, 32))), 5 + 4)).astype(np.float32)
    found = run(yolox_decoded(returning({"output": raw}, size=SIZE), "output", [0, 3]))
    assert np.abs(found[:, 4] - raw[:, 4] * raw[:, [5, 8]].max(axis=1)).max() < 1e-6
    label, scores = RNG.integers(0, 4, 300), RNG.random(300)
    rows = np.column_stack([boxes(300), scores, label]).astype(np.float32)
    found = run(rows_with_class(returning({"output0": rows}, size=SIZE), "output0", [0, 2]))
    assert np.abs(found[:, 4] - scores * np.isin(label, (0, 2))).max() < 1e-6


def test_rows_of_ssd_are_fractions_of_the_input() -> None:
    corners, scores, label = RNG.random((40, 4)), RNG.random(40), RNG.integers(0, 3, 40)
    output = np.column_stack([np.zeros(40), label, scores, corners]).astype(np.float32)[None]
    model = returning({"detection_out": output}, size=SIZE)
    how = {"boxes": (3, 4, 5, 6), "score": 2, "label": 1, "size": SIZE}
    found = run(rows_with_class(model, "detection_out", [1], **how))  # type: ignore[arg-type]
    assert np.abs(found - scored(corners * [96, 64, 96, 64], scores * (label == 1))).max() < 1e-4
    free = returning({"out": output}, size=SIZE, shapes={"out": ["batch", 1, "n", 7]})
    with pytest.raises(ModelError, match="free number of rows"):
        rows_with_class(free, "out", [1])


@pytest.mark.parametrize("opset", [7, 11, 17])
def test_yolox(opset: int) -> None:
    """The decoding of YOLOX written out cell by cell."""
    grid, values, at = grid_of(SIZE, (8, 16, 32)), [], 0
    raw = np.concatenate([RNG.normal(size=(len(grid), 4)), RNG.random((len(grid), 4))], axis=1).astype(np.float32)
    for stride in (8, 16, 32):
        for row in range(SIZE[0] // stride):
            for column in range(SIZE[1] // stride):
                dx, dy, w, h, objectness = raw[at, :5].astype(np.float64)
                x, y = (dx + column) * stride, (dy + row) * stride
                w, h = np.exp(w) * stride, np.exp(h) * stride
                values.append([x, y, w, h, objectness * raw[at, 7]])
                at += 1
    assert at == len(grid) == 126
    x, y, w, h, score = np.array(values).T
    expected = scored(np.column_stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2]), score)
    assert (
        np.abs(run(yolox_raw(returning({"output": raw}, size=SIZE, opset=opset), "output", grid, [2])) - expected).max()
        < 1e-3
    )
    decoded = np.column_stack([x, y, w, h, raw[:, 4:]]).astype(np.float32)
    found = run(yolox_decoded(returning({"output": decoded}, size=SIZE, opset=opset), "output", [2]))
    assert np.abs(found - expected).max() < 1e-3


@pytest.mark.parametrize("opset", [7, 11, 13, 17])
def test_distances_of_nanodet(opset: int) -> None:
    grid, classes, person = grid_of(SIZE, (8, 16, 32, 64)), 3, 1
    assert len(grid) == 128  # the grid of stride 64 has 1 x 2 cells
    scores, logits = RNG.random((len(grid), classes)), RNG.normal(size=(len(grid), 4, 8)) * 2
    output = np.concatenate([scores, logits.reshape(-1, 32)], axis=1).astype(np.float32)
    weights = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    left, top, right, bottom = ((weights * np.arange(8)).sum(axis=2) * grid[:, 2:]).T
    x, y = (grid[:, :2] * grid[:, 2:]).T
    expected = scored(np.column_stack([x - left, y - top, x + right, y + bottom]), scores[:, person])
    model = returning({"output": output}, size=SIZE, opset=opset)
    found = run(distances(model, "output", grid, [person], classes=classes, bins=8))
    assert np.abs(found - expected).max() < 1e-3


def test_queries_of_a_detr_are_scaled_by_a_constant() -> None:
    """A network that multiplies fractions by its second input, (width, height), as RT-DETR and D-FINE do."""
    corners, scores, label = RNG.random((20, 4)).astype(np.float32), RNG.random(20), RNG.integers(0, 3, 20)
    model = returning({"fractions": corners, "scores": scores.astype(np.float32), "labels": label}, size=SIZE)
    sizes = helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, ["batch", 2])
    model.graph.input.append(sizes)
    twice = [
        helper.make_node("Cast", ["orig_target_sizes"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["wide", "wide"], ["both"], axis=1),
        helper.make_node("Unsqueeze", ["both"], ["each"], axes=[1]),
        helper.make_node("Mul", ["fractions", "each"], ["boxes"]),
    ]
    model.graph.node.extend(twice)
    model.graph.output[0].name = "boxes"
    names = {"labels": "labels", "boxes": "boxes", "scores": "scores", "size": "orig_target_sizes"}
    found = run(queries(model, names, SIZE, [0]))
    assert np.abs(found - scored(corners * [96, 64, 96, 64], scores * (label == 0))).max() < 1e-4


def test_a_network_that_suppresses_gets_a_fixed_number_of_rows() -> None:
    for count in (0, 3, ROWS, ROWS + 20):
        corners, scores, label = boxes(count), np.sort(RNG.random(count))[::-1], RNG.integers(0, 2, count)
        dets = np.column_stack([corners, scores]).astype(np.float32)
        shapes = {"dets": ["batch", "n", 5], "labels": ["batch", "n"]}
        model = returning({"dets": dets.reshape(-1, 5), "labels": label}, size=SIZE, shapes=shapes)
        found = run(labeled_boxes(model, "dets", "labels", [0]))
        assert found.shape == (ROWS, 5)
        expected = scored(corners, scores * (label == 0))[:ROWS]
        assert np.abs(found[: len(expected)] - expected).max(initial=0) < 1e-4
        assert (found[len(expected) :, 4] == 0).all()


def suppressing(select: Callable[[list[onnx.NodeProto]], tuple[str, str]]) -> tuple[onnx.ModelProto, Array, Array]:
    """A network that ends in NonMaxSuppression, and its boxes [M, 4] and scores [M, classes]."""
    corners, scores = boxes(50).astype(np.float32), RNG.random((50, 3)).astype(np.float32)
    model = returning({"all_boxes": corners, "all_scores": scores}, size=SIZE)
    nodes: list[onnx.NodeProto] = []
    ends = select(nodes)
    limits = {
        "most": np.array([200], np.int64),
        "iou": np.array([0.6], np.float32),
        "least": np.array([0.05], np.float32),
    }
    model.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in limits.items())
    nodes.append(helper.make_node("NonMaxSuppression", [*ends, "most", "iou", "least"], ["selected"]))
    model.graph.node.extend(nodes)
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("selected", TensorProto.INT64, [None, 3]))
    return model, corners, scores


def test_a_suppression_is_cut_off() -> None:
    def plain(nodes: list[onnx.NodeProto]) -> tuple[str, str]:
        nodes.append(helper.make_node("Transpose", ["all_scores"], ["by_class"], perm=[0, 2, 1]))
        return "all_boxes", "by_class"

    model, corners, scores = suppressing(plain)
    inside = suppression_inside(model)
    assert inside is not None
    assert (inside.iou_threshold, inside.score_threshold) == (0.6, 0.05)
    assert np.abs(run(before_suppression(model, [1])) - scored(corners, scores[:, 1])).max() < 1e-4
    assert suppression_inside(returning({"x": corners})) is None


def test_a_selection_in_front_of_a_suppression_is_cut_off_too() -> None:
    """mmdeploy's pre_top_k: the best boxes, sorted, by Flatten, Gather and Reshape."""

    def selected(nodes: list[onnx.NodeProto]) -> tuple[str, str]:
        best = np.argsort(-RNG.random(50))[:20].astype(np.int64)
        nodes.append(helper.make_node("Constant", [], ["best"], value=onnx.numpy_helper.from_array(best)))
        for name, last in (("boxes", 4), ("scores", 3)):
            shape = onnx.numpy_helper.from_array(np.array([1, 20, last], np.int64))
            nodes += [
                helper.make_node("Constant", [], [f"{name}.shape"], value=shape),
                helper.make_node("Flatten", [f"all_{name}"], [f"{name}.flat"], axis=2),
                helper.make_node("Gather", [f"{name}.flat", "best"], [f"{name}.best"]),
                helper.make_node("Reshape", [f"{name}.best", f"{name}.shape"], [f"{name}.rows"]),
            ]
        nodes.append(helper.make_node("Transpose", ["scores.rows"], ["by_class"], perm=[0, 2, 1]))
        return "boxes.rows", "by_class"

    model, corners, scores = suppressing(selected)
    found = run(before_suppression(model, [2]))
    assert found.shape == (50, 5)
    assert np.abs(found - scored(corners, scores[:, 2])).max() < 1e-4
