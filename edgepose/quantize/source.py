"""Read the float graph that calibration observes and quantization rewrites."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgepose.artifacts.spec import PARENT_KEY, PRECISION_KEY, ModelSpec, get_metadata
from edgepose.errors import ModelError
from edgepose.graph.importing import checked, rewrite, with_image_shape
from edgepose.graph.importing.float32 import inner_types
from edgepose.graph.prepare import prepare

if TYPE_CHECKING:
    import onnx


def read_float_graph(path: Path, spec: ModelSpec) -> onnx.ModelProto:
    """Read an ONNX file as calibration and quantization need it.

    A file that edgepose wrote is taken as it is. Any other is rewritten as `edgepose build` rewrites it.

    Args:
        path: The ONNX file.
        spec: Its contract.

    Returns:
        The prepared float32 graph.

    Raises:
        ModelError: The file is no valid graph, quantized already, or computes in float16.
    """
    model = checked(path)
    if get_metadata(model, PRECISION_KEY) == "fp16":
        raise ModelError(f"{path} is an fp16 graph; calibrate and quantize the float32 graph that it was made from")
    others = inner_types(model)
    if get_metadata(model, PARENT_KEY) is None:
        made, changes = rewrite(with_image_shape(model, spec.input.shape), str(path))
        model = made if changes else model
        others = changes.get("float32", ())
    if others:
        raise ModelError(
            f"{path} is {' and '.join(others)} inside; edgepose build {path} --precision fp32 writes a float32 graph: "
            "calibrate and quantize that one"
        )
    return prepare(model)
