"""`Editor`: add nodes and constants behind the tensors of a graph, and give it one new output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgepose._checks import Array
from edgepose.graph.lookup import copied, graph_of
from edgepose.graph.newnames import NewNames
from edgepose.graph.subgraphs import keep_needed

if TYPE_CHECKING:
    import onnx

PREFIX = "edgepose/"  # how the names of new nodes and tensors begin


class Editor:
    """A copy of a graph to which nodes are added. Every method that adds a node returns the name of its output.

    The operators are those whose form is the same in all versions of the operator set from 7 on.

    Args:
        model: The graph, which is left as it is.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = copied(model)
        self._names = NewNames(self._model)

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output.

        Args:
            kind: The operator.
            inputs: The tensors that it reads.
            attributes: Its attributes.
        """
        from onnx import helper

        output = self._names.new(f"{PREFIX}{kind}")
        name = self._names.new(f"{output}/node")
        self._model.graph.node.append(helper.make_node(kind, list(inputs), [output], name=name, **attributes))
        return output

    def constant(self, values: Array | Sequence[float] | float, dtype: Any = np.float32) -> str:
        """Add a constant."""
        from onnx import numpy_helper

        name = self._names.new(f"{PREFIX}constant")
        self._model.graph.initializer.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def take(self, tensor: str, indices: Sequence[int], axis: int) -> str:
        """Take some of the entries of a tensor along an axis, in the given order."""
        return self.node("Gather", tensor, self.constant(list(indices), np.int64), axis=axis)

    def number(self, tensor: str) -> str:
        """Convert a tensor to float32."""
        from onnx import TensorProto

        return self.node("Cast", tensor, to=TensorProto.FLOAT)

    def reshape(self, tensor: str, shape: Sequence[int]) -> str:
        """Change the shape of a tensor; 0 keeps the length of the axis at that place, -1 is what is left."""
        return self.node("Reshape", tensor, self.constant(list(shape), np.int64))

    def join(self, tensors: Sequence[str], axis: int) -> str:
        """Concatenate tensors along an axis."""
        return self.node("Concat", *tensors, axis=axis)

    def freeze(self, name: str, values: Array) -> None:
        """Make an input of the graph a constant."""
        from onnx import numpy_helper

        kept = [value for value in self._model.graph.input if value.name != name]
        del self._model.graph.input[:]
        self._model.graph.input.extend(kept)
        self._model.graph.initializer.append(numpy_helper.from_array(values, name))

    def result(self, tensor: str, name: str, shape: Sequence[int | str | None]) -> onnx.ModelProto:
        """Return the graph with one float32 output, without the nodes that it does not need.

        Args:
            tensor: The tensor that becomes the output.
            name: The name of the output. Where the graph has it already, underscores are added.
            shape: The length of each axis, its name, or None.
        """
        from onnx import TensorProto, helper

        kept = {value.name for value in self._model.graph.output}
        output = name if name in kept and name not in graph_of(self._model).producer else self._names.new(name)
        last = helper.make_node("Identity", [tensor], [output], name=self._names.new(f"{PREFIX}{name}/node"))
        self._model.graph.node.append(last)
        del self._model.graph.output[:]
        self._model.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, list(shape)))
        keep_needed(self._model, [output])
        return self._model
