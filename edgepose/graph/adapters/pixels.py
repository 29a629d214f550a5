"""Joints of networks with their decoder inside, as x and y from 0 to 1 over the crop for codec `regression`.

The pixel x of such a decoder is the center of crop pixel x, so its fraction of the crop's width W is (x + 0.5) / W.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgepose.graph.adapters.editing import Editor

if TYPE_CHECKING:
    import onnx

OUTPUT = "joints"


def pixels_to_unit(
    model: onnx.ModelProto, xy: str, scores: str | None, size: tuple[int, int], *, scored: bool = False
) -> onnx.ModelProto:
    """Return a graph whose only output is [N, K, 3] or [N, K, 2]: x and y from 0 to 1 over the crop, and the score.

    Args:
        model: The graph.
        xy: The output with the joints, [N, K, 2] in pixels of the input; or [N, K, 3], with the score.
        scores: The output with the scores, [N, K] or [N, K, 1]; None where there is none, or `xy` holds them.
        size: (height, width) of the input.
        scored: Whether `xy` holds the scores.
    """
    scale, shift = (1 / size[1], 1 / size[0]), (0.5 / size[1], 0.5 / size[0])
    return affine_joints(model, xy, scores, scale=scale, shift=shift, scored=scored)


def affine_joints(
    model: onnx.ModelProto,
    xy: str,
    scores: str | None,
    *,
    scale: tuple[float, float],
    shift: tuple[float, float],
    scored: bool = False,
) -> onnx.ModelProto:
    """Return a graph whose only output is [N, K, 3] or [N, K, 2]: coordinates times `scale` plus `shift`.

    Args:
        model: The graph.
        xy: The output with the joints, [N, K, 2] of x and y; or [N, K, 3], with the score, which stays as it is.
        scores: The output with the scores, [N, K] or [N, K, 1]; None where there is none, or `xy` holds them.
        scale: The factors of x and y.
        shift: What is added to x and y.
        scored: Whether `xy` holds the scores.
    """
    edit = Editor(model)
    joints = edit.number(xy)
    placed = edit.take(joints, [0, 1], axis=2)
    placed = edit.node("Add", edit.node("Mul", placed, edit.constant(scale)), edit.constant(shift))
    if scores is not None:
        placed = edit.join([placed, edit.reshape(edit.number(scores), [0, -1, 1])], axis=2)
    elif scored:
        placed = edit.join([placed, edit.take(joints, [2], axis=2)], axis=2)
    return edit.result(placed, OUTPUT, ["batch", None, None])
