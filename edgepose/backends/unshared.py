"""Give every layer its own copy of a weight, for a library that computes shared weights wrongly.

OpenVINO (2026.4 and earlier) prepares the weight of a layer once for each place in memory, so that a Conv and a
ConvTranspose that read one initializer get each other's layout. Its file format stores equal constants once, so that
a plain copy is shared again: copies are stored transposed, and a Transpose node brings them back when the network is
compiled.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edgepose._files import sha256_bytes
from edgepose.errors import ModelError
from edgepose.graph.lookup import WEIGHTED, Graph, copied, graph_of, load_onnx, replace_nodes

if TYPE_CHECKING:
    import onnx

# Nodes between an initializer and the layer that reads it, which are constant too and are copied with it.
CONSTANT = ("Constant", "Identity", "Cast", "DequantizeLinear", "QuantizeLinear", "Transpose", "Reshape")


@contextlib.contextmanager
def own_weights(path: Path) -> Iterator[Path]:
    """Yield an ONNX file that computes the same as `path` and in which no two layers share a weight.

    Args:
        path: The ONNX file, which is yielded itself where no weight is shared, and where it cannot be read: the
            library that gets it says why.
    """
    made = None
    with contextlib.suppress(ModelError):
        made = unshared(load_onnx(path))
    if made is None:
        yield path
        return
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / path.name
        onnx.save(made, str(target))
        yield target


def unshared(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """Return a copy in which each layer has its own weight, or None where that is so already."""
    made = copied(model)
    graph = graph_of(made)
    contents = _Contents(graph)
    seen = set[str]()
    written: list[onnx.NodeProto] = []
    for node in graph.nodes:
        path = _constants(graph, node.input[1]) if node.op_type in WEIGHTED and len(node.input) > 1 else ()
        content = contents.of(path[-1]) if path else ""
        if content and content in seen:
            label = f"{path[0]}__of__{node.output[0]}"
            written.extend(_copies(graph, path, label, made))
            node.input[1] = label
        seen.add(content)
        written.append(node)
    if len(written) == len(graph.nodes):
        return None
    replace_nodes(made, [_detached(node) for node in written])
    return made


class _Contents:
    """What tells apart the contents of constants that are large enough to be weights."""

    def __init__(self, graph: Graph) -> None:
        self._constants = graph.constants
        shapes = [_shape(tensor) for tensor in graph.constants.values()]
        self._several = {shape for shape in shapes if shapes.count(shape) > 1}

    def of(self, name: str) -> str:
        """Return the digest of a constant, or its name where no other one can be equal."""
        tensor = self._constants.get(name)
        if tensor is None or _shape(tensor) not in self._several:
            return name
        from onnx import numpy_helper

        return sha256_bytes(numpy_helper.to_array(tensor).tobytes())


def _shape(tensor: onnx.TensorProto) -> tuple[int, ...]:
    return (tensor.data_type, *sorted(tensor.dims))


def _constants(graph: Graph, name: str) -> tuple[str, ...]:
    """Name the constants that a weight is computed from, itself first; empty for a weight that depends on the image."""
    path = [name]
    while path[-1] not in graph.constants:
        node = graph.producer.get(path[-1])
        if node is None or node.op_type not in CONSTANT:
            return ()
        if not node.input:
            break
        path.append(node.input[0])
    return tuple(path)


def _copies(graph: Graph, path: tuple[str, ...], label: str, model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Copy an initializer under a new name, transposed, and yield the nodes that compute the weight from it."""
    names = [label, *(f"{label}.{depth}" for depth in range(1, len(path)))]
    for old, new, above in reversed(list(zip(path, names, [*names[1:], ""], strict=True))):
        if old in graph.constants:
            yield _transposed(graph.constants[old], new, model)
            continue
        node = _detached(graph.producer[old])
        node.output[0], node.name = new, f"{node.name}__{new}"
        if node.input:
            node.input[0] = above
        yield node


def _transposed(tensor: onnx.TensorProto, name: str, model: onnx.ModelProto) -> onnx.NodeProto:
    """Add a constant with its axes in reverse order to a model, and return the node that turns it back."""
    from onnx import helper, numpy_helper

    model.graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(tensor).T.copy(), f"{name}__t"))
    return helper.make_node("Transpose", [f"{name}__t"], [name], f"{name}__t")


def _detached(node: onnx.NodeProto) -> onnx.NodeProto:
    made = type(node)()
    made.CopyFrom(node)
    return made
