"""Export a torch network to `model.onnx`, with its contract inside, a dynamic batch axis, simplified and verified.

The export uses torch's tracing exporter (`dynamo=False`) for three reasons. Its node names contain the module path
(`/deconv_layers/deconv_layers.0/ConvTranspose` instead of `node_ConvTranspose_854`), which `keep_float` patterns and
layer tables refer to. It does not need onnxscript. After constant folding, both exporters give the same nodes.

Run only the tests of this module: `pytest tests/export/test_onnx.py`.
"""

from __future__ import annotations

import copy
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepose._checks import Array
from edgepose._files import replacing
from edgepose._optional import optional
from edgepose._outputs import refuse_existing
from edgepose.artifacts.spec import PARENT_KEY, ModelSpec, embed_spec, set_metadata
from edgepose.errors import ModelError, SpecError, one_line
from edgepose.export.verify import Parity, verify
from edgepose.graph.prepare import prepare

if TYPE_CHECKING:
    import onnx
    from torch import nn

OPSET = 17  # the newest opset that TensorRT 8.6 supports


def export(
    module: nn.Module,
    spec: ModelSpec,
    out: Path,
    crops: Array,  # [N, 3, H, W] float32
    *,
    parent_sha256: str | None = None,
    overwrite: bool = False,
) -> Parity:
    """Write `out` and verify it. An unverified graph is never left at `out`.

    Args:
        module: The torch network.
        spec: The contract of the network.
        out: The path of the ONNX file.
        crops: Crops [N, 3, H, W] float32, normalized as `spec` says, for the verification.
        parent_sha256: The sha256 of the checkpoint, which is stored in the file.
        overwrite: Whether to replace `out` if it exists.

    Returns:
        The difference between the graph and the network on `crops`.

    Raises:
        UsageError: `out` exists.
        ModelError: Torch cannot export the network.
        SpecError: The network contradicts `spec`.
        ParityError: The graph does not compute the same as the network.
    """
    import onnx

    refuse_existing(out, overwrite)
    model = to_onnx(module, spec)
    embed_spec(model, spec)
    if parent_sha256 is not None:
        set_metadata(model, PARENT_KEY, parent_sha256)
    with replacing(out) as temporary:
        onnx.save(model, str(temporary))
        return verify(module, temporary, crops)


def to_onnx(module: nn.Module, spec: ModelSpec) -> onnx.ModelProto:
    """Convert a network to a graph in evaluation mode with a dynamic batch axis.

    Args:
        module: The torch network, which is not changed.
        spec: The contract, which names the input and the outputs.

    Raises:
        ModelError: Torch cannot export the network, or simplification changed its result.
        SpecError: The network has another number of outputs than `spec`.
    """
    import onnx

    model = onnx.load_model_from_string(_traced(module, spec))
    found = tuple(output.name for output in model.graph.output)
    if found != spec.outputs:
        raise SpecError(
            f"the network returns {len(found)} outputs, but its contract names {', '.join(spec.outputs)}; correct "
            "outputs in the contract"
        )
    simplified, same = optional("onnxsim").simplify(model)
    if not same:
        raise ModelError("onnxsim changed the result of the graph; report the network to the edgepose maintainers")
    model = prepare(simplified)
    onnx.checker.check_model(model)
    return model


def _traced(module: nn.Module, spec: ModelSpec) -> bytes:
    torch = optional("torch")
    network = copy.deepcopy(module).cpu().float().eval()
    image = torch.zeros(2, 3, *spec.input.size)  # some layers make a batch of one constant
    written = io.BytesIO()
    names: dict[str, Any] = {"input_names": [spec.input.name], "output_names": list(spec.outputs)}
    free = {name: {0: "batch"} for name in (spec.input.name, *spec.outputs)}
    with warnings.catch_warnings():
        # torch warns that this exporter is deprecated, which is known, and that a trace may not generalize, which
        # `verify` checks.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        try:
            torch.onnx.export(network, (image,), written, dynamo=False, opset_version=OPSET, dynamic_axes=free, **names)
        except RuntimeError as error:
            raise ModelError(f"torch cannot export {type(module).__name__}: {one_line(error)}") from error
    return written.getvalue()
