"""`GraphNetwork`: an ONNX graph as a torch module, with fake quantization on the tensors of a placement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from edgepose._checks import Array
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.errors import ModelError
from edgepose.graph.lookup import WEIGHTED, graph_of
from edgepose.graph.prepare import array_of
from edgepose.quantize.placement import DEFAULT, Placement
from edgepose.quantize.qdq import weight_axis, weight_groups
from edgepose.training.quantized.fake import fake_activation, fake_weight
from edgepose.training.quantized.operators import OPERATORS, Call, refusal

if TYPE_CHECKING:
    import onnx


class GraphNetwork(nn.Module):
    """Computes the outputs of a prepared float graph.

    The weights and biases of its Conv, ConvTranspose, Gemm and MatMul are parameters; all other constants are fixed.
    Tensors with the same quantization scale share one learned scale, so that what the passes made equal stays equal.

    Args:
        model: The prepared float graph with one input (`graph.prepare`).
        outputs: The names of the outputs to return.
        placement: What is quantized; None computes in float.
        scales: Tensor name -> the scale of its quantizer, for each tensor of the placement.
        options: The options of quantization, for the scales of weights.

    Raises:
        ModelError: The graph has an operator that is not known, or several inputs.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        outputs: tuple[str, ...],
        placement: Placement | None = None,
        scales: dict[str, float] | None = None,
        options: QuantizeOptions = DEFAULT,
    ) -> None:
        super().__init__()
        graph = graph_of(model)
        if len(graph.inputs) != 1:
            raise ModelError(f"the network has {len(graph.inputs)} inputs ({', '.join(graph.inputs)}), not one image")
        self.input, self.outputs = graph.inputs[0], outputs
        self.chunk = _fixed_batch(model, self.input)
        self.calls = [(_call(node), tuple(node.input), tuple(node.output)) for node in graph.nodes]
        self._last = _last_uses(self.calls, outputs)
        int8 = set(placement.quantized) if placement else set()
        self.weights = {  # node -> the rule of its weight
            node.name: (weight_axis(node, options), weight_groups(node)) for node in graph.nodes if node.name in int8
        }
        learned = {
            name
            for node in graph.nodes
            if node.op_type in WEIGHTED
            for name in node.input[1:3]
            if name in graph.constants
        }
        self._place: dict[str, str] = {}  # constant -> the name of its tensor in the module
        for index, name in enumerate(graph.constants):
            value, place = torch.from_numpy(array_of(graph, name).copy()), f"constant_{index}"
            if name in learned and value.dtype == torch.float32:
                self.register_parameter(place, nn.Parameter(value))
            else:
                self.register_buffer(place, value, persistent=False)
            self._place[name] = place
        self.parts = [name for name in learned if isinstance(getattr(self, self._place[name]), nn.Parameter)]
        self.reads = {
            read: tensor for tensor, reads in (placement.reads if placement else {}).items() for read in reads
        }
        self._set_scales({tensor: (scales or {})[tensor] for tensor in (placement.reads if placement else {})})

    def _set_scales(self, scales: dict[str, float]) -> None:
        values = list(dict.fromkeys(scales.values()))
        self.shared = {tensor: values.index(scale) for tensor, scale in scales.items()}
        self.register_buffer("calibrated", torch.tensor(values, dtype=torch.float32), persistent=False)
        self.log2_factors = nn.Parameter(torch.zeros(len(values)))  # of each scale to the calibrated one

    def weight_parameters(self) -> list[nn.Parameter]:
        """Return the weights and biases."""
        return [getattr(self, self._place[name]) for name in self.parts]

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return the outputs for images [B, ...]: one tensor, or a tuple of several.

        A graph with a fixed batch axis computes so many images at a time.
        """
        if self.chunk is None or len(images) == self.chunk:
            found = self._run(images)
        else:
            missing = -len(images) % self.chunk
            full = torch.cat([images, *[images[-1:]] * missing])
            pieces = [self._run(part) for part in torch.split(full, self.chunk)]
            found = tuple(torch.cat(column)[: len(images)] for column in zip(*pieces, strict=True))
        return found[0] if len(found) == 1 else found

    def _run(self, images: Tensor) -> tuple[Tensor, ...]:
        values: dict[str, Tensor] = {self.input: images}
        fakes: dict[str, Tensor] = {}
        scales = self.calibrated * torch.exp2(self.log2_factors)  # type: ignore[operator]
        for index, (call, inputs, outputs) in enumerate(self.calls):
            taken = [self._read(call, name, at, values, fakes, scales) for at, name in enumerate(inputs)]
            found = OPERATORS[call.kind](call, taken)
            made = found if isinstance(found, tuple) else (found,)
            values.update(zip(outputs, made, strict=False))
            for name in self._last.get(index, ()):
                values.pop(name, None)
                fakes.pop(name, None)
        return tuple(values[name] for name in self.outputs)

    def _read(
        self, call: Call, name: str, at: int, values: dict[str, Tensor], fakes: dict[str, Tensor], scales: Tensor
    ) -> Tensor | None:
        """Return what input `at` of a node reads."""
        if not name:
            return None
        if (call.name, at) in self.reads:
            if name not in fakes:
                fakes[name] = fake_activation(values[name], scales[self.shared[name]])
            return fakes[name]
        if name in values:
            return values[name]
        value: Tensor = getattr(self, self._place[name])
        if at == 1 and call.name in self.weights:
            return fake_weight(value, *self.weights[call.name])
        return value

    def constants(self) -> dict[str, Array]:
        """Return the learned weights and biases by the names of the graph."""
        return {name: getattr(self, self._place[name]).detach().cpu().numpy() for name in self.parts}

    def scales(self) -> dict[str, float]:
        """Return the learned scale of each quantized tensor."""
        found = (self.calibrated * torch.exp2(self.log2_factors)).detach().cpu().tolist()  # type: ignore[operator]
        return {tensor: found[index] for tensor, index in self.shared.items()}


def _call(node: onnx.NodeProto) -> Call:
    from onnx import helper

    if node.op_type not in OPERATORS or node.domain not in ("", "ai.onnx"):
        raise refusal(node.name, f"{node.domain + '.' if node.domain else ''}{node.op_type}")
    attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    return Call(name=node.name, kind=node.op_type, outputs=len(node.output), attributes=attributes)


def _fixed_batch(model: onnx.ModelProto, name: str) -> int | None:
    shape = next(value for value in model.graph.input if value.name == name).type.tensor_type.shape
    return int(shape.dim[0].dim_value) or None if shape.dim else None


def _last_uses(calls: list[tuple[Call, Any, Any]], outputs: tuple[str, ...]) -> dict[int, list[str]]:
    """Return the index of a node -> the tensors that nothing reads after it, so that float passes need less memory."""
    last = {name: index for index, (_, inputs, _) in enumerate(calls) for name in inputs if name}
    found: dict[int, list[str]] = {}
    for name, index in last.items():
        if name not in outputs:
            found.setdefault(index, []).append(name)
    return found
