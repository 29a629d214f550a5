"""From a torch network to `model.onnx`: contract inside, batch free, simplified, verified.

torch's tracing exporter (`dynamo=False`) and not its newer one: node names keep the module path
(`/deconv_layers/deconv_layers.0/ConvTranspose` against `node_ConvTranspose_854`), which `keep_float` patterns
and layer tables speak of; it needs no onnxscript; and after folding both give the same nodes.

Test alone: `pytest tests/export/test_onnx.py`.
"""

from __future__ import annotations

import copy
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepose._checks import Array
from edgepose._files import refuse_existing, replacing
from edgepose._optional import optional
from edgepose.artifacts.spec import PARENT_KEY, ModelSpec, embed_spec, set_metadata
from edgepose.errors import ModelError, SpecError, one_line
from edgepose.export.verify import Parity, verify
from edgepose.graph.prepare import prepare

if TYPE_CHECKING:
    import onnx
    from torch import nn

OPSET = 17  # the newest that TensorRT 8.6 reads


def export(
    module: nn.Module,
    spec: ModelSpec,
    out: Path,
    crops: Array,  # [N, 3, H, W] float32, normalized as `spec` says
    *,
    parent_sha256: str | None = None,
    overwrite: bool = False,
) -> Parity:
    """Write `out` and return how far it is from `module` on `crops`; `out` never holds an unverified graph.

    parent_sha256: of the checkpoint. Raises UsageError when `out` exists, ModelError when torch cannot
    export the network, SpecError when it contradicts `spec`, ParityError when the graph computes otherwise.
    """
    import onnx

    refuse_existing(out, overwrite)
    model = to_onnx(module, spec)
    embed_spec(model, spec)
    if parent_sha256 is not None:
        set_metadata(model, PARENT_KEY, parent_sha256)
    with replacing(out) as beside:
        onnx.save(model, str(beside))
        return verify(module, beside, crops)


def to_onnx(module: nn.Module, spec: ModelSpec) -> onnx.ModelProto:
    """`module`, left as it is, as a graph in evaluation mode with a free batch axis, named by `spec`."""
    import onnx

    model = onnx.load_model_from_string(_traced(module, spec))
    found = tuple(output.name for output in model.graph.output)
    if found != spec.outputs:
        raise SpecError(f"the network returns {len(found)} outputs, its spec names {', '.join(spec.outputs)}")
    simplified, same = optional("onnxsim").simplify(model)
    if not same:
        raise ModelError("onnxsim changed what the graph computes; report the network")
    model = prepare(simplified)
    onnx.checker.check_model(model)
    return model


def _traced(module: nn.Module, spec: ModelSpec) -> bytes:
    torch = optional("torch")
    network = copy.deepcopy(module).cpu().float().eval()
    image = torch.zeros(2, 3, *spec.input.size)  # two: a batch of one would be baked in by some layers
    written = io.BytesIO()
    names: dict[str, Any] = {"input_names": [spec.input.name], "output_names": list(spec.outputs)}
    free = {name: {0: "batch"} for name in (spec.input.name, *spec.outputs)}
    with warnings.catch_warnings():
        # This exporter is the older one: known. A trace may not generalize: `verify` finds out.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        try:
            torch.onnx.export(network, (image,), written, dynamo=False, opset_version=OPSET, dynamic_axes=free, **names)
        except RuntimeError as error:
            raise ModelError(f"torch cannot export {type(module).__name__}: {one_line(error)}") from error
    return written.getvalue()
