"""Give joined activations unsigned integers, for a library that computes joined signed ones wrongly.

On x86 CPUs without AMX the int8 convolutions of OpenVINO (2026.4 and earlier) read unsigned activations only, so the
library turns the signed integers of a Q/DQ pair into unsigned ones. Where a Concat stands between the pair and the
convolution, it loses the scale while doing so: activations are rounded to whole numbers, whatever their step is. A step
of 0.16, as in the first stages of YOLO networks, becomes a step of 1.

The pairs in front of a Concat and behind it are therefore rewritten before the network is compiled: the integers
-128..127 with zero point 0 become 0..255 with zero point 128, which stand for the same numbers. The library takes
these as they are. Its kernels and their speed are the same, and so is the file of the engine, which other backends and
other CPUs may read. All other pairs stay as they are, since layers other than convolutions prefer signed integers.

Where scales are float16, the library casts activations to float32 in front of each pair. Such a cast may stand between
the pair and its Concat.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

LOW, HIGH = -128, 127
OFFSET = 128
# Operators through which the library passes integers with their scale and zero point.
MOVES = (
    "Concat", "MaxPool", "AvgPool", "Interpolate", "Reshape", "Transpose", "Split", "VariadicSplit", "Slice",
    "StridedSlice", "Squeeze", "Unsqueeze", "Relu",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """A Q/DQ pair of int8: FakeQuantize, Convert to i8, Convert to float, Subtract of the zero point, Multiply.

    Attributes:
        quantize: The FakeQuantize node, whose outputs are the integers -128..127.
        integers: The node that converts them to i8.
        shift: The node that subtracts the zero point 0.
        end: The node that multiplies by the scale.
    """

    quantize: Any
    integers: Any
    shift: Any
    end: Any


def with_unsigned_joins(ov: Any, model: Any) -> int:
    """Rewrite, in place, the int8 Q/DQ pairs in front of every Concat and behind it.

    Args:
        ov: The module `openvino`.
        model: An `openvino.Model`, which computes the same afterwards.

    Returns:
        The number of pairs that were rewritten.
    """
    pairs = [pair for node in model.get_ordered_ops() if (pair := _pair(node)) is not None]
    if not pairs:
        return 0
    joined = {node.get_friendly_name() for node in _around_concats(model)}
    found = [pair for pair in pairs if {pair.quantize.get_friendly_name(), pair.end.get_friendly_name()} & joined]
    for pair in found:
        _rewrite(ov.opset13, pair)
    if found:
        model.validate_nodes_and_infer_types()
    return len(found)


def _around_concats(model: Any) -> Iterator[Any]:
    """Yield the nodes that a Concat reads or that read it, directly or through nodes that only move values."""
    for concat in model.get_ordered_ops():
        if concat.get_type_name() == "Concat":
            yield from _reached(concat, _sources)
            yield from _reached(concat, _readers)


def _reached(start: Any, neighbors: Any) -> Iterator[Any]:
    """Yield the nodes next to `start`, in one direction, and those next to each that only moves values."""
    waiting, seen = [start], set[str]()
    while waiting:
        for node in neighbors(waiting.pop()):
            name = node.get_friendly_name()
            if name in seen:
                continue
            seen.add(name)
            yield node
            if node.get_type_name() in MOVES or _is_float_cast(node):
                waiting.append(node)


def _is_float_cast(node: Any) -> bool:
    """Whether a node casts floating-point numbers, as in front of each pair with a float16 scale, which is float32."""
    kinds = (node.get_input_element_type, node.get_output_element_type)
    return node.get_type_name() == "Convert" and all(kind(0).is_real() for kind in kinds)


def _sources(node: Any) -> list[Any]:
    return [port.get_source_output().get_node() for port in node.inputs()]


def _readers(node: Any) -> list[Any]:
    return [port.get_node() for output in node.outputs() for port in output.get_target_inputs()]


def _pair(quantize: Any) -> _Pair | None:
    """Return the pair that begins with a node, or None where none does or where others read its integers."""
    if quantize.get_type_name() != "FakeQuantize" or not _signed(quantize):
        return None
    chain = [quantize]
    for kind in ("Convert", "Convert", "Subtract", "Multiply"):
        readers = _readers(chain[-1])
        if len(readers) != 1 or readers[0].get_type_name() != kind:
            return None
        chain.append(readers[0])
    _, integers, _, shift, end = chain
    zero = _number(shift.input(1).get_source_output().get_node())
    if integers.get_element_type().get_type_name() != "i8" or zero != 0:
        return None
    return _Pair(quantize=quantize, integers=integers, shift=shift, end=end)


def _signed(quantize: Any) -> bool:
    low, high = (_number(quantize.input(index).get_source_output().get_node()) for index in (3, 4))
    return (low, high) == (LOW, HIGH)


def _number(node: Any) -> float | None:
    """Return the one number that a constant holds, through conversions, or None where it is not one."""
    while node.get_type_name() == "Convert":
        node = node.input(0).get_source_output().get_node()
    if node.get_type_name() != "Constant":
        return None
    values = node.get_data().reshape(-1)
    return float(values[0]) if values.size and (values == values[0]).all() else None


def _rewrite(opset: Any, pair: _Pair) -> None:
    kind = pair.quantize.get_output_element_type(0)
    for index, value in ((3, LOW + OFFSET), (4, HIGH + OFFSET)):
        pair.quantize.input(index).replace_source_output(opset.constant(value, kind).output(0))
    integers = opset.convert(pair.quantize, "u8")
    integers.set_friendly_name(pair.integers.get_friendly_name())
    for port in pair.integers.output(0).get_target_inputs():
        port.replace_source_output(integers.output(0))
    zero = opset.constant(OFFSET, pair.shift.get_output_element_type(0))
    pair.shift.input(1).replace_source_output(zero.output(0))
