"""Bring the outputs of networks of one person to the forms that the codecs 'regression' and 'heatmap' decode.

A regressor gives some numbers per joint, flat ([N, 34], [N, 51], [N, 195]) or with axes of their own, in an order of
its own. `to_joints` makes [N, K, 2] or [N, K, 3] of it: x and y as fractions of the input, and the score. Functions
return a changed copy with one output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgepose.errors import ModelError
from edgepose.graph.adapters.editing import Editor

if TYPE_CHECKING:
    import onnx

    from edgepose.pose.geometry import Size

JOINTS, HEATMAPS = "joints", "heatmaps"


def to_joints(
    model: onnx.ModelProto,
    output: str,
    *,
    fields: Sequence[str],
    count: int,
    keep: Sequence[int] | None = None,
    pixels_of: Size | None = None,
    logits: bool = False,
) -> onnx.ModelProto:
    """Return a graph whose only output is `joints` for codec 'regression' with range 'unit'.

    Args:
        model: The graph.
        output: Its output, [N, count * F], or with any axes that hold these numbers in this order.
        fields: What the F numbers of each joint are: "x" and "y", and "score" where there is one; anything else is
            dropped. MoveNet has ("y", "x", "score").
        count: The number of joints in the output.
        keep: The joints to keep, in the order of the skeleton; None keeps all.
        pixels_of: (height, width) of the input where x and y count its pixels from its edge; None where they are
            fractions already.
        logits: Whether the score is a logit.

    Returns:
        The graph with the output [N, K, 2], or [N, K, 3] with a score.

    Raises:
        ModelError: The graph has no such output, or it holds another number of values.
    """
    if "x" not in fields or "y" not in fields:
        raise ModelError(f"fields = {list(fields)}; a joint has at least x and y")
    _check_values(model, output, count * len(fields))
    edit = Editor(model)
    joints = edit.reshape(_as_float(edit, model, output), [0, count, len(fields)])
    if keep is not None:
        joints = edit.take(joints, keep, axis=1)
    scored = "score" in fields
    if not logits or not scored:
        names = ("x", "y", "score") if scored else ("x", "y")
        if tuple(fields) != names:
            joints = edit.take(joints, [fields.index(name) for name in names], axis=2)
        if pixels_of is not None:
            joints = edit.node("Mul", joints, edit.constant(_fractions(pixels_of, scored)))
    else:
        xy = edit.take(joints, [fields.index("x"), fields.index("y")], axis=2)
        if pixels_of is not None:
            xy = edit.node("Mul", xy, edit.constant(_fractions(pixels_of, False)))
        score = edit.node("Sigmoid", edit.take(joints, [fields.index("score")], axis=2))
        joints = edit.join([xy, score], axis=2)
    kept = count if keep is None else len(keep)
    return edit.result(joints, JOINTS, ["batch", kept, 3 if scored else 2])


def to_heatmaps(
    model: onnx.ModelProto, output: str, *, channels_last: bool = False, logits: bool = False
) -> onnx.ModelProto:
    """Return a graph whose only output is `heatmaps` for codec 'heatmap', [N, K, h, w].

    Args:
        model: The graph.
        output: Its output, [N, K, h, w] or [N, h, w, K].
        channels_last: Whether the joints are the last axis.
        logits: Whether the maps are logits.

    Raises:
        ModelError: The graph has no such output.
    """
    _check_values(model, output, None)
    edit = Editor(model)
    maps = _as_float(edit, model, output)
    if channels_last:
        maps = edit.node("Transpose", maps, perm=[0, 3, 1, 2])
    if logits:
        maps = edit.node("Sigmoid", maps)
    return edit.result(maps, HEATMAPS, ["batch", None, None, None])


def _fractions(size: Size, scored: bool) -> list[float]:
    height, width = size
    return [1 / width, 1 / height, *([1.0] if scored else [])]


def _value(model: onnx.ModelProto, output: str) -> onnx.ValueInfoProto:
    for value in model.graph.output:
        if value.name == output:
            return value
    raise ModelError(f"no output {output!r}; the network has {', '.join(value.name for value in model.graph.output)}")


def _check_values(model: onnx.ModelProto, output: str, values: int | None) -> None:
    axes = [int(axis.dim_value) for axis in _value(model, output).type.tensor_type.shape.dim]
    if values is not None and axes and all(axes[1:]) and int(np.prod(axes[1:])) != values:
        raise ModelError(f"output {output!r} has shape {axes}; expected {values} values for one image")


def _as_float(edit: Editor, model: onnx.ModelProto, output: str) -> str:
    from onnx import TensorProto

    kind = _value(model, output).type.tensor_type.elem_type
    return output if kind == TensorProto.FLOAT else edit.number(output)
