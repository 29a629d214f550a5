"""Operators that stay in float32 whatever their values are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgepose.graph.subgraphs import bodies
from edgepose.quantize.float16.view import NOT_A_TENSOR, View, formal, is_standard, schema_of

if TYPE_CHECKING:
    import onnx

# Exponentials, norms and long sums overflow at 65504 or lose small terms.
SENSITIVE = (
    "Softmax", "LogSoftmax", "Softplus", "Exp", "Log", "Pow", "Sqrt", "Reciprocal", "CumSum", "ReduceMean",
    "ReduceSum", "ReduceSumSquare", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceProd",
    "LayerNormalization", "InstanceNormalization", "GroupNormalization", "MeanVarianceNormalization",
    "RMSNormalization", "LpNormalization", "LpPool", "GlobalLpPool", "NonMaxSuppression",
)  # fmt: skip
# Between two sensitive operators, these compute the squares and the epsilon of a norm, so they stay in float32 too.
ELEMENTWISE = ("Add", "Sub", "Mul", "Div")


def unfit_operators(view: View) -> Iterator[tuple[str, str]]:
    """Yield the nodes whose operator has no float16, or none that can be relied on, with the reason."""
    for node in view.graph.nodes:
        reason = _unfit(view, node)
        if reason:
            yield node.name, reason


def _unfit(view: View, node: onnx.NodeProto) -> str | None:
    if not is_standard(node):
        return f"{node.op_type} is a custom operator (domain {node.domain!r}), which may not take float16"
    if any(True for _ in bodies(node)):
        return f"{node.op_type} holds a subgraph, which computes in float32"
    if any(view.types.get(name) == NOT_A_TENSOR for name in (*node.input, *node.output)):
        return f"{node.op_type} works on sequences or optional values, not on tensors alone"
    schema = schema_of(node.op_type, view.opset)
    for index, name in enumerate(node.output):
        if name in view.floats and schema is not None and not _takes_half(formal(schema.outputs, index)):
            return f"{node.op_type} of opset {view.opset} has no float16"
    return None


def float_positions(node: onnx.NodeProto, opset: int) -> set[int]:
    """Return the input positions that the definition of an operator does not allow to be float16."""
    schema = schema_of(node.op_type, opset) if is_standard(node) else None
    if schema is None:
        return set()
    return {index for index in range(len(node.input)) if not _takes_half(formal(schema.inputs, index))}


def _takes_half(parameter: object) -> bool:
    return parameter is None or "tensor(float16)" in parameter.types  # type: ignore[attr-defined]


def sensitive_operators(view: View) -> Iterator[tuple[str, str]]:
    """Yield SENSITIVE nodes, and the arithmetic between two of them, with the reason."""
    for node in view.graph.nodes:
        if node.op_type in SENSITIVE:
            yield node.name, f"{node.op_type} overflows or loses too much in float16"
    for name in _between(view):
        yield name, "it lies between operators that overflow or lose too much in float16"


def _between(view: View) -> set[str]:
    """Names of the ELEMENTWISE nodes with a SENSITIVE one above and one below, through ELEMENTWISE ones only."""
    below, above = set[str](), set[str]()  # tensors
    behind, ahead = set[str](), set[str]()  # nodes
    for node in view.graph.nodes:
        if node.op_type in ELEMENTWISE and not below.isdisjoint(node.input):
            behind.add(node.name)
        if node.op_type in SENSITIVE or node.name in behind:
            below.update(node.output)
    for node in reversed(view.graph.nodes):
        if node.op_type in ELEMENTWISE and not above.isdisjoint(node.output):
            ahead.add(node.name)
        if node.op_type in SENSITIVE or node.name in ahead:
            above.update(node.input)
    return behind & ahead
