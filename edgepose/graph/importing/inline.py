"""Copy the nodes of a body (of an If or a Loop) into the graph around it, under names of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from edgepose.graph.newnames import NewNames
from edgepose.graph.subgraphs import rename_reads

if TYPE_CHECKING:
    import onnx


class Inliner:
    """Copies bodies into one model, whose initializers it extends.

    Args:
        model: The model that receives constants, in place. Its nodes are left as they are.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._names = NewNames(model)

    def constant(self, value: onnx.TensorProto, name: str) -> str:
        """Add an initializer and return its name, which is new."""
        tensor = self._model.graph.initializer.add()
        tensor.CopyFrom(value)
        tensor.name = self.new_name(name)
        return str(tensor.name)

    def body(
        self, body: onnx.GraphProto, inputs: Mapping[str, str], outputs: Sequence[str], prefix: str
    ) -> list[onnx.NodeProto]:
        """Return the nodes of a body.

        Args:
            body: The body.
            inputs: Name of each input of the body -> the tensor that it reads.
            outputs: The names that its results get; an empty one leaves out the result.
            prefix: Start of the names of all other tensors.
        """
        from onnx import helper

        made = [name for node in body.node for name in node.output if name]
        made += [tensor.name for tensor in body.initializer]
        results = [value.name for value in body.output]
        names = dict(inputs)
        names |= {inner: outer for inner, outer in zip(results, outputs, strict=True) if inner in made and outer}
        for name in made:
            if name not in names:
                names[name] = self.new_name(f"{prefix}__{name}")
        for tensor in body.initializer:
            self._model.graph.initializer.add().CopyFrom(tensor)
            self._model.graph.initializer[-1].name = names[tensor.name]
        nodes = [_renamed(node, names, prefix) for node in body.node]
        for inner, outer in zip(results, outputs, strict=True):
            source = names.get(inner, inner)
            if outer and source != outer:
                nodes.append(helper.make_node("Identity", [source], [outer], f"{prefix}__{outer}"))
        return nodes

    def new_name(self, name: str) -> str:
        """Return a name that nothing in the model has."""
        return self._names.new(name)


def _renamed(node: onnx.NodeProto, names: Mapping[str, str], prefix: str) -> onnx.NodeProto:
    copy = type(node)()
    copy.CopyFrom(node)
    copy.name = f"{prefix}{node.name}" if node.name.startswith("/") else f"{prefix}/{node.name}" if node.name else ""
    rename_reads(copy, names)
    renamed = [names.get(name, name) for name in node.output]
    del copy.output[:]
    copy.output.extend(renamed)
    return copy
