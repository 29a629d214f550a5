"""`Graph` looks up the node that computes a tensor, the nodes that read it, and the constants of an ONNX graph.

This module also reads models from files and copies them. A pass never changes the ModelProto that it gets: it copies
the model once and returns the copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgepose.errors import ModelError
from edgepose.graph.external import LARGEST, take_external_data, too_large
from edgepose.graph.readable import refuse_unreadable
from edgepose.graph.subgraphs import outer_names

if TYPE_CHECKING:
    import onnx

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")  # input 0 is the activation, input 1 the weight
SHAPES = ("Shape", "Size")  # what they return depends on the shape of a tensor, and not on its values
QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger")


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Lookups of one ModelProto, valid until the model changes.

    Attributes:
        nodes: The nodes in order.
        producer: Tensor -> the node that computes it.
        readers: Tensor -> (node, input position) of each reader. The position is -1 where a body of the node (If,
            Loop, Scan) reads the tensor.
        constants: Name -> initializer.
        inputs: Names of the graph's inputs, without initializers.
        outputs: Names of the graph's outputs.
    """

    nodes: tuple[onnx.NodeProto, ...]
    producer: dict[str, onnx.NodeProto]
    readers: dict[str, list[tuple[onnx.NodeProto, int]]]
    constants: dict[str, onnx.TensorProto]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def only_reader(self, tensor: str) -> onnx.NodeProto | None:
        """Return the only node that reads `tensor`, or None when several do or the graph returns the tensor."""
        readers = self.readers.get(tensor, [])
        return readers[0][0] if len(readers) == 1 and tensor not in self.outputs else None

    def is_weighted(self, node: onnx.NodeProto) -> bool:
        """Tell whether a node is a Conv, ConvTranspose, Gemm or MatMul with a constant weight."""
        if node.op_type not in WEIGHTED or node.domain not in ("", "ai.onnx"):
            return False
        return node.input[1] in self.constants and node.input[0] not in self.constants


def graph_of(model: onnx.ModelProto) -> Graph:
    """Make the lookups of a model."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    readers: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name:
                readers.setdefault(name, []).append((node, index))
        for name in sorted(outer_names(node)):
            readers.setdefault(name, []).append((node, -1))
    return Graph(
        nodes=tuple(model.graph.node),
        producer={name: node for node in model.graph.node for name in node.output if name},
        readers=readers,
        constants=constants,
        inputs=tuple(value.name for value in model.graph.input if value.name not in constants),
        outputs=tuple(value.name for value in model.graph.output),
    )


def graph_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Return the inputs of a graph, without initializers that older files list among them."""
    names = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in names]


def load_onnx(path: Path) -> onnx.ModelProto:
    """Read an ONNX file, with the weights that it keeps in other files.

    Raises:
        ModelError: The file or its weights are missing, damaged or too large, or it holds no network.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped,unused-ignore]

    try:
        if path.stat().st_size > LARGEST:
            raise too_large(path, path.stat().st_size)
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    except DecodeError as error:
        raise ModelError(f"{path} is no ONNX file, or a damaged one; export it again") from error
    if not model.graph.node:
        raise ModelError(f"{path} holds no network (an empty graph); export it again")
    if not model.opset_import:
        raise ModelError(f"{path} names no version of the standard operators (opset_import); export it again")
    take_external_data(model, path)
    refuse_unreadable(model, path)
    return model


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that a pass may change."""
    made = type(model)()
    made.CopyFrom(model)
    return made


def replace_nodes(model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Set the node list, in place."""
    kept = list(nodes)
    del model.graph.node[:]
    model.graph.node.extend(kept)


def with_outputs(model: onnx.ModelProto, tensors: Iterable[str]) -> onnx.ModelProto:
    """Return a copy of the model that also returns `tensors`, which are float32."""
    from onnx import TensorProto, helper

    made = copied(model)
    known = {value.name for value in model.graph.output}
    made.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in tensors if name not in known
    )
    return made


def drop_unused_constants(model: onnx.ModelProto) -> None:
    """Remove initializers that nothing reads, in place."""
    used = {name for node in model.graph.node for name in (*node.input, *outer_names(node))}
    used |= {value.name for value in model.graph.output}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    if len(kept) < len(model.graph.initializer):
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)


def default_opset(model: onnx.ModelProto) -> int:
    """Return the version of the standard operator set.

    Raises:
        ModelError: The file names none.
    """
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx"):
            return int(entry.version)
    raise ModelError("the ONNX names no version of the standard operators (opset_import); export it again")


def refuse_quantized(model: onnx.ModelProto) -> None:
    """Raise ModelError when the graph holds quantized operators."""
    for node in model.graph.node:
        if node.op_type in QUANTIZED or node.op_type.startswith("QLinear"):
            raise ModelError(
                f"the graph is quantized already (node {node.name!r} is {node.op_type}); start from the float ONNX"
            )


def walk_back(graph: Graph, tensor: str) -> Iterator[onnx.NodeProto]:
    """Yield the nearest weighted nodes above `tensor`, passing through nodes without weights."""
    waiting, seen = [tensor], set[str]()
    while waiting:
        node = graph.producer.get(waiting.pop())
        if node is None or node.output[0] in seen or node.op_type in SHAPES:
            continue
        seen.add(node.output[0])
        if graph.is_weighted(node):
            yield node
        else:
            waiting.extend(name for name in node.input if name)


def walk_forward(graph: Graph, tensor: str) -> Iterator[onnx.NodeProto]:
    """Yield the nearest weighted nodes below `tensor`, passing through nodes without weights."""
    waiting, seen = [tensor], set[str]()
    while waiting:
        for node, _ in graph.readers.get(waiting.pop(), []):
            if node.output[0] in seen or node.op_type in SHAPES:
                continue
            seen.add(node.output[0])
            if graph.is_weighted(node):
                yield node
            else:
                waiting.extend(node.output)
