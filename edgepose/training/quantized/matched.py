"""Which tensors fine-tuning makes equal to those of the float network.

These are the outputs, unless a graph chooses from its maps by itself: no gradient passes through the index of a largest
value, so that the layers in front would not learn. There, the maps are compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.graph.lookup import WEIGHTED, graph_of
from edgepose.quantize.ends import ends, is_arithmetic

if TYPE_CHECKING:
    import onnx

CHOOSING = frozenset({"ArgMax", "ArgMin", "TopK", "NonZero", "NonMaxSuppression", "Hardmax", "OneHot"})
# the reader of maps sees probabilities, so these are compared
SQUASHING = frozenset({"Sigmoid", "HardSigmoid", "Softmax"})


def matched_tensors(model: onnx.ModelProto, outputs: tuple[str, ...]) -> tuple[str, ...]:
    """Return the tensors of a graph that the quantized network has to reproduce.

    Args:
        model: The prepared float graph.
        outputs: The names of its outputs.

    Returns:
        The outputs, or where nodes that choose (`CHOOSING`) stand in front of them, what the last layers with learned
        weights give, behind a squashing function where one follows.
    """
    graph = graph_of(model)
    last = [node for node in graph.nodes if node.name in ends(graph, QuantizeOptions(stem_float=False))]
    learned = [node for node in last if node.op_type in WEIGHTED and not is_arithmetic(graph, node)]
    if not learned or not any(node.op_type in CHOOSING for node in graph.nodes):
        return outputs
    found = []
    for node in learned:
        readers = [reader for reader in graph.nodes if node.output[0] in reader.input]
        squashed = len(readers) == 1 and readers[0].op_type in SQUASHING
        found.append(readers[0].output[0] if squashed else node.output[0])
    return tuple(dict.fromkeys(found))
