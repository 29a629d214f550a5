"""INT8 and FP16: cast the float parts of a Q/DQ graph to float16, for strongly typed engines.

A strongly typed TensorRT engine computes in the types of the graph. Next to int8 layers it runs the stem, the head
and every residual sum in float32 unless the graph holds them in float16. The quantizers then have float16 scales
(opset 19):

    weights       a scale below 2^-17 has too few bits in float16. It is raised to 2^-17 and its integers are rounded
                  again. Such channels are dead (no weight above 1e-3); each weight changes by at most 4e-6
    activations   a Q/DQ pair with such a scale stays in float32
    all others    the scale is rounded to float16, a relative change of at most 2^-11, as for every float16 weight
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.spec import (
    KEPT_FLOAT_KEY,
    PARENT_KEY,
    PRECISION_KEY,
    ModelSpec,
    embed_spec,
    get_metadata,
    set_metadata,
)
from edgepose.errors import ModelError
from edgepose.graph.lookup import Graph, copied, graph_of
from edgepose.graph.prepare import array_of, attribute, upgrade_opset
from edgepose.quantize.cast import DEFAULT, CastOptions, merged_ranges, patterns_of
from edgepose.quantize.float16.reasons import reasons_for_float32
from edgepose.quantize.float16.runnable import with_what_does_not_run
from edgepose.quantize.float16.verify import settled
from edgepose.quantize.float16.view import HALF_MAX, View, view_of
from edgepose.quantize.float16.writer import cast_half
from edgepose.quantize.ranges import STEPS
from edgepose.quantize.value_ranges import Sample

if TYPE_CHECKING:
    import onnx

OPSET = 19  # the first with float16 scales
LIMIT = 0.2  # relative error against the int8 graph: a rounding flips a step, as large as the int8 error itself
SMALLEST = 2.0**-17  # a scale that float16, whose steps are 2^-24 there, still holds to 1 in 256


def to_int8_fp16(
    quantized: onnx.ModelProto,
    spec: ModelSpec,
    parent_sha256: str,
    options: CastOptions = DEFAULT,
    ranges: Mapping[str, float] | None = None,
    sample: Sample | None = None,
) -> onnx.ModelProto:
    """Cast the float parts of a Q/DQ graph to float16.

    Args:
        quantized: A graph made by `quantize`, which is left as it is.
        spec: The contract to embed.
        parent_sha256: Of the file that holds the quantized graph.
        options: Which nodes stay in float32.
        ranges: The largest absolute value that was seen in each tensor, as for `to_fp16`.
        sample: Inputs to observe and to compare on, as for `to_fp16`.

    Raises:
        ModelError: The graph has no quantizers, or `to_fp16` would refuse it.
        UsageError: A pattern names no node.
    """
    return with_half_parts(quantized, spec, parent_sha256, options, ranges, sample, precision="int8-fp16")


def with_half_parts(
    quantized: onnx.ModelProto,
    spec: ModelSpec,
    parent_sha256: str,
    options: CastOptions = DEFAULT,
    ranges: Mapping[str, float] | None = None,
    sample: Sample | None = None,
    *,
    precision: str,
) -> onnx.ModelProto:
    """Cast the float parts of any Q/DQ graph to float16; see `to_int8_fp16`.

    Args:
        quantized: The graph, which is left as it is.
        spec: The contract to embed.
        parent_sha256: Of the file that the metadata name as the parent.
        options: Which nodes stay in float32.
        ranges: The largest absolute value that was seen in each tensor.
        sample: Inputs to observe and to compare on.
        precision: The precision that the metadata name.

    Raises:
        ModelError: The graph has no quantizers, or `to_fp16` would refuse it.
        UsageError: A pattern names no node.
    """
    if not any(node.op_type == "QuantizeLinear" for node in quantized.graph.node):
        raise ModelError(f"the graph is not quantized; {precision} is made from an int8 graph")
    model = half_scales(upgrade_opset(quantized, OPSET))
    view = view_of(model, merged_ranges(model, ranges, sample))
    kept = reasons_for_float32(view, patterns_of(spec, options), options.sensitive_float) | _unfit_pairs(model)
    if sample is not None:
        kept = with_what_does_not_run(view, kept, sample)
        kept = settled(view, kept, sample, LIMIT)
    kept |= _quantizers_of(view, kept)
    made = cast_half(view, kept)
    embed_spec(made, spec)
    set_metadata(made, PARENT_KEY, parent_sha256)
    set_metadata(made, PRECISION_KEY, precision)
    not_int8 = json.loads(get_metadata(quantized, KEPT_FLOAT_KEY) or "{}")
    set_metadata(made, KEPT_FLOAT_KEY, json.dumps(not_int8 | kept))
    return made


def half_scales(model: onnx.ModelProto) -> onnx.ModelProto:
    """Round every scale to one that float16 holds exactly, except those of activations that stay in float32."""
    model = copied(model)
    graph = graph_of(model)
    unfit = {graph.producer[name].input[1] for name in _unfit_tensors(graph)}
    for node in graph.nodes:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") or node.input[1] in unfit:
            continue
        scale = array_of(graph, node.input[1])
        if scale.max() > HALF_MAX:
            continue  # `float16.constants` leaves the weight in float32
        half = np.maximum(scale, np.float32(SMALLEST)).astype(np.float16).astype(np.float32)
        if node.input[0] in graph.constants:
            _requantize(graph, node, half)
        _set(graph, node.input[1], half)
    return model


def _requantize(graph: Graph, node: onnx.NodeProto, half: Array) -> None:
    """Round the integers of a weight again where its scale is raised."""
    scale, values = array_of(graph, node.input[1]), array_of(graph, node.input[0])
    if values.dtype != np.int8:
        return  # the scales of FP8 weights are float16 numbers already
    factor = np.where(scale < SMALLEST, scale / half, np.float32(1))
    if scale.ndim:
        axis = int(attribute(node, "axis", 1))
        factor = factor.reshape([-1 if index == axis else 1 for index in range(values.ndim)])
    _set(graph, node.input[0], np.clip(np.rint(values * factor), -STEPS, STEPS).astype(np.int8))


def _set(graph: Graph, name: str, value: Array) -> None:
    from onnx import numpy_helper

    graph.constants[name].CopyFrom(numpy_helper.from_array(value, name))


def _quantizers_of(view: View, kept: Mapping[str, str]) -> dict[str, str]:
    """Return the DQ nodes that only float32 nodes read, so that no Cast separates an int8 kernel from them."""
    found: dict[str, str] = {}
    for node in view.graph.nodes:
        readers = [reader.name for reader, _ in view.graph.readers.get(node.output[0], [])]
        if node.op_type == "DequantizeLinear" and readers and all(name in kept for name in readers):
            found[node.name] = f"{readers[0]!r} reads it in float32"
    return {name: reason for name, reason in found.items() if name not in kept}


def _unfit_pairs(model: onnx.ModelProto) -> dict[str, str]:
    """Return the Q and DQ nodes that stay in float32, each with the reason."""
    graph = graph_of(model)
    found: dict[str, str] = {}
    for name, reason in _unfit_tensors(graph).items():
        pair = [graph.producer[name], *(reader for reader, _ in graph.readers.get(name, []))]
        found |= {node.name: reason for node in pair}
    return found


def _unfit_tensors(graph: Graph) -> dict[str, str]:
    """Return the outputs of the QuantizeLinear nodes whose scale float16 cannot hold, each with the reason."""
    found: dict[str, str] = {}
    for node in graph.nodes:
        if node.op_type == "QuantizeLinear":
            scale = array_of(graph, node.input[1])
            if scale.min() < SMALLEST:
                found[node.output[0]] = "its scale is too small for float16"
            elif scale.max() > HALF_MAX:
                found[node.output[0]] = "its scale is too large for float16"
    return found
