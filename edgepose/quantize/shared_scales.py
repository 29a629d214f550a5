"""The pass that gives the inputs of Concat, MaxPool and Resize the scale of their output.

These operators only move values, so int8 values pass through them as they are where both sides have one scale. With two
scales the values are rounded twice, and an engine needs an extra kernel to requantize them.

An input that only such an operator reads has no quantizer of its own (`placement`): the quantizer of the output serves
it, and all inputs of a Concat share that scale. An input that another int8 layer reads too has one, with the scale that
suits that layer. It takes over the scale of the output where that is larger, at most by `FACTOR`: this saves a rounding
and costs the other layer at most one bit. Beyond that the loss of the other layer would be larger than what a second
rounding adds, and the input keeps its own scale. Chains of these operators are followed from the last to the first.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import LEARNED
from edgepose.graph.lookup import Graph, graph_of
from edgepose.quantize.placement import Placement
from edgepose.quantize.work import Work

MOVERS = ("Concat", "MaxPool", "Resize")
FACTOR = 2.0


class ShareScales:
    """Set the scales of the inputs of Concat, MaxPool and Resize to that of their output."""

    name: ClassVar[str] = "shared_scales"
    needs: ClassVar[tuple[str, ...]] = ()

    def applies(self, options: QuantizeOptions) -> bool:
        """Return True: no option turns it off."""
        return True

    def run(self, work: Work) -> Work:
        """Change `activation_scales`."""
        assert work.placement is not None, "placement runs first"
        if any(work.scales.tensors[tensor].method == LEARNED for tensor in work.activation_scales):
            return work  # fine-tuning started from shared scales, and fitted them to the weights
        scales = shared_scales(graph_of(work.model), work.placement, work.activation_scales)
        return replace(work, activation_scales=scales)


def shared_scales(graph: Graph, placement: Placement, scales: dict[str, float]) -> dict[str, float]:
    """Return the scale of each tensor with a quantizer after sharing.

    Args:
        graph: The prepared float graph.
        placement: Which nodes read which tensors through quantizers.
        scales: Tensor -> its own scale.
    """
    shared = dict(scales)
    for node in reversed(graph.nodes):
        if node.op_type not in MOVERS or node.output[0] not in shared:
            continue
        scale = shared[node.output[0]]
        for tensor in dict.fromkeys(node.input):
            readers = {name for name, _ in placement.reads.get(tensor, ())}
            if node.name not in readers:
                continue
            if shared[tensor] <= scale <= FACTOR * shared[tensor]:
                shared[tensor] = scale
    return shared
