"""What fine-tuning starts from: the float graph as the passes of quantization leave it before they write Q/DQ nodes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgepose._files import sha256_file
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import Scales, check_fresh
from edgepose.artifacts.spec import ModelSpec, embedded_spec
from edgepose.graph.lookup import load_onnx
from edgepose.quantize.passes import float_passes, run_passes
from edgepose.quantize.source import read_float_graph
from edgepose.quantize.work import Work
from edgepose.training.quantized.matched import matched_tensors
from edgepose.training.quantized.network import GraphNetwork

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, kw_only=True)
class Start:
    """A float network and how it is quantized.

    Attributes:
        onnx_sha256: Of the float ONNX file.
        work: The graph, the placement and the scales after every pass that comes before the Q/DQ nodes: equalized, and
            with its biases corrected, where scales.json says so.
        model: The prepared float graph of the file.
    """

    onnx_sha256: str
    work: Work
    model: onnx.ModelProto

    @property
    def matched(self) -> tuple[str, ...]:
        """The tensors that the quantized network has to reproduce (`matched.py`)."""
        return matched_tensors(self.model, self.work.spec.outputs)

    @property
    def spec(self) -> ModelSpec:
        """The contract, with the options of quantization that apply."""
        return replace(self.work.spec, quantize=self.work.options)

    def student(self) -> GraphNetwork:
        """Return the network with fake quantization, which gives `matched` as the quantized graph has them."""
        work = self.work
        assert work.placement is not None
        return GraphNetwork(work.model, self.matched, work.placement, work.activation_scales, work.options)

    def teacher(self) -> GraphNetwork:
        """Return the float network, which is not trained and gives `matched`."""
        return GraphNetwork(self.model, self.matched).eval().requires_grad_(False)


def read_start(path: Path, scales: Scales, options: QuantizeOptions | None = None) -> Start:
    """Read a float network and quantize it but for the Q/DQ nodes.

    Args:
        path: The float ONNX file, with its contract.
        scales: Its scales.
        options: The options of quantization; None takes those of the contract.

    Raises:
        CalibrationError: The scales belong to another file.
        ModelError: The graph cannot be quantized.
    """
    spec = embedded_spec(load_onnx(path), str(path))
    sha256 = sha256_file(path)
    check_fresh(scales, sha256, spec)
    model = read_float_graph(path, spec)
    work = Work(model=model, spec=spec, options=options or spec.quantize, scales=scales)
    return Start(onnx_sha256=sha256, work=run_passes(work, float_passes()), model=model)
