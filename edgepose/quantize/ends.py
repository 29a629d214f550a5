"""The ends of a network: the first layers behind its inputs and the last in front of each output.

They stay in float, since quantizing them is the usual cause of collapsed outputs, unless the options say otherwise or
a search has measured that int8 does no harm there and saves time.

Some networks end in a layer that learned nothing, such as the convolution with the weights 0, 1, ..., 15 that turns a
distribution over distances into their mean (distribution focal loss, YOLO), or one that averages or blurs. Such a layer
is arithmetic and not the head: it stays in float whatever a search finds, and the layers in front of it are the last
ones.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.graph.lookup import Graph, walk_back, walk_forward
from edgepose.graph.prepare import array_of, attribute

if TYPE_CHECKING:
    import onnx

FEWEST = 3  # weights that can show a regularity; any two numbers are evenly spaced
TOLERANCE = 1e-5  # of the largest weight


def ends(graph: Graph, options: QuantizeOptions, int8: Collection[str] = ()) -> dict[str, str]:
    """Return the nodes with weights that stay in float at the ends of a network, each with the reason.

    Args:
        graph: The prepared graph.
        options: The options that apply.
        int8: Names of nodes that a search put in int8, such as `Scales.int8_ends`. Options that name a precision come
            before them.
    """
    head: dict[str, str] = {}
    stem: dict[str, str] = {}
    for output in graph.outputs:
        head |= _head(graph, output)
    for name in graph.inputs:
        stem |= {node.name: f"stem: reads input {name!r}" for node in walk_forward(graph, name)}
    return _kept(head, options.head_float, int8) | _kept(stem, options.stem_float, int8)


def _kept(reasons: dict[str, str], stay: bool | None, int8: Collection[str]) -> dict[str, str]:
    if stay is None:
        return {name: reason for name, reason in reasons.items() if name not in int8}
    return reasons if stay else {}


def open_ends(graph: Graph, options: QuantizeOptions) -> tuple[str, ...]:
    """Return the nodes at the ends that a search may put in int8: those of learned weights that no option is about.

    Args:
        graph: The prepared graph.
        options: The options that apply.
    """
    at_ends = ends(graph, options)
    learned = [node.name for node in graph.nodes if node.name in at_ends and not is_arithmetic(graph, node)]
    bound = ends(graph, options, learned)
    return tuple(name for name in learned if name not in bound)


def _head(graph: Graph, output: str) -> dict[str, str]:
    reasons: dict[str, str] = {}
    waiting = [output]
    while waiting:
        for node in walk_back(graph, waiting.pop()):
            if node.name in reasons:
                continue
            fixed = is_arithmetic(graph, node)
            reasons[node.name] = f"head: {'fixed arithmetic in front of' if fixed else 'makes'} output {output!r}"
            if fixed:
                waiting.append(node.input[0])
    return reasons


def is_arithmetic(graph: Graph, node: onnx.NodeProto) -> bool:
    """Tell whether the weights of a node are fixed arithmetic and not learned.

    They are where each output channel has evenly spaced or equal weights in their order (an index, a mean), where all
    weights are either 0 or one other number (a selection), or where all channels of a depthwise convolution have the
    same kernel (a blur, an upsampling). Learned weights are none of these.

    Args:
        graph: The prepared graph.
        node: A node with constant weights.
    """
    weight = array_of(graph, node.input[1]).astype(np.float64)
    if weight.size < FEWEST or not weight.any():
        return False
    rows = weight.reshape(len(weight), -1) if node.op_type == "Conv" else weight.reshape(1, -1)
    if rows.shape[1] < FEWEST:
        rows = weight.reshape(1, -1)
    if _even(rows) or len(np.unique(weight[weight != 0])) == 1:
        return True
    groups = int(attribute(node, "group", 1))
    depthwise = node.op_type in ("Conv", "ConvTranspose") and groups == len(weight) > 1 and weight[0].size >= FEWEST
    return depthwise and bool(np.ptp(weight, axis=0).max() <= TOLERANCE * np.abs(weight).max())


def _even(rows: Array) -> bool:
    """Whether the numbers of each row [R, N] are evenly spaced, which includes equal."""
    gaps = np.diff(rows, axis=1)
    return bool(np.ptp(gaps, axis=1).max() <= TOLERANCE * np.abs(rows).max())
