"""Names for new tensors and nodes that nothing in a model has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgepose.graph.subgraphs import all_graphs

if TYPE_CHECKING:
    import onnx


class NewNames:
    """The names of a model's tensors and nodes, and of those that are about to be added.

    Args:
        model: The model, which is left as it is.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._taken: set[str] = set()
        for graph in all_graphs(model.graph):
            self._taken.update(value.name for value in (*graph.input, *graph.output, *graph.initializer))
            self._taken.update(name for node in graph.node for name in (node.name, *node.input, *node.output))

    def new(self, name: str) -> str:
        """Return `name`, with underscores behind it until nothing else is named so."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name
