"""Whether layers with few channels are int8: the backends of a build decide where no option does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgepose._progress import Note, silent
from edgepose.api.request import BuildRequest
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.spec import ModelSpec
from edgepose.backends import about, choose
from edgepose.errors import ModelError

if TYPE_CHECKING:
    import onnx


def with_channels(
    request: BuildRequest, model: onnx.ModelProto, spec: ModelSpec, options: QuantizeOptions, note: Note = silent
) -> QuantizeOptions:
    """Return the options with the rule for layers with few channels.

    It is that of TensorRT if every backend of the build is of its family. A CPU that reads the same graph gains from
    int8 in such layers.

    Args:
        request: The options of the build.
        model: The float graph.
        spec: The contract.
        options: The options of quantization that apply.
        note: Receives that the rule leaves nothing to quantize, where it is not applied.
    """
    from edgepose.graph.prepare import prepare
    from edgepose.quantize import place

    if options.channels != "auto":
        return options
    if not all(about(choose(name) if name == "auto" else name).on_gpu for name in request.backends):
        return options
    strict = replace(options, channels="tensorrt")
    try:
        place(prepare(model), spec, strict)
    except ModelError:
        note("int8: every layer has few channels, so TensorRT may run this network faster in fp16")
        return options
    return strict
