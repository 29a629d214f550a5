"""Write a fine-tuned network: a float ONNX file with its contract, and the scales that belong to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgepose import __version__
from edgepose._files import replacing, sha256_file
from edgepose.artifacts.scales import LEARNED, Scales, TensorRange, write_scales
from edgepose.artifacts.spec import PARENT_KEY, PRECISION_KEY, TUNED_KEY, embed_spec, set_metadata
from edgepose.graph.lookup import copied
from edgepose.quantize.ranges import STEPS
from edgepose.training.quantized.network import GraphNetwork
from edgepose.training.quantized.start import Start

if TYPE_CHECKING:
    import onnx


def write_result(start: Start, network: GraphNetwork, out: Path) -> tuple[Path, Path]:
    """Write fp32.onnx and scales.json.

    The scales hold no equalization and no bias correction, because the graph contains both already.

    Args:
        start: What the fine-tuning started from.
        network: The fine-tuned network.
        out: The folder.

    Returns:
        The paths of fp32.onnx and scales.json.
    """
    import onnx

    path, table = out / "fp32.onnx", out / "scales.json"
    with replacing(path) as temporary:
        onnx.save(tuned_graph(start, network), str(temporary))
    write_scales(table, tuned_scales(start.work.scales, network, sha256_file(path)))
    return path, table


def tuned_graph(start: Start, network: GraphNetwork) -> onnx.ModelProto:
    """Return the float graph with the learned weights."""
    from onnx import numpy_helper

    model, learned = copied(start.work.model), network.constants()
    for tensor in model.graph.initializer:
        if tensor.name in learned:
            tensor.CopyFrom(numpy_helper.from_array(learned[tensor.name], tensor.name))
    embed_spec(model, start.spec)
    set_metadata(model, PARENT_KEY, start.onnx_sha256)
    set_metadata(model, PRECISION_KEY, "fp32")
    set_metadata(model, TUNED_KEY, "int8")
    return model


def tuned_scales(scales: Scales, network: GraphNetwork, onnx_sha256: str) -> Scales:
    """Return the scales of the fine-tuned network."""
    learned, tensors = network.scales(), dict(scales.tensors)
    for name, scale in learned.items():
        # equalization gives tensors names that calibration has not seen
        old = tensors.get(name, TensorRange(min=-STEPS * scale, max=STEPS * scale, scale=scale))
        tensors[name] = replace(old, scale=scale, method=LEARNED) if old.scale > 0 else old
    return replace(
        scales,
        onnx_sha256=onnx_sha256,
        tensors=tensors,
        equalization={},
        bias={},
        bias_placement="",
        edgepose_version=__version__,
    )
