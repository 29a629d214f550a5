"""Rewrite one-stage networks to one output [N, M, 5 + 3K]: x0, y0, x1, y1, score, then x, y, score of each joint.

Coordinates of the networks are pixels of their input, counted from its edge. The rewritten output has pixel centers at
integers, so 0.5 is subtracted. Where a network gives no score of a joint, the joint gets the score of its person. Which
rows are people in the end, the codec decides (`edgepose.codecs.onestage`).

A network that suppresses by itself and returns as many rows as it finds gets a fixed number of them: engines and
batches need one. Missing rows are zeros, which are nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.errors import ModelError
from edgepose.graph.adapters.editing import Editor

if TYPE_CHECKING:
    import onnx

    from edgepose.pose.geometry import Size

OUTPUT = "people"
BOX = 5  # x0, y0, x1, y1, score
ROWS = 100  # of a network that returns as many rows as it finds: mmdeploy's keep_top_k
REDUCE_INPUT = 18  # the version of the operator set from which the axes of ReduceMin are an input
PAD_INPUT = 11  # the same of the widths of Pad


def ultralytics_raw(
    model: onnx.ModelProto, classes: int, joints: int, dims: int, transposed: bool = False
) -> onnx.ModelProto:
    """Rewrite the raw output of YOLOv8, 11, 12 or 26: [N, 4 + classes + K * dims, A], with centers and sizes.

    Args:
        model: The graph; its first output is the one to rewrite.
        classes: The number of classes. The score of a person is that of the best class.
        joints: K.
        dims: The numbers of each joint: 2 for x and y, 3 with a score.
        transposed: Whether the output is that of DeepStream's exporter, [N, A, 5 + K * dims], with corners of boxes.

    Raises:
        ModelError: The output has another number of columns.
    """
    editor, given, shape = _begin(model)
    if transposed:
        _expect(shape, 2, BOX + joints * dims)
        rows = given if dims == 3 else _with_scores(editor, given, joints, axis=2, first=BOX)
        return _finish(editor, model, rows, joints, shape[:2], found=False)
    _expect(shape, 1, 4 + classes + joints * dims)
    center, half = editor.take(given, [0, 1], 1), editor.node("Mul", editor.take(given, [2, 3], 1), _half(editor))
    scores = [editor.take(given, [4 + i], 1) for i in range(classes)]
    score = scores[0] if classes == 1 else editor.node("Max", *scores)
    found = editor.take(given, range(4 + classes, 4 + classes + joints * dims), 1)
    columns = [editor.node("Sub", center, half), editor.node("Add", center, half), score, found]
    rows = editor.join(columns, 1)
    if dims == 2:
        rows = _with_scores(editor, rows, joints, axis=1, first=BOX)
    turned = editor.node("Transpose", rows, perm=[0, 2, 1])
    return _finish(editor, model, turned, joints, (*shape[:1], *shape[2:]), found=False)


def objectness_rows(model: onnx.ModelProto, output: str, joints: int, count: int) -> onnx.ModelProto:
    """Rewrite [N, M, 6 + 3K]: center, size, objectness, score of one class, joints (YOLOv7-pose).

    Args:
        model: The graph.
        output: The name of its output.
        joints: K.
        count: M.

    Raises:
        ModelError: The graph has no such output.
    """
    editor = Editor(model)
    given = _float(editor, model, output)
    center, half = editor.take(given, [0, 1], 2), editor.node("Mul", editor.take(given, [2, 3], 2), _half(editor))
    score = editor.node("Mul", editor.take(given, [4], 2), editor.take(given, [5], 2))
    found = editor.take(given, range(6, 6 + 3 * joints), 2)
    columns = [editor.node("Sub", center, half), editor.node("Add", center, half), score, found]
    return _finish(editor, model, editor.join(columns, 2), joints, (None, count), found=False)


def ultralytics_end2end(model: onnx.ModelProto, joints: int, dims: int) -> onnx.ModelProto:
    """Rewrite the suppressed output of Ultralytics: [N, M, 6 + K * dims], with corners, score, class and joints.

    Args:
        model: The graph; its first output is the one to rewrite.
        joints: K.
        dims: The numbers of each joint: 2 for x and y, 3 with a score.

    Raises:
        ModelError: The output has another number of columns.
    """
    editor, given, shape = _begin(model)
    _expect(shape, 2, 6 + joints * dims)
    rows = editor.take(given, [*range(BOX), *range(6, 6 + joints * dims)], 2)
    if dims == 2:
        rows = _with_scores(editor, rows, joints, axis=2, first=BOX)
    return _finish(editor, model, rows, joints, shape[:2])


def boxes_and_keypoints(model: onnx.ModelProto, boxes: str, keypoints: str, joints: int) -> onnx.ModelProto:
    """Rewrite two outputs of mmdeploy (RTMO, YOLOX-pose): boxes [N, M, 5] and joints [N, M, K, 3].

    Args:
        model: The graph.
        boxes: The name of the output of x0, y0, x1, y1, score.
        keypoints: The name of the output of x, y, score of each joint.
        joints: K.

    Raises:
        ModelError: The graph has no such outputs, or they have other axes.
    """
    editor = Editor(model)
    shape = _shape(model, boxes)
    _expect(shape, 2, BOX)
    found = _flat(editor, _float(editor, model, keypoints), joints)
    return _finish(editor, model, editor.join([_float(editor, model, boxes), found], 2), joints, shape[:2])


def counted(model: onnx.ModelProto, outputs: Sequence[str], joints: int) -> onnx.ModelProto:
    """Rewrite the four outputs of YOLO-NAS-pose in its batch format.

    Args:
        model: The graph.
        outputs: The names of: the number of people [N, 1]; boxes [N, M, 4]; scores [N, M]; joints [N, M, K, 3]. Rows
            behind the number of people hold anything, and get the score 0.
        joints: K.

    Raises:
        ModelError: The graph has no such outputs, they have other axes, or M is not fixed.
    """
    count, boxes, scores, keypoints = outputs
    editor, shape = Editor(model), _shape(model, boxes)
    _expect(shape, 2, 4)
    rows = shape[1]
    if not isinstance(rows, int):
        raise ModelError(f"output {boxes!r} has any number of rows; export the network with a fixed number of people")
    number = editor.constant(np.arange(rows)[None])
    real = editor.node("Less", number, editor.number(count))
    nothing = editor.constant(np.zeros((1, rows)))
    score = editor.reshape(editor.node("Where", real, _float(editor, model, scores), nothing), [0, 0, 1])
    found = _flat(editor, _float(editor, model, keypoints), joints)
    return _finish(editor, model, editor.join([_float(editor, model, boxes), score, found], 2), joints, shape[:2])


def flat_rows(model: onnx.ModelProto, joints: int) -> onnx.ModelProto:
    """Rewrite the flat output of YOLO-NAS-pose: [M, 6 + 3K], with the image's index, corners, score and joints.

    Args:
        model: The graph for one image; its first output is the one to rewrite.
        joints: K.

    Raises:
        ModelError: The output has another number of columns.
    """
    editor, given, shape = _begin(model)
    _expect(shape, 1, 6 + 3 * joints)
    rows = editor.take(given, range(1, 6 + 3 * joints), 1)
    return _finish(editor, model, editor.reshape(rows, [1, -1, BOX + 3 * joints]), joints, (1, *shape[:1]))


def movenet_multipose(model: onnx.ModelProto, joints: int, size: Size) -> onnx.ModelProto:
    """Rewrite the output of MoveNet MultiPose: [N, M, 3K + 5] of y, x, score of each joint, then y0, x0, y1, x1, score.

    Args:
        model: The graph; its first output is the one to rewrite.
        joints: K.
        size: The (height, width) of its input, in which the network counts from 0 to 1.

    Raises:
        ModelError: The output has another number of columns.
    """
    editor, given, shape = _begin(model)
    first = 3 * joints
    _expect(shape, 2, first + BOX)
    order = [first + 1, first, first + 3, first + 2, first + 4]
    order += [3 * joint + column for joint in range(joints) for column in (1, 0, 2)]
    height, width = size
    scale = np.array([width, height, width, height, 1, *[width, height, 1] * joints], np.float32)
    rows = editor.node("Mul", editor.take(given, order, 2), editor.constant(scale))
    return _finish(editor, model, rows, joints, shape[:2])


def detrpose(
    model: onnx.ModelProto, scores: str, keypoints: str, sizes: str, joints: int, size: Size
) -> onnx.ModelProto:
    """Rewrite the outputs of DETRPose, and make its second input a constant, so that it counts in canvas pixels.

    The network gives no boxes; that of a person is the one around the joints.

    Args:
        model: The graph.
        scores: The name of the output [N, M].
        keypoints: The name of the output [N, M, K, 2].
        sizes: The name of the input [N, 2] of int64: width and height of the image.
        joints: K.
        size: The (height, width) of the input image.

    Raises:
        ModelError: The graph has no such outputs, or they have other axes.
    """
    editor, shape = Editor(model), _shape(model, scores)
    if len(shape) != 2:
        raise ModelError(f"output {scores!r} has shape {list(shape)}; expected [N, M]")
    editor.freeze(sizes, np.array([size[::-1]], np.int64))
    xy = editor.reshape(_float(editor, model, keypoints), [0, 0, joints, 2])
    low, high = (_reduced(editor, model, kind, xy) for kind in ("ReduceMin", "ReduceMax"))
    score = editor.reshape(_float(editor, model, scores), [0, 0, 1])
    rows = editor.join([low, high, score, editor.reshape(xy, [0, 0, 2 * joints])], 2)
    return _finish(editor, model, _with_scores(editor, rows, joints, axis=2, first=BOX), joints, shape)


Axes = tuple[int | str | None, ...]


def _begin(model: onnx.ModelProto) -> tuple[Editor, str, Axes]:
    """Return an editor, the first output as float32, and its shape."""
    editor, name = Editor(model), model.graph.output[0].name
    return editor, _float(editor, model, name), _shape(model, name)


def _float(editor: Editor, model: onnx.ModelProto, name: str) -> str:
    """Return an output as float32."""
    from onnx import TensorProto

    (value,) = (value for value in model.graph.output if value.name == name)
    return name if value.type.tensor_type.elem_type == TensorProto.FLOAT else editor.number(name)


def _shape(model: onnx.ModelProto, name: str) -> Axes:
    """Return the axes of an output: a length, a name, or None.

    Raises:
        ModelError: There is no such output.
    """
    found = [value for value in model.graph.output if value.name == name]
    if not found:
        raise ModelError(f"there is no output {name!r}; there is {', '.join(item.name for item in model.graph.output)}")
    return tuple(
        int(axis.dim_value) if axis.dim_value > 0 else (axis.dim_param or None)
        for axis in found[0].type.tensor_type.shape.dim
    )


def _expect(shape: Axes, axis: int, length: int) -> None:
    """Refuse an output whose axis has another length. An axis without a length may have any."""
    found = shape[axis] if axis < len(shape) else 0
    if shape and isinstance(found, int) and found != length:
        raise ModelError(f"the output has shape {list(shape)}; its axis {axis} should have length {length}")


def _half(editor: Editor) -> str:
    return editor.constant(0.5)


def _flat(editor: Editor, keypoints: str, joints: int) -> str:
    """[N, M, K, 3] -> [N, M, 3K]."""
    return editor.reshape(keypoints, [0, 0, 3 * joints])


def _with_scores(editor: Editor, rows: str, joints: int, *, axis: int, first: int) -> str:
    """Give joints of x and y, from column `first` on, the score of their person, which is the column before."""
    columns = list(range(first))
    for joint in range(joints):
        columns += [first + 2 * joint, first + 2 * joint + 1, first - 1]
    return editor.take(rows, columns, axis)


def _reduced(editor: Editor, model: onnx.ModelProto, kind: str, xy: str) -> str:
    """Reduce [N, M, K, 2] to [N, M, 2]."""
    if _version(model) < REDUCE_INPUT:
        return editor.node(kind, xy, axes=[2], keepdims=0)
    return editor.node(kind, xy, editor.constant([2], np.int64), keepdims=0)


def _offset(joints: int) -> Array:
    """[5 + 3K]: what is subtracted from each column, from the canvas's edge to the center of its first pixel."""
    return np.array([0.5, 0.5, 0.5, 0.5, 0, *[0.5, 0.5, 0] * joints], np.float32)


def _finish(
    editor: Editor, model: onnx.ModelProto, rows: str, joints: int, shape: Axes, *, found: bool = True
) -> onnx.ModelProto:
    """Return the graph with the rows [N, M, 5 + 3K], which count from the edge of the canvas, as its only output.

    Args:
        editor: The graph.
        model: The graph as it was.
        rows: The tensor.
        joints: K.
        shape: Its first two axes.
        found: Whether the rows are the best of those that the network found, so that many of them may be left out.
    """
    moved = editor.node("Sub", rows, editor.constant(_offset(joints)))
    images, count = shape[:2] if len(shape) > 1 else (None, None)
    if found and not isinstance(count, int):
        moved, count = _fixed(editor, model, moved), ROWS
    return editor.result(moved, OUTPUT, [images, count, BOX + 3 * joints])


def _fixed(editor: Editor, model: onnx.ModelProto, rows: str) -> str:
    """Return the first `ROWS` rows of each image, and zeros where there are fewer."""
    widths = [0, 0, 0, 0, ROWS, 0]
    if _version(model) < PAD_INPUT:
        more = editor.node("Pad", rows, pads=widths)
    else:
        more = editor.node("Pad", rows, editor.constant(widths, np.int64))
    return editor.take(more, range(ROWS), 1)


def _version(model: onnx.ModelProto) -> int:
    return max((int(item.version) for item in model.opset_import if item.domain in ("", "ai.onnx")), default=1)
