"""Constants that float16 cannot hold: beyond 65504, or so small that a division or a logarithm notices.

Below 2^-14 float16 rounds to multiples of 2^-24, an error of at most 2^-25. Where a tensor has an element of at least
2^-14, this is at most 2^-11 of its largest element, which is the rounding error of that element itself: a sum of
products, as in a convolution, does not notice. A tensor is lost where all its elements are smaller, such as an
epsilon, and where its elements are divisors, so that each one counts by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.graph.prepare import array_of, attribute
from edgepose.quantize.float16.view import FLOAT, HALF_MAX, HALF_NORMAL, View

if TYPE_CHECKING:
    import onnx

# op -> the input whose smallest values decide the result
DIVISORS = {"Div": 1, "Reciprocal": 0, "Log": 0, "Sqrt": 0, "Pow": 0}
# What a small value passes through on its way to a divisor.
THROUGH = (
    "Abs", "Add", "Clip", "Concat", "Expand", "Flatten", "Gather", "Identity", "Max", "Mean", "Min", "Mul", "Neg",
    "Pow", "Reshape", "Slice", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tile", "Transpose", "Unsqueeze", "Where",
)  # fmt: skip
# Added to sums, where a change of 2^-25 is none; scales of quantizers, which `mixed` fits to float16
NEGLIGIBLE = {
    "Conv": (2,), "ConvTranspose": (2,), "Gemm": (2,), "BatchNormalization": (2, 3),
    "QuantizeLinear": (1,), "DequantizeLinear": (1,),
}  # fmt: skip
BOUNDS = {"Clip": (1, 2)}  # limits beyond 65504 become 65504, which changes no float16


def unfit_constants(view: View) -> Iterator[tuple[str, str]]:
    """Yield the nodes that read a constant beyond or below float16, and the divisions behind a small one."""
    small = set[str]()  # nodes that read an epsilon
    for node in view.graph.nodes:
        for index, name in enumerate(node.input):
            if name not in view.graph.constants or view.types.get(name) != FLOAT:
                continue
            values = array_of(view.graph, name)
            if index not in BOUNDS.get(node.op_type, ()) and _beyond(values):
                yield node.name, f"constant {name!r} is beyond float16's {HALF_MAX:.0f}"
            elif lost_below(node, index, values):
                small.add(node.name)
                yield node.name, f"constant {name!r} is too small for float16"
    for name in _behind(view, small):
        yield name, "it computes with what a constant too small for float16 was added to"


def _beyond(values: Array) -> bool:
    finite = np.abs(values[np.isfinite(values)])
    return finite.size > 0 and float(finite.max()) > HALF_MAX


def lost_below(node: onnx.NodeProto, index: int, values: Array) -> bool:
    """Tell whether rounding a constant to float16 changes more of it than a result can bear."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    if not sizes.size or index in NEGLIGIBLE.get(node.op_type, ()):
        return False
    if node.op_type == "BatchNormalization" and index == 4:  # variance, which a division follows
        variance = sizes.astype(np.float64)
        error = np.abs(variance.astype(np.float16) - variance) / (variance + attribute(node, "epsilon", 1e-5))
        return bool((error > 2.0**-9).any())
    if DIVISORS.get(node.op_type) == index:
        return bool(sizes.min() < HALF_NORMAL)
    return bool(sizes.max() < HALF_NORMAL)


def _behind(view: View, small: set[str]) -> set[str]:
    """Names of the nodes on a path from a node of `small` to an operator that divides by what it reads."""
    below, above = set[str](), set[str]()  # tensors
    behind, ahead = set[str](), set[str]()  # nodes
    for node in view.graph.nodes:
        passes = node.op_type in THROUGH and not below.isdisjoint(node.input)
        divides = node.op_type in DIVISORS and _divisor(node) in below
        if passes or divides:
            behind.add(node.name)
        if node.name in small or passes:
            below.update(name for name in node.output if name)
    for node in reversed(view.graph.nodes):
        divides = node.op_type in DIVISORS
        if divides:
            ahead.add(node.name)
            above.add(_divisor(node))
        if node.op_type in THROUGH and not above.isdisjoint(node.output):
            ahead.add(node.name)
            above.update(name for name in node.input if name)
    return behind & ahead


def _divisor(node: onnx.NodeProto) -> str:
    index = DIVISORS[node.op_type]
    return str(node.input[index]) if len(node.input) > index else ""
