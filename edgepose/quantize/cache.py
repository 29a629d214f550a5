"""Write a TensorRT calibration cache, for INT8 on a DLA and in weakly typed networks of TensorRT 8.6 and 10.

Such an engine is compiled from a float graph. The scales come from a file with one line `tensor: scale` per tensor,
where the scale is the eight hexadecimal digits of a big-endian float32. The first line holds version and kind:

    TRT-100300-EntropyCalibration2
    /trunk/stem/act/Clip_output_0: 3d419e9a

The file lists the tensors that the Q/DQ graph quantizes, so that both forms have the same placement, and the tensors
that only an activation function separates from a quantized tensor. A tensor without a line runs in float. TensorRT 11
does not read such files.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from edgepose.errors import ModelError
from edgepose.graph.lookup import Graph, graph_of
from edgepose.graph.prepare import array_of

if TYPE_CHECKING:
    import onnx

KIND = "EntropyCalibration2"  # the only kind that a DLA accepts; TensorRT calibrates nothing here
ACTIVATIONS = ("Relu", "Clip", "LeakyRelu")


def calibration_cache(quantized: onnx.ModelProto, version: str) -> str:
    """Return the text of the file.

    Args:
        quantized: A graph made by `quantize`.
        version: Version of TensorRT, such as "10.3.0".

    Raises:
        ModelError: The graph has no quantizers.
    """
    lines = [f"{name}: {struct.pack('>f', scale).hex()}" for name, scale in sorted(tensor_scales(quantized).items())]
    return "\n".join([f"TRT-{version_number(version)}-{KIND}", *lines]) + "\n"


def tensor_scales(quantized: onnx.ModelProto) -> dict[str, float]:
    """Map each quantized tensor of the float graph to its scale.

    Raises:
        ModelError: The graph has no quantizers.
    """
    graph = graph_of(quantized)
    own = {
        node.input[0]: float(array_of(graph, node.input[1])) for node in graph.nodes if node.op_type == "QuantizeLinear"
    }
    if not own:
        raise ModelError("the graph has no quantizers; a calibration cache is made from an int8 graph")
    fused = {name: scale for tensor, scale in own.items() if (name := _activated(graph, tensor)) is not None}
    return fused | own


def _activated(graph: Graph, tensor: str) -> str | None:
    """Name the input of the activation function that computes `tensor`, if nothing else reads that input.

    TensorRT fuses such an activation function with the layer before it.
    """
    node = graph.producer.get(tensor)
    if node is None or node.op_type not in ACTIVATIONS or graph.only_reader(node.input[0]) is None:
        return None
    return None if node.input[0] in graph.inputs else str(node.input[0])


def version_number(version: str) -> int:
    """Convert a version to TensorRT's number: 8.6.1 is 8601, and 10.3.0 is 100300."""
    major, minor, patch = ([int(part) for part in version.split(".") if part.isdigit()] + [0, 0, 0])[:3]
    return major * (1000 if major < 10 else 10000) + minor * 100 + patch
