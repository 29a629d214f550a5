"""Rewrite person detectors to one output [N, M, 5]: x0, y0, x1, y1 and score of each box.

The boxes are in pixels of the network's input. The networks count from its edge; the rewritten output has pixel centers
at integers, so 0.5 is subtracted. The score is that of a person, or
the best of several classes that count as people: boxes of other classes have score 0. Which boxes are
people in the end, the codec decides (`edgepose.codecs.onestage`, for no joints).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.errors import ModelError
from edgepose.graph.adapters.editing import Editor
from edgepose.graph.lookup import Graph, graph_of

if TYPE_CHECKING:
    import onnx

Size = tuple[int, int]  # (height, width)
OUTPUT = "detections"
ROWS = 100  # of a network that returns as many boxes as it finds: mmdeploy's keep_top_k


@dataclass(frozen=True, kw_only=True)
class Suppression:
    """The non-maximum suppression that was inside a graph.

    Attributes:
        iou_threshold: The largest overlap of two boxes that both stay.
        score_threshold: The lowest score of a box.
    """

    iou_threshold: float
    score_threshold: float


def grid_of(size: Size, strides: Sequence[int]) -> Array:
    """Return the cells of a head on several grids, row by row, the finest grid first.

    Args:
        size: The (height, width) of the input.
        strides: The stride of each grid in pixels.

    Returns:
        [A, 3] float32: column and row of each cell, and its stride.
    """
    rows = []
    for stride in strides:
        y, x = np.mgrid[: -(-size[0] // stride), : -(-size[1] // stride)]
        rows.append(np.stack([x.ravel(), y.ravel(), np.full(x.size, stride)], axis=1))
    return np.concatenate(rows).astype(np.float32)


def suppression_inside(model: onnx.ModelProto) -> Suppression | None:
    """Return the thresholds of the only NonMaxSuppression of a graph; None without one, or where they are computed."""
    graph = graph_of(model)
    nodes = [node for node in graph.nodes if node.op_type == "NonMaxSuppression"]
    if len(nodes) != 1 or len(nodes[0].input) < 4:
        return None
    found = [_number(graph, name, default) for name, default in zip(_optional(nodes[0]), (0.0, 0.0), strict=True)]
    if found[0] is None or found[1] is None:
        return None
    return Suppression(iou_threshold=round(found[0], 6), score_threshold=round(found[1], 6))


def _optional(node: onnx.NodeProto) -> tuple[str, str]:
    """Return the names of the two thresholds of a NonMaxSuppression; "" for one that is not given."""
    given = (*node.input, "", "")
    return given[3], given[4]


def _number(graph: Graph, name: str, default: float) -> float | None:
    from onnx import numpy_helper

    if not name:
        return default
    tensor = graph.constants.get(name)
    node = graph.producer.get(name)
    if tensor is None and node is not None and node.op_type == "Constant":
        tensor = next((item.t for item in node.attribute if item.name == "value"), None)
    return None if tensor is None else float(numpy_helper.to_array(tensor).ravel()[0])


def before_suppression(model: onnx.ModelProto, people: Sequence[int]) -> onnx.ModelProto:
    """Cut a graph in front of its NonMaxSuppression, whose boxes are x0, y0, x1, y1.

    The number of boxes is then fixed, and a box keeps its row, whatever the precision. A selection of the best boxes
    that only speeds up the suppression (mmdeploy's `pre_top_k`) is left out with it.

    Args:
        model: A graph with one NonMaxSuppression.
        people: The classes that count as people.
    """
    graph = graph_of(model)
    (node,) = (node for node in graph.nodes if node.op_type == "NonMaxSuppression")
    boxes, scores = _unselected(graph, node.input[0]), _unselected(graph, node.input[1])
    if (boxes == node.input[0]) != (scores == node.input[1]):
        boxes, scores = node.input[0], node.input[1]
    editor = Editor(model)
    if scores == node.input[1]:  # [N, classes, M]
        mine = editor.node("Transpose", _best(editor, scores, people, 1), perm=[0, 2, 1])
    else:  # [N, M, classes]
        mine = _best(editor, scores, people, 2)
    return _result(editor, boxes, mine)


def _unselected(graph: Graph, tensor: str) -> str:
    """Return the tensor [N, M, ...] of which `tensor` is a selection of rows by TopK; itself where it is none.

    mmdeploy writes a selection as Reshape(Gather(Flatten(tensor), indices)), and a Transpose behind that of the scores.
    """
    path = {"Transpose": "Reshape", "Reshape": "Gather", "Gather": "Flatten", "Flatten": ""}
    node = graph.producer.get(tensor)
    expected = node.op_type if node is not None and node.op_type in ("Transpose", "Reshape") else ""
    while node is not None and expected and node.op_type == expected:
        expected = path[expected]
        if not expected:
            return str(node.input[0])
        node = graph.producer.get(node.input[0])
    return tensor


def labeled_boxes(model: onnx.ModelProto, dets: str, labels: str, people: Sequence[int]) -> onnx.ModelProto:
    """Rewrite `dets` [N, n, 5] and `labels` [N, n] of a network that suppresses boxes itself.

    Such networks return as many boxes as they find, best first. Rows of zeros are added, and the first `ROWS` rows are
    the output.

    Args:
        model: The graph.
        dets: The output of boxes with scores.
        labels: The output of classes.
        people: The classes that count as people.
    """
    editor = Editor(model)
    rows = editor.number(dets)
    of_person = editor.reshape(_matching(editor, labels, people), (0, 0, 1))
    boxes, scores = editor.take(rows, range(4), 2), editor.take(rows, [4], 2)
    joined = _joined(editor, boxes, editor.node("Mul", scores, of_person))
    padding = editor.constant(np.zeros((1, ROWS, 5)))
    return editor.result(editor.take(editor.join([joined, padding], 1), range(ROWS), 1), OUTPUT, ("batch", ROWS, 5))


def channels_first(model: onnx.ModelProto, output: str, people: Sequence[int]) -> onnx.ModelProto:
    """Rewrite [N, 4 + classes, A]: centers, sizes and class scores in rows (Ultralytics).

    Args:
        model: The graph.
        output: The name of its output.
        people: The classes that count as people.
    """
    editor = Editor(model)
    rows = editor.number(output)
    taken = editor.node(
        "Transpose", editor.take(rows, [0, 1, 2, 3, *(4 + number for number in people)], 1), perm=[0, 2, 1]
    )
    center, extent = editor.take(taken, [0, 1], 2), editor.take(taken, [2, 3], 2)
    return _result(editor, _corners(editor, center, extent), _best(editor, taken, range(4, 4 + len(people)), 2))


def rows_with_class(
    model: onnx.ModelProto,
    output: str,
    people: Sequence[int],
    *,
    boxes: Sequence[int] = (0, 1, 2, 3),
    score: int = 4,
    label: int = 5,
    size: Size | None = None,
) -> onnx.ModelProto:
    """Rewrite rows of corners, a score and a class, [N, M, 6] (Ultralytics with suppression) or [1, 1, M, 7] (SSD).

    Args:
        model: The graph.
        output: The name of its output.
        people: The classes that count as people.
        boxes: The columns of x0, y0, x1, y1.
        score: The column of the score.
        label: The column of the class.
        size: The (height, width) of the input where the corners are fractions of it.
    """
    editor = Editor(model)
    rows = editor.reshape(editor.number(output), (-1, *_row_shape(model, output)))
    corners = editor.take(rows, boxes, 2)
    if size is not None:
        corners = editor.node("Mul", corners, editor.constant([size[1], size[0], size[1], size[0]]))
    of_person = _matching(editor, editor.take(rows, [label], 2), people)
    return _result(editor, corners, editor.node("Mul", editor.take(rows, [score], 2), of_person))


def _row_shape(model: onnx.ModelProto, output: str) -> tuple[int, int]:
    value = next(value for value in model.graph.output if value.name == output)
    shape = [int(axis.dim_value) for axis in value.type.tensor_type.shape.dim]
    if shape[-2] < 1 or shape[-1] < 1:
        raise ModelError(f"output {output!r} has a free number of rows; export the network with fixed shapes")
    return shape[-2], shape[-1]


def yolox_raw(model: onnx.ModelProto, output: str, grid: Array, people: Sequence[int]) -> onnx.ModelProto:
    """Rewrite [N, A, 5 + classes]: offsets in the cell, logarithmic sizes, objectness, class scores (YOLOX).

    Args:
        model: The graph.
        output: The name of its output.
        grid: The cells, [A, 3] from `grid_of`.
        people: The classes that count as people.
    """
    editor = Editor(model)
    rows = editor.number(output)
    stride = editor.constant(grid[None, :, 2:])
    offset = editor.node("Add", editor.take(rows, [0, 1], 2), editor.constant(grid[None, :, :2]))
    center = editor.node("Mul", offset, stride)
    extent = editor.node("Mul", editor.node("Exp", editor.take(rows, [2, 3], 2)), stride)
    return _result(editor, _corners(editor, center, extent), _of_two(editor, rows, people))


def yolox_decoded(model: onnx.ModelProto, output: str, people: Sequence[int]) -> onnx.ModelProto:
    """Rewrite [N, A, 5 + classes]: centers and sizes in pixels, objectness, class scores (YOLOX).

    Args:
        model: The graph.
        output: The name of its output.
        people: The classes that count as people.
    """
    editor = Editor(model)
    rows = editor.number(output)
    center, extent = editor.take(rows, [0, 1], 2), editor.take(rows, [2, 3], 2)
    return _result(editor, _corners(editor, center, extent), _of_two(editor, rows, people))


def _of_two(editor: Editor, rows: str, people: Sequence[int]) -> str:
    """Objectness times class score, [N, A, 1]."""
    return editor.node("Mul", editor.take(rows, [4], 2), _best(editor, rows, [5 + number for number in people], 2))


def distances(
    model: onnx.ModelProto, output: str, grid: Array, people: Sequence[int], *, classes: int, bins: int
) -> onnx.ModelProto:
    """Rewrite [N, A, classes + 4 bins]: class scores, and distributions over the distances to the edges (NanoDet).

    The distance is the mean of 0, 1, ..., bins - 1 under the softmax of the bins, in strides, from the corner of the
    cell to the left, top, right and bottom.

    Args:
        model: The graph.
        output: The name of its output.
        grid: The cells, [A, 3] from `grid_of`.
        people: The classes that count as people.
        classes: The number of classes.
        bins: The number of bins of each distance.
    """
    editor = Editor(model)
    rows, count = editor.number(output), len(grid)
    logits = editor.reshape(editor.take(rows, range(classes, classes + 4 * bins), 2), (-1, bins))
    weights = editor.node("Softmax", logits, axis=1)  # of two axes, so that all versions of the operator agree
    mean = editor.node("MatMul", weights, editor.constant(np.arange(bins)[:, None]))
    reach = editor.node("Mul", editor.reshape(mean, (-1, count, 4)), editor.constant(grid[None, :, 2:]))
    at = editor.constant(grid[None, :, :2] * grid[None, :, 2:])
    low = editor.node("Sub", at, editor.take(reach, [0, 1], 2))
    high = editor.node("Add", at, editor.take(reach, [2, 3], 2))
    return _result(editor, editor.join([low, high], 2), _best(editor, rows, people, 2))


def queries(model: onnx.ModelProto, names: Mapping[str, str], size: Size, people: Sequence[int]) -> onnx.ModelProto:
    """Rewrite `labels` [N, Q], `boxes` [N, Q, 4] and `scores` [N, Q] of a DETR whose second input is a size.

    The size, by which boxes are scaled, becomes a constant: that of the input.

    Args:
        model: The graph.
        names: The names of "labels", "boxes", "scores" and of the input "size".
        size: The (height, width) of the input.
        people: The classes that count as people.
    """
    editor = Editor(model)
    editor.freeze(names["size"], np.array([[size[1], size[0]]], np.int64))
    of_person = _matching(editor, names["labels"], people)
    scores = editor.node("Mul", editor.number(names["scores"]), of_person)
    return _result(editor, editor.number(names["boxes"]), editor.reshape(scores, (0, 0, 1)))


def _best(editor: Editor, tensor: str, places: Sequence[int], axis: int) -> str:
    """Return the largest of some entries along an axis, whose length becomes 1."""
    taken = [editor.take(tensor, [place], axis) for place in places]
    return taken[0] if len(taken) == 1 else editor.node("Max", *taken)


def _matching(editor: Editor, labels: str, people: Sequence[int]) -> str:
    """Return 1 where a label is one of people, else 0, as numbers."""
    numbers = editor.number(labels)
    found = []
    for person in people:
        offset = editor.node("Sub", numbers, editor.constant(float(person)))
        found.append(editor.node("Relu", editor.node("Sub", editor.constant(1.0), editor.node("Abs", offset))))
    return found[0] if len(found) == 1 else editor.node("Max", *found)


def _corners(editor: Editor, center: str, extent: str) -> str:
    half = editor.node("Mul", extent, editor.constant(0.5))
    return editor.join([editor.node("Sub", center, half), editor.node("Add", center, half)], 2)


def _joined(editor: Editor, corners: str, scores: str) -> str:
    return editor.join([editor.node("Sub", corners, editor.constant(0.5)), scores], 2)


def _result(editor: Editor, corners: str, scores: str) -> onnx.ModelProto:
    return editor.result(_joined(editor, corners, scores), OUTPUT, ("batch", None, 5))
