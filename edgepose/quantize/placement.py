"""Placement: the pass that decides which nodes run in int8, which stay in float, and which tensors get a Q/DQ pair.

The rules follow TensorRT's guidance for explicit quantization; OpenVINO accepts the same graphs:
- Every Conv, ConvTranspose, Gemm and MatMul with constant weights reads its activation through Q/DQ.
- The first layers, which read the network's input, and the last ones in front of each output stay in float, unless a
  search put them in int8. Quantizing them is the usual cause of collapsed heatmaps and SimCC vectors (`ends.py`).
- A residual Add: the convolution that ends in it stays unquantized, so conv + add (+ relu) fuse into one int8
  kernel; the other input gets Q/DQ. Where no convolution ends in it, both inputs do, if int8 layers follow.
- Pooling, resizing and joining need no Q/DQ of their own: Q commutes with them. They read the int8 tensor
  where there is one.
- Layers with few channels stay in float where the options ask for TensorRT's limits (`channels.py`).
- Everything else (softmax, swish, reductions) is float.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.spec import ModelSpec
from edgepose.errors import ModelError
from edgepose.graph.cost import tensor_shapes
from edgepose.graph.lookup import WEIGHTED, Graph, graph_of
from edgepose.graph.types import tensor_types
from edgepose.quantize.channels import Shapes, too_few_channels
from edgepose.quantize.ends import ends
from edgepose.quantize.names import named_by
from edgepose.quantize.work import Work

if TYPE_CHECKING:
    import onnx

PASS_THROUGH = ("MaxPool", "AveragePool", "GlobalAveragePool", "Resize", "Concat")
_ACTIVATIONS = ("Relu", "Clip", "LeakyRelu", "PRelu")
_BETWEEN = (*PASS_THROUGH, *_ACTIVATIONS, "Add", "Reshape", "Flatten", "Transpose", "Slice")
DEFAULT = QuantizeOptions()
NONE: Mapping[str, str] = {}
FLOAT = 1  # TensorProto.FLOAT


@dataclass(frozen=True, kw_only=True)
class Placement:
    """What runs where.

    Attributes:
        quantized: Names of the nodes that compute in int8, in graph order.
        kept_float: Node name to the reason, for every node with constant weights that stays in float and any other
            node that a pattern names.
        reads: Tensor name to the (node name, input position) of each reader of its Q/DQ pair.
    """

    quantized: tuple[str, ...]
    kept_float: dict[str, str]
    reads: dict[str, tuple[tuple[str, int], ...]]


class PlaceNodes:
    """Decide the placement from the contract and the options."""

    name: ClassVar[str] = "placement"
    needs: ClassVar[tuple[str, ...]] = ()

    def applies(self, options: QuantizeOptions) -> bool:
        """Return True: every quantization needs it."""
        return True

    def run(self, work: Work) -> Work:
        """Set `placement`, and name the layers whose constant weights are computed in the graph.

        Raises:
            ModelError: Nothing is left to quantize.
        """
        notes = (*work.notes, *_computed_weights_note(graph_of(work.model)))
        scales = work.scales
        placement = place(work.model, work.spec, work.options, scales.keep_float, scales.int8_ends)
        return replace(work, placement=placement, notes=notes)


def place(
    model: onnx.ModelProto,
    spec: ModelSpec,
    options: QuantizeOptions = DEFAULT,
    chosen: Mapping[str, str] = NONE,
    int8_ends: Collection[str] = (),
) -> Placement:
    """Decide the placement.

    Args:
        model: The prepared float graph (`graph.prepare`).
        spec: The contract, whose `quantize.keep_float` patterns are added to those of the options.
        options: The options that apply.
        chosen: Name of a further node that stays in float -> the reason, such as `Scales.keep_float`.
        int8_ends: Names of first and last layers that are int8 by a search, such as `Scales.int8_ends`.

    Raises:
        ModelError: Nothing is left to quantize.
        UsageError: A pattern names no node.
    """
    graph = graph_of(model)
    patterns = dict.fromkeys(options.keep_float, "options.keep_float")
    patterns |= dict.fromkeys(spec.quantize.keep_float, "spec.quantize.keep_float")
    patterns |= dict.fromkeys(spec.quantize.keep_float32, "spec.quantize.keep_float32")
    shapes = tensor_shapes(model) if options.channels == "tensorrt" else None
    placement = _place(graph, options, patterns, tensor_types(model), chosen, shapes, int8_ends)
    if not placement.quantized:
        computed = "".join(f"; {line}" for line in _computed_weights_note(graph))
        raise ModelError(
            "nothing in this network can be quantized: it has no Conv, ConvTranspose, Gemm or MatMul with "
            f"constant weights outside the parts that stay in float ({len(placement.kept_float)} nodes: the stem, "
            f"the head, and what quantize.keep_float names){computed}"
        )
    return placement


def observed_tensors(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return every tensor that may need a scale under any option, so that a changed option needs no new calibration."""
    return tuple(observed_readers(model))


def observed_readers(model: onnx.ModelProto) -> dict[str, tuple[tuple[str, int], ...]]:
    """Return the readers, as in `Placement.reads`, of every tensor that may need a scale under any option."""
    everything = QuantizeOptions(stem_float=False, head_float=False)
    return _place(graph_of(model), everything, {}, tensor_types(model)).reads


def _place(
    graph: Graph,
    options: QuantizeOptions,
    patterns: dict[str, str],
    types: dict[str, int],
    chosen: Mapping[str, str] = NONE,
    shapes: Shapes | None = None,
    int8_ends: Collection[str] = (),
) -> Placement:
    kept = {node.name: chosen[node.name] for node in graph.nodes if node.name in chosen}
    kept |= _kept_by_name(graph, patterns)
    at_ends = ends(graph, options, int8_ends)
    int8: list[str] = []
    for node in graph.nodes:
        if node.op_type not in WEIGHTED:
            continue
        reason = kept.get(node.name) or at_ends.get(node.name) or _unfit(graph, node, options)
        if reason is None and shapes is not None:
            reason = too_few_channels(graph, node, shapes)
        if reason:
            kept[node.name] = reason
        else:
            int8.append(node.name)
    return Placement(quantized=tuple(int8), kept_float=kept, reads=_reads(graph, set(int8), set(kept), types))


def _kept_by_name(graph: Graph, patterns: dict[str, str]) -> dict[str, str]:
    """Node name -> reason, for nodes that a pattern names. UsageError for a pattern that names none."""
    kept: dict[str, str] = {}
    names = [node.name for node in graph.nodes]
    for pattern, source in patterns.items():
        kept |= dict.fromkeys(named_by(pattern, names, source), f"{source}: {pattern!r}")
    return kept


def _unfit(graph: Graph, node: onnx.NodeProto, options: QuantizeOptions) -> str | None:
    """Why a node with weights cannot or shall not be int8, or None."""
    from onnx import TensorProto

    if not graph.is_weighted(node):
        computed = _computed_by(graph, node)
        return f"its weights are computed by {', '.join(computed)}" if computed else "its weights are not constant"
    weight = graph.constants[node.input[1]]
    if weight.data_type != TensorProto.FLOAT:
        return f"its weights are {TensorProto.DataType.Name(weight.data_type)}, not FLOAT"
    if node.op_type == "MatMul" and len(weight.dims) != 2:
        return f"its weights have {len(weight.dims)} axes, not 2"
    if node.op_type == "Gemm" and any(item.name == "transA" and item.i for item in node.attribute):
        return "it transposes its activation"
    if node.op_type == "ConvTranspose" and options.deconv == "float":
        return 'deconv = "float"'
    return None


def _computed_by(graph: Graph, node: onnx.NodeProto) -> tuple[str, ...]:
    """The operators that compute a weight from constants alone; empty where it is constant or depends on the input."""
    operators: dict[str, None] = {}
    waiting = [node.input[1]]
    while waiting:
        name = waiting.pop()
        if name in graph.constants or not name:
            continue
        maker = graph.producer.get(name)
        if maker is None:  # the input of the graph
            return ()
        operators[maker.op_type] = None
        waiting.extend(maker.input)
    return tuple(operators)


def _computed_weights_note(graph: Graph) -> tuple[str, ...]:
    weighted = [node for node in graph.nodes if node.op_type in WEIGHTED]
    computed = {node.name: _computed_by(graph, node) for node in weighted}
    named = [name for name, operators in computed.items() if operators]
    if not named:
        return ()
    operators = dict.fromkeys(kind for kinds in computed.values() for kind in kinds)
    return (
        f"the weights of {len(named)} of {len(weighted)} layers are computed by {'/'.join(operators)} in the graph, so "
        f"these layers stay in float: {', '.join(named[:3])}{', ...' if len(named) > 3 else ''}; export the network "
        "with its constants folded (for example with onnxsim)",
    )


def _reads(
    graph: Graph, int8: set[str], kept: set[str], types: dict[str, int]
) -> dict[str, tuple[tuple[str, int], ...]]:
    """Tensor -> readers of its Q/DQ pair, in graph order."""
    chosen = {(node.input[0], node.name, 0) for node in graph.nodes if node.name in int8}
    for node in graph.nodes:
        # an Add of integers is arithmetic of shapes or indices
        is_sum = node.op_type == "Add" and types.get(node.output[0], FLOAT) == FLOAT
        if is_sum and node.name not in kept:
            chosen |= {(node.input[index], node.name, index) for index in _residual(graph, node, int8)}
    quantized = {tensor for tensor, _, _ in chosen}
    reads: dict[str, tuple[tuple[str, int], ...]] = {}
    for node in graph.nodes:
        through = node.op_type in PASS_THROUGH and node.name not in kept
        for index, tensor in enumerate(node.input):
            if (tensor, node.name, index) in chosen or (through and tensor in quantized):
                reads[tensor] = (*reads.get(tensor, ()), (node.name, index))
    return reads


def _residual(graph: Graph, add: onnx.NodeProto, int8: set[str]) -> tuple[int, ...]:
    """The input positions of a residual Add that get Q/DQ."""
    if any(name in graph.constants for name in add.input):
        return ()
    for index, tensor in enumerate(add.input):
        conv = graph.producer.get(tensor)
        if conv is not None and conv.op_type == "Conv" and graph.only_reader(tensor) is add:
            return (1 - index,) if conv.name in int8 else ()
    return (0, 1) if _feeds_int8(graph, add.output[0], int8) else ()


def _feeds_int8(graph: Graph, tensor: str, int8: set[str]) -> bool:
    """Whether an int8 node reads `tensor`, directly or through an activation, pooling or another Add."""
    waiting, seen = [tensor], set[str]()
    while waiting:
        for node, _ in graph.readers.get(waiting.pop(), []):
            if node.name in int8:
                return True
            if node.op_type in _BETWEEN and node.output[0] not in seen:
                seen.add(node.output[0])
                waiting.extend(node.output)
    return False
