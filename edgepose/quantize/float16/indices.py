"""Arithmetic with integers: float16 holds integers exactly up to 2048 only, so coordinates and counts stay in float32.

The values that an ArgMax or a TopK compares stay in float32 as well: rounded to float16, neighbors become equal and
the first of them wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgepose.quantize.float16.view import View, is_standard

if TYPE_CHECKING:
    import onnx

# TensorProto types of integers that may exceed 2048
WIDE = {4: "uint16", 5: "int16", 6: "int32", 7: "int64", 12: "uint32", 13: "uint64"}
COMPARES = ("ArgMax", "ArgMin", "TopK")
# Products and convolutions of positions with weights are ordinary activations again.
ENDS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum", "QuantizeLinear")
MOVES = ("Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")  # the same values in another shape


def integer_arithmetic(view: View) -> Iterator[tuple[str, str]]:
    """Yield the nodes that turn integers into floats, and the arithmetic with nothing but those and constants."""
    indices = set[str]()  # float tensors
    for node in view.graph.nodes:
        made = view.float_outputs(node)
        if not made:
            continue
        source = _from_integers(view, node)
        reads = [name for name in view.float_inputs(node) if name not in view.graph.constants]
        if source:
            yield node.name, f"it turns {source} into floats, and float16 is exact up to 2048 only"
        elif reads and indices.issuperset(reads) and node.op_type not in ENDS and is_standard(node):
            yield node.name, "it computes with integers, and float16 is exact up to 2048 only"
        else:
            continue
        indices.update(made)


def _from_integers(view: View, node: onnx.NodeProto) -> str | None:
    if node.op_type == "Range":
        return "a range of integers"
    return WIDE.get(view.types.get(node.input[0], 0)) if node.op_type in ("Cast", "CastLike") else None


def compared_values(view: View) -> Iterator[tuple[str, str]]:
    """Yield the nodes from the one that computes what an ArgMax or a TopK compares."""
    for node in view.graph.nodes:
        if node.op_type not in COMPARES or not view.float_inputs(node):
            continue
        reason = f"{node.op_type} {node.name!r} compares its values, which float16 rounds to equal ones"
        yield node.name, f"{node.op_type} compares values that float16 rounds to equal ones"
        above = view.graph.producer.get(node.input[0])
        while above is not None:
            yield above.name, reason
            above = view.graph.producer.get(above.input[0]) if above.op_type in MOVES else None
