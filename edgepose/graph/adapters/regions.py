"""The part of a graph that handles its image before the first layer: what a change of the image's form rewrites."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgepose.graph.lookup import Graph, drop_unused_constants, graph_of, replace_nodes
from edgepose.graph.subgraphs import rename_reads

if TYPE_CHECKING:
    import onnx

TO_CHANNELS_FIRST, TO_CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
# Operators that move values without looking at them; their further inputs are indices or shapes.
MOVING = ("Transpose", "Reshape", "Slice", "Gather", "Squeeze", "Unsqueeze", "Identity", "Flatten", "Split")
ARITHMETIC = ("Add", "Sub", "Mul")  # of integers, which floats compute as well; integers divide otherwise
WIDE = ("INT32", "INT64")  # integers that do not overflow with pixels
INTEGERS = ("UINT8", "UINT16", "INT16", "UINT32", "UINT64", *WIDE)  # those that hold 0..255
FLOATS = ("FLOAT", "FLOAT16", "DOUBLE")
# Operators that compute each value by itself, so that they may stand on either side of a Transpose
ELEMENTWISE = ("Add", "Sub", "Mul", "Div", "Cast", "Identity", "Clip", "Relu", "Neg", "Sqrt", "Pow", "Min", "Max")


@dataclass(kw_only=True)
class Region:
    """The part of a graph that handles the image before its first layer.

    Attributes:
        tensors: Its tensors.
        ends: The nodes at its end, which disappear.
        nodes: The nodes in it, which are rewritten.
    """

    tensors: set[str]
    ends: list[onnx.NodeProto]
    nodes: list[onnx.NodeProto]


def region_of_integers(model: onnx.ModelProto, name: str, kind: str) -> Region | None:
    """Follow integers from the input to the Casts that end them; None where something else computes with them."""
    graph = graph_of(model)
    found, kinds, ended = Region(tensors={name}, ends=[], nodes=[]), {name: kind}, False
    for node, tensor in _readers_in_order(graph, found):
        if node.op_type == "Cast":
            target = cast_target(node)
            if target in FLOATS:
                found.ends += [node] if target == "FLOAT" else []  # a Cast to another float takes float32 as well
                ended = True
                continue
            if target not in INTEGERS:
                return None
            kinds[node.output[0]] = target
        elif node.op_type in MOVING and node.input[0] == tensor:
            kinds |= dict.fromkeys(node.output, kinds[tensor])
        elif node.op_type in ARITHMETIC and kinds[tensor] in WIDE and other_constant(graph, node, tensor) is not None:
            kinds[node.output[0]] = kinds[tensor]
        else:
            return None
        found.nodes.append(node)
        found.tensors.update(node.output)
    return None if found.tensors & set(graph.outputs) or not ended else found


def region_of_channels_last(model: onnx.ModelProto, name: str) -> Region | None:
    """Follow an image [N, H, W, 3] from the input to the Transposes that end its layout; None where there is more."""
    graph = graph_of(model)
    found = Region(tensors={name}, ends=[], nodes=[])
    for node, tensor in _readers_in_order(graph, found):
        if node.op_type == "Transpose":
            if tuple(_ints(node, "perm")) != TO_CHANNELS_FIRST:
                return None
            found.ends.append(node)
            continue
        constants = [name for name in node.input if name and name != tensor]
        if not all(name in graph.constants for name in constants):
            return None
        if node.op_type in ELEMENTWISE:
            if any(len(graph.constants[name].dims) > 4 for name in constants):
                return None
        elif node.op_type == "Pad":
            if len(node.input) not in (2, 3):
                return None
        elif node.op_type in ("Gather", "Split") and node.input[0] == tensor:
            if node.op_type == "Gather" and len(graph.constants[node.input[1]].dims) != 1:
                return None
        elif node.op_type == "Slice" and len(node.input) > 3 and node.input[3]:
            pass
        else:
            return None
        found.nodes.append(node)
        found.tensors.update(node.output)
    return None if found.tensors & set(graph.outputs) or not found.ends else found


def _readers_in_order(graph: Graph, found: Region) -> Iterator[tuple[onnx.NodeProto, str]]:
    """Yield each node that reads a tensor of a growing region, with that tensor. A Shape does not read values."""
    for node in graph.nodes:
        read = [name for name in node.input if name in found.tensors]
        if not read and not _inner_reads(graph, node, found.tensors):
            continue
        yield node, read[0] if read else ""


def _inner_reads(graph: Graph, node: onnx.NodeProto, tensors: set[str]) -> bool:
    """Whether a body of the node (If, Loop, Scan) reads one of the tensors."""
    return any((node, -1) in graph.readers.get(tensor, []) for tensor in tensors)


def other_constant(graph: Graph, node: onnx.NodeProto, tensor: str) -> str | None:
    """Return the constant that a node with two inputs combines a tensor with."""
    others = [name for name in node.input if name != tensor]
    return others[0] if len(others) == 1 and others[0] in graph.constants else None


def cast_target(node: onnx.NodeProto) -> str:
    """Return the name of the type that a Cast gives, such as "FLOAT"."""
    from onnx import TensorProto

    return str(TensorProto.DataType.Name(next(item.i for item in node.attribute if item.name == "to")))


def _ints(node: onnx.NodeProto, name: str) -> list[int]:
    return next((list(item.ints) for item in node.attribute if item.name == name), [])


def without(model: onnx.ModelProto, gone: dict[str, str]) -> None:
    """Remove the nodes that make the tensors `gone`, in place; others read what they were made from."""
    kept = [node for node in model.graph.node if not (node.output and node.output[0] in gone)]
    for node in kept:
        rename_reads(node, gone)
    replace_nodes(model, kept)
    drop_unused_constants(model)
