"""The pass that warns where a quantization range is so wide that most values keep few of the 127 steps of int8.

    activations   one channel reaches much further than the typical channel of its tensor, which has one scale
    weights       the output channels of a ConvTranspose with one scale differ much in range

Both are common causes of lost accuracy that a list of scales does not show.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.graph.lookup import Graph, graph_of
from edgepose.graph.prepare import array_of, attribute
from edgepose.quantize.qdq import weight_axis
from edgepose.quantize.ranges import STEPS
from edgepose.quantize.work import Work

if TYPE_CHECKING:
    import onnx

FEWEST_STEPS = 4.0  # of 127; a typical channel with fewer keeps less than three bits
WIDEST_SPREAD = 10.0  # largest over smallest range of the output channels of a weight with one scale
NAMED = 3  # tensors that a note names; the others are counted


class WarnOfRanges:
    """Compare the range of each channel with the one range that its tensor gets."""

    name: ClassVar[str] = "range_warnings"
    needs: ClassVar[tuple[str, ...]] = ("channel_max",)

    def applies(self, options: QuantizeOptions) -> bool:
        """Return True: every quantization can suffer from it."""
        return True

    def run(self, work: Work) -> Work:
        """Add to `notes`."""
        assert work.placement is not None, "placement runs first"
        notes = (*_outlier_note(work), *_spread_note(work))
        return replace(work, notes=(*work.notes, *notes))


@dataclass(frozen=True, kw_only=True)
class Outlier:
    """A tensor whose range is set by few of its channels.

    Attributes:
        tensor: Its name.
        channel: The channel with the largest value.
        largest: That value.
        typical: The largest value of the median channel.
        steps: How many of the 127 steps the median channel uses.
    """

    tensor: str
    channel: int
    largest: float
    typical: float
    steps: float

    def text(self) -> str:
        """Return the evidence."""
        return (
            f"{self.tensor!r} reaches {self.largest:.3g} in channel {self.channel} and {self.typical:.3g} in the "
            f"median channel ({self.steps:.2g} of {STEPS} steps)"
        )


def outliers(work: Work) -> list[Outlier]:
    """Return the tensors with a quantizer whose median channel uses fewer than 4 steps, the worst first.

    Channels that were always zero do not count. Scales from before this statistic was collected have no evidence.
    """
    found = []
    for tensor, scale in work.activation_scales.items():
        largest = np.asarray(work.scales.tensors[tensor].statistics.get("channel_max", []), np.float64)
        alive = largest[largest > 0]
        if len(alive) < 2:
            continue
        typical = float(np.median(alive))
        steps = typical / scale
        if steps < FEWEST_STEPS:
            channel = int(largest.argmax())
            found.append(
                Outlier(tensor=tensor, channel=channel, largest=float(largest[channel]), typical=typical, steps=steps)
            )
    return sorted(found, key=lambda item: item.steps)


def _outlier_note(work: Work) -> tuple[str, ...]:
    found = outliers(work)
    if not found:
        return ()
    assert work.placement is not None
    readers = list(dict.fromkeys(name for item in found for name, _ in work.placement.reads[item.tensor]))
    remedy = " ".join(f"--keep-float {name!r}" for name in readers[:NAMED])
    return (
        f"the range of {_count(len(found), 'tensor')} is much larger than its typical value, so that int8 keeps little "
        f"of most channels: {_some([item.text() for item in found])}; measure the accuracy, and try "
        f"--method percentile, or keep the layers that read them in float: {remedy}",
    )


def channel_ranges(graph: Graph, node: onnx.NodeProto) -> Array:
    """Return the largest absolute weight of each output channel of a ConvTranspose, [C_out]."""
    weight = np.abs(array_of(graph, node.input[1]))  # [C_in, C_out / groups, kh, kw]
    groups = int(attribute(node, "group", 1))
    grouped = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)
    return np.asarray(grouped.max(axis=(1, 3)).reshape(-1))


def _spread_note(work: Work) -> tuple[str, ...]:
    graph, found = graph_of(work.model), []
    assert work.placement is not None
    int8 = set(work.placement.quantized)
    for node in graph.nodes:
        if node.name not in int8 or node.op_type != "ConvTranspose" or weight_axis(node, work.options) is not None:
            continue
        ranges = channel_ranges(graph, node)
        alive = ranges[ranges > 0]
        spread = float(alive.max() / alive.min()) if len(alive) else 1.0
        if spread >= WIDEST_SPREAD:
            found.append(
                f"{node.name} by a factor of {spread:.0f} (the smallest channel has {STEPS / spread:.2g} steps)"
            )
    if not found:
        return ()
    return (
        f"the output channels of {_count(len(found), 'deconvolution')} with one quantization scale differ in range: "
        f"{_some(found)}; --deconv-weights per_channel gives each channel its own scale, --deconv float keeps them "
        "in float",
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _some(texts: list[str]) -> str:
    more = len(texts) - NAMED
    return ", ".join(texts[:NAMED]) + (f", and {more} more" if more > 0 else "")
