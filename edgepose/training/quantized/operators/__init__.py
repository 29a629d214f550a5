"""ONNX operators in torch. A new operator is one function and one line in the table of its family.

`OPERATORS` maps the name of an operator to a function of a `Call` and the inputs of the node (None where an optional
input is absent), which returns one tensor or a tuple of them. Functions refuse what they do not compute.
"""

from __future__ import annotations

from edgepose.training.quantized.operators import activations, arithmetic, pooling, resize, shapes, weighted
from edgepose.training.quantized.operators.call import Call, Operator, refusal

OPERATORS: dict[str, Operator] = {
    name: operator
    for family in (activations, arithmetic, pooling, resize, shapes, weighted)
    for name, operator in family.TABLE.items()
}

__all__ = ["OPERATORS", "Call", "Operator", "refusal"]
