"""A TensorRT calibration cache written from the scales: INT8 for a DLA and for weakly typed TensorRT 8.6 and 10.

There a float graph is compiled, and the ranges come from a file of lines `tensor: scale`, the scale as the eight
hex digits of a big-endian float32, below a line with version and kind:

    TRT-100300-EntropyCalibration2
    /trunk/stem/act/Clip_output_0: 3d419e9a

It lists the tensors that the Q/DQ graph quantizes, so that both forms have one placement, and those that only an
activation function separates from one. A tensor without a line runs in float. TensorRT 11 reads no such file.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from edgepose.errors import ModelError
from edgepose.graph.lookup import Graph, graph_of
from edgepose.graph.prepare import array_of

if TYPE_CHECKING:
    import onnx

KIND = "EntropyCalibration2"  # the one kind that a DLA takes; nothing is calibrated, so it is but a name
ACTIVATIONS = ("Relu", "Clip", "LeakyRelu")


def calibration_cache(quantized: onnx.ModelProto, version: str) -> str:
    """The file's text, from a graph of `quantize`; `version` of TensorRT, such as 10.3.0."""
    lines = [f"{name}: {struct.pack('>f', scale).hex()}" for name, scale in sorted(tensor_scales(quantized).items())]
    return "\n".join([f"TRT-{version_number(version)}-{KIND}", *lines]) + "\n"


def tensor_scales(quantized: onnx.ModelProto) -> dict[str, float]:
    """Tensor of the float graph -> its scale. ModelError for a graph without quantizers."""
    graph = graph_of(quantized)
    own = {
        node.input[0]: float(array_of(graph, node.input[1])) for node in graph.nodes if node.op_type == "QuantizeLinear"
    }
    if not own:
        raise ModelError("the graph has no quantizers; a calibration cache is made of an int8 graph")
    fused = {name: scale for tensor, scale in own.items() if (name := _activated(graph, tensor)) is not None}
    return fused | own


def _activated(graph: Graph, tensor: str) -> str | None:
    """What the activation function that makes `tensor` reads, where nothing else does: TensorRT fuses the two."""
    node = graph.producer.get(tensor)
    if node is None or node.op_type not in ACTIVATIONS or graph.only_reader(node.input[0]) is None:
        return None
    return None if node.input[0] in graph.inputs else str(node.input[0])


def version_number(version: str) -> int:
    """As TensorRT writes it: 8.6.1 is 8601, 10.3.0 is 100300."""
    major, minor, patch = ([int(part) for part in version.split(".") if part.isdigit()] + [0, 0, 0])[:3]
    return major * (1000 if major < 10 else 10000) + minor * 100 + patch
