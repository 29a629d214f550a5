"""Bring a foreign ONNX graph to plain float32 nodes with constant weights.

    model, notes = import_graph(Path("net.onnx"), shape=(3, 256, 192))

The passes run in rounds until none of them changes the graph, because a folded constant may decide an If, and the
branch of that If may hold further constants. A new pass is one file with an `ImportPass` and one line in `PASSES`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgepose.errors import ModelError, one_line
from edgepose.graph.importing.branches import BRANCHES
from edgepose.graph.importing.casts import CASTS
from edgepose.graph.importing.chance import refuse_random
from edgepose.graph.importing.constants import BATCHES, CONSTANTS, fold_constants
from edgepose.graph.importing.finite import refuse_not_finite
from edgepose.graph.importing.float32 import FLOAT32
from edgepose.graph.importing.functions import FUNCTIONS, inline_functions
from edgepose.graph.importing.fused import FUSED
from edgepose.graph.importing.limits import limited
from edgepose.graph.importing.loops import LOOPS
from edgepose.graph.importing.opset import OPSET
from edgepose.graph.importing.order import order_nodes
from edgepose.graph.importing.sparse import SPARSE
from edgepose.graph.importing.step import ImportPass
from edgepose.graph.lookup import copied, default_opset, graph_of, load_onnx
from edgepose.graph.prepare import constants_leave_inputs, constants_to_initializers
from edgepose.graph.subgraphs import all_graphs
from edgepose.graph.types import drop_inferred_types

if TYPE_CHECKING:
    import onnx

Changes = dict[str, tuple[str, ...]]  # name of a pass -> the names of what it rewrote

PASSES: tuple[ImportPass, ...] = (FUNCTIONS, FUSED, SPARSE, CONSTANTS, BRANCHES, LOOPS, FLOAT32, CASTS, OPSET)
OLDEST = 7  # the first opset that ONNX Runtime knows
ROUNDS = 20  # more than nested branches need


def import_graph(path: Path, shape: Sequence[int] | None = None) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Read an ONNX file and rewrite its graph to plain float32 nodes with constant weights.

    Args:
        path: The ONNX file.
        shape: The shape of one image, [3, H, W] or [H, W, 3], that fixes the shapes inside the graph.

    Returns:
        The graph, which needs no other file, and one sentence for each kind of change.

    Raises:
        ModelError: The file is damaged, or no valid graph, or holds weights that are not finite.
    """
    model = checked(path)
    if shape is not None:
        model = with_image_shape(model, shape)
    made, changes = rewrite(model, str(path))
    return made, described(changes)


def checked(path: Path) -> onnx.ModelProto:
    """Read an ONNX file and check that it is a valid graph, with its nodes in order.

    Raises:
        ModelError: The file is damaged, or no valid graph, or its image is larger than any device holds.
    """
    from onnx import checker, defs

    model = load_onnx(path)
    opset, newest = default_opset(model), defs.onnx_opset_version()
    if opset < OLDEST:
        raise ModelError(f"{path} has opset {opset}; export it again with opset {OLDEST} or later")
    if opset > newest:
        raise ModelError(
            f"{path} has opset {opset}; the installed onnx knows {newest} at most: export it again with opset {newest} "
            "or earlier, or install a newer onnx"
        )
    try:
        model = order_nodes(model)
        checker.check_model(_with_ranks(model))
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    except (checker.ValidationError, RuntimeError, ValueError) as error:
        raise ModelError(f"{path} is not a valid ONNX file: {one_line(error)}; export it again") from error
    return limited(constants_leave_inputs(model), str(path))


def _with_ranks(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy for the checker, which demands the rank of inputs and outputs; ONNX Runtime infers it."""
    model = copied(inline_functions(model)[0])  # the checker refuses functions of another opset
    for graph in all_graphs(model.graph):
        for value in (*graph.input, *graph.output):
            if value.type.HasField("tensor_type"):
                value.type.tensor_type.shape.SetInParent()
    return model


def with_image_shape(model: onnx.ModelProto, shape: Sequence[int], name: str | None = None) -> onnx.ModelProto:
    """Return a copy in which the axes that the image input leaves open have lengths, except for the batch axis.

    Args:
        model: A graph with one input, of as many axes as `shape` and the batch axis, or of unknown shape.
        shape: The shape of one image.
        name: The image among several inputs; None where there is one.
    """
    model = copied(model)
    names = graph_of(model).inputs if name is None else (name,)
    for value in model.graph.input:
        axes = value.type.tensor_type.shape.dim
        if value.name not in names:
            continue
        if not axes:
            axes.add().dim_param = "batch"
            for _ in shape:
                axes.add()
        if len(axes) == len(shape) + 1:
            for axis, length in zip(axes[1:], shape, strict=True):
                axis.dim_value = axis.dim_value or length
    for value in (*model.graph.output, *model.graph.value_info):
        value.type.tensor_type.ClearField("shape")  # may contradict the new shape
    return model


def rewrite(
    model: onnx.ModelProto, where: str, skip: Collection[str] = (), batches: Sequence[int] = BATCHES
) -> tuple[onnx.ModelProto, Changes]:
    """Run all passes until none changes the graph.

    Args:
        model: A graph that `checked` has read.
        where: The name of the file, for error messages.
        skip: Names of passes to leave out.
        batches: The batch sizes for which a shape must be the same to become a constant.

    Returns:
        The rewritten copy, and what each pass changed.

    Raises:
        ModelError: A pass refuses the graph, or it holds weights that are not finite.
    """
    changes: Changes = {}
    try:
        model = constants_to_initializers(drop_inferred_types(model))
        refuse_random(model)
        refuse_not_finite(model)
        for _ in range(ROUNDS):
            before = len(changes), sum(map(len, changes.values()))
            for step in PASSES:
                if step.name in skip:
                    continue
                model, names = fold_constants(model, batches) if step is CONSTANTS else step.run(model)
                if names:
                    changes[step.name] = tuple(dict.fromkeys((*changes.get(step.name, ()), *names)))
                    model = constants_to_initializers(model)
            if before == (len(changes), sum(map(len, changes.values()))):
                break
        refuse_not_finite(model)
    except ModelError as error:
        raise ModelError(f"{where}: {error}") from error
    return model, changes


def described(changes: Changes) -> tuple[str, ...]:
    """Return one sentence for each pass that changed the graph."""
    return tuple(step.describe(changes[step.name]) for step in PASSES if step.name in changes)
