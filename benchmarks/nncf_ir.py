"""The share of the multiply-adds that run in int8 in a model of NNCF, which is OpenVINO's IR with FakeQuantize."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

WEIGHTED = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "GroupConvolutionBackpropData", "MatMul")


def int8_share_of_ir(path: Path) -> float | None:
    """Count multiply-adds as `edgepose.graph.cost` does; a layer is int8 where a FakeQuantize feeds it.

    Args:
        path: model.xml.

    Returns:
        The share, or None where no layer with weights has fixed shapes.
    """
    import openvino as ov

    counts = [
        (_multiply_adds(node), _quantized(node.input_value(0).get_node()))
        for node in ov.Core().read_model(path).get_ops()
        if node.get_type_name() in WEIGHTED
    ]
    total = sum(count for count, _ in counts)
    return sum(count for count, int8 in counts if int8) / total if total else None


def _multiply_adds(node: Any) -> int:
    weights, kind = node.input_value(1).get_partial_shape(), node.get_type_name()
    places = node.input_value(0) if kind.endswith("BackpropData") else node.output(0)
    shape = places.get_partial_shape()
    if not (weights.is_static and shape.is_static):
        return 0
    if kind == "MatMul":
        return math.prod(shape) * int(node.input_value(0).get_partial_shape()[-1].get_length())
    return math.prod(weights.to_shape()) * math.prod(shape.to_shape()[2:])


def _quantized(node: Any) -> bool:
    """Return whether a tensor comes from a FakeQuantize, through nodes that only move data."""
    while node.get_type_name() in ("Reshape", "Transpose", "Squeeze", "Unsqueeze"):
        node = node.input_value(0).get_node()
    return str(node.get_type_name()) == "FakeQuantize"
