"""Compute once what does not depend on the image: weights behind Cast, Transpose or Mul, and arithmetic of shapes.

A tensor depends on the image if a path leads to it from the input that does not go through Shape or Size. All others
are computed by ONNX Runtime, for several batch sizes if they depend on a shape, and become constants if they are the
same for every batch size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edgepose._checks import Array
from edgepose.graph.evaluate import evaluate
from edgepose.graph.importing.chance import RANDOM
from edgepose.graph.importing.step import ImportPass, listed
from edgepose.graph.lookup import copied, drop_unused_constants, graph_of, replace_nodes
from edgepose.graph.subgraphs import outer_names

if TYPE_CHECKING:
    import onnx

BATCHES = (1, 2, 7)  # 7: a batch size that a graph hardly treats as special
LARGEST = 2**27  # bytes of a tensor that is worth storing instead of computing
# Operators whose outputs have shapes that depend on values, whatever their inputs are
FREE_SHAPES = ("Compress", "If", "Loop", "NonMaxSuppression", "NonZero", "Optional", "OptionalGetElement", "Scan",
               "SequenceAt", "SequenceMap", "StringSplit", "Unique")  # fmt: skip
# Operators whose inputs from position 1 on only hold values to compute with, not the shape of the output
FIXED_SHAPES = ("BatchNormalization", "Clip", "Concat", "Conv", "ConvTranspose", "Einsum", "Gather", "GatherElements",
                "GatherND", "Gemm", "GridSample", "GroupNormalization", "InstanceNormalization", "LayerNormalization",
                "LSTM", "GRU", "RNN", "MatMul", "Max", "Mean", "Min", "PRelu", "ScatterElements", "ScatterND", "Sum",
                "Where", "Add", "Sub", "Mul", "Div", "Pow", "Mod", "Equal", "Less", "LessOrEqual", "Greater",
                "GreaterOrEqual", "And", "Or", "Xor", "RoiAlign", "MaxRoiPool", "QuantizeLinear",
                "DequantizeLinear", "DeformConv", "Attention", "RotaryEmbedding", "RMSNormalization",
                "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor")  # fmt: skip


@dataclass(kw_only=True)
class _Dependence:
    """What the tensors of a graph depend on.

    Attributes:
        values: Names of the tensors whose values depend on the image.
        shapes: Names of the tensors whose shapes depend on what the image shows.
        sized: Names of the tensors that depend on the shape of the image, and not on its values.
    """

    values: set[str] = field(default_factory=set)
    shapes: set[str] = field(default_factory=set)
    sized: set[str] = field(default_factory=set)


def fold_constants(model: onnx.ModelProto, batches: Sequence[int] = BATCHES) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Return a copy in which what does not depend on the image is an initializer, and the names of these tensors.

    Args:
        model: A graph whose initializers are no inputs. Its image has a fixed height and width, or shapes are left.
        batches: The batch sizes for which a value that depends on the shape must be the same, the first included.
    """
    depends = _dependence(model)
    feeds = _feeds(model, batches)
    wanted = _wanted(model, depends, shapes=feeds is not None)
    if not wanted:
        return model, ()
    values = _computed(model, wanted, feeds or [{}], depends.sized)
    made = _replaced(model, values)
    return made if made is not None else model, tuple(values) if made is not None else ()


def sized_branches(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the names of the If nodes that decide by the batch size, or by another shape."""
    sized = _dependence(model).sized
    return tuple(
        node.name or node.output[0] for node in model.graph.node if node.op_type == "If" and node.input[0] in sized
    )


def _dependence(model: onnx.ModelProto) -> _Dependence:
    """Follow the image through the graph."""
    constants = {tensor.name for tensor in model.graph.initializer}
    found = _Dependence(values={value.name for value in model.graph.input if value.name not in constants})
    sized = set(found.values)
    for node in model.graph.node:
        read = {*node.input, *outer_names(node)} - {""}
        known = node.domain in ("", "ai.onnx")
        is_size = known and node.op_type in ("Shape", "Size")
        valued = read & found.values
        if is_size:
            valued = read & found.shapes
        if valued or (known and node.op_type in RANDOM):
            found.values.update(node.output)
        if read & found.shapes or (valued and _shapes_by_value(node, found.values, known)):
            found.shapes.update(node.output)
        if read & sized:
            sized.update(node.output)
    found.sized = sized - found.values
    return found


def _shapes_by_value(node: onnx.NodeProto, values: set[str], known: bool) -> bool:
    """Whether the shape of the outputs of a node may depend on those of its inputs that depend on the image."""
    if not known or node.op_type in FREE_SHAPES:
        return True
    rest = set(node.input[1:]) & values
    first = node.op_type in ("ConstantOfShape", "Range", "EyeLike") and node.input[0] in values
    return first or (bool(rest) and node.op_type not in FIXED_SHAPES)


def _wanted(model: onnx.ModelProto, depends: _Dependence, shapes: bool) -> dict[str, onnx.NodeProto]:
    """Tensor to compute -> its node: those that a node which depends on the image reads."""
    graph = graph_of(model)
    outputs = set(graph.outputs)
    read: set[str] = set()
    for node in graph.nodes:
        fixed = not depends.values.intersection(node.output) and (shapes or not depends.sized.intersection(node.output))
        if not fixed or outputs.intersection(node.output):
            read |= {*node.input, *outer_names(node)}
    wanted: dict[str, onnx.NodeProto] = {}
    for node in graph.nodes:
        names = [name for name in node.output if name]
        if depends.values.intersection(names) or outputs.intersection(names) or not read.intersection(names):
            continue
        if shapes or not depends.sized.intersection(names):
            wanted |= dict.fromkeys(names, node)
    return wanted


def _feeds(model: onnx.ModelProto, batches: Sequence[int]) -> list[dict[str, Array]] | None:
    """Random inputs of each batch size; None where the graph leaves another axis open."""
    from onnx import helper

    constants = {tensor.name for tensor in model.graph.initializer}
    values = [value for value in model.graph.input if value.name not in constants]
    feeds: list[dict[str, Array]] = []
    rng = np.random.default_rng(0)
    for batch in batches:
        feed = {}
        for value in values:
            kind = value.type.tensor_type
            axes = [int(axis.dim_value) for axis in kind.shape.dim]
            if not axes or any(axis < 1 for axis in axes[1:]) or not kind.elem_type:
                return None
            shape = [axes[0] if axes[0] > 0 else batch, *axes[1:]]
            feed[value.name] = (rng.random(shape) * 100).astype(helper.tensor_dtype_to_np_dtype(kind.elem_type))
        if feed and all(len(feed[name]) == len(old[name]) for old in feeds[:1] for name in feed) and feeds:
            continue  # the batch axis is fixed
        feeds.append(feed)
    return feeds


def _computed(
    model: onnx.ModelProto, wanted: dict[str, onnx.NodeProto], feeds: list[dict[str, Array]], sized: set[str]
) -> dict[str, Array]:
    """Compute tensors, and keep those that are arrays and the same for every batch size."""
    values: dict[str, Array] = {}
    for names in ([name for name in wanted if name not in sized], [name for name in wanted if name in sized]):
        if not names:
            continue
        runs = evaluate(model, names, feeds)
        if runs is None:  # one operator may have no kernel: node by node
            for name in names:
                values |= _agreed((name,), evaluate(model, [name], feeds) or [])
        else:
            values |= _agreed(names, runs)
    # all outputs of a node, or none
    return {name: value for name, value in values.items() if all(o in values for o in wanted[name].output if o)}


def _agreed(names: Sequence[str], runs: list[list[Any]]) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for index, name in enumerate(names):
        results = [run[index] for run in runs]
        if not results or not all(isinstance(value, np.ndarray) and value.dtype.kind in "biufcV" for value in results):
            continue
        first = results[0]
        if first.nbytes <= LARGEST and all(
            first.dtype == other.dtype and first.shape == other.shape and first.tobytes() == other.tobytes()
            for other in results[1:]
        ):
            found[name] = first
    return found


def _replaced(model: onnx.ModelProto, values: dict[str, Array]) -> onnx.ModelProto | None:
    """Return a copy with values as initializers, without the nodes that nothing needs then; None without values."""
    from onnx import numpy_helper

    if not values:
        return None
    made = copied(model)
    made.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in values.items())
    kept: list[onnx.NodeProto] = []
    needed = {value.name for value in made.graph.output}
    for node in reversed(made.graph.node):
        if needed.intersection(node.output) and not values.keys() & set(node.output):
            needed |= {*node.input, *outer_names(node)}
            kept.append(node)
    replace_nodes(made, reversed(kept))
    drop_unused_constants(made)
    return made


def _describe(names: tuple[str, ...]) -> str:
    return f"what does not depend on the image was computed once: {listed(names)}"


CONSTANTS = ImportPass(name="constants", run=fold_constants, describe=_describe)
