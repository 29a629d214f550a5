"""`Call`: the attributes of the node that an operator computes, and the refusal of what an operator cannot compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from edgepose.errors import ModelError


@dataclass(frozen=True, kw_only=True)
class Call:
    """One node of a graph.

    Attributes:
        name: The name of the node, for messages.
        kind: The ONNX operator.
        outputs: The number of outputs.
        attributes: The attributes by name, as Python values.
    """

    name: str
    kind: str
    outputs: int
    attributes: dict[str, Any]

    def get(self, name: str, default: Any) -> Any:
        """Return an attribute, or `default` where the node has none."""
        return self.attributes.get(name, default)

    def text(self, name: str, default: str) -> str:
        """Return an attribute that is text."""
        value = self.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else str(value)

    def need(self, fits: bool, what: str) -> None:
        """Raise ModelError unless the node is of a form that is computed here."""
        if not fits:
            raise refusal(self.name, f"{self.kind} with {what}")


Operator = Callable[[Call, Sequence[Any]], "Tensor | tuple[Tensor, ...]"]


def refusal(node: str, what: str) -> ModelError:
    """Return the error for a node that cannot be fine-tuned."""
    return ModelError(
        f"node {node!r} is {what}, which fine-tuning cannot compute; quantize the network without fine-tuning, and "
        "keep its sensitive layers in float (edgepose build --keep-float)"
    )


def integers(values: Tensor) -> list[int]:
    """Return the values of a tensor of shapes, axes or indices."""
    return [int(value) for value in values.flatten().tolist()]
