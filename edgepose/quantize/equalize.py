"""Cross-layer equalization: the channels of a tensor that has one quantization scale get similar ranges.

A channel that is divided by a factor in the layer that makes it, and multiplied by it in the weights of the layers that
read it, changes nothing in float (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
Correction", ICCV 2019, section 4.1). In int8 it decides how many of the 127 steps the channel uses. This holds
through Relu, LeakyRelu and ReLU6, whose limit then differs between the channels.

The layer that makes the channel has one weight scale for each output channel, so a factor costs it nothing. The same
is true of a depthwise layer that reads it: its channels get equal ranges. Any other reader adds up channels with one
weight scale, so the factor is the square root of range over weight, which shares the loss between the two (Xiao et al.,
"SmoothQuant", ICML 2023).

All factors are powers of two, so the float network computes the same numbers to the last bit. None is above 1, and a
tensor behind a ReLU6 never gets a range above its limit: the quantizer then clips at or below every limit, and the
int8 graph needs no other operation than Relu.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.graph.lookup import Graph, copied, drop_unused_constants, graph_of, replace_nodes
from edgepose.graph.prepare import array_of, attribute
from edgepose.quantize.relu6 import limits_of
from edgepose.quantize.work import Work

if TYPE_CHECKING:
    import onnx

SMALLEST = 2.0**-6  # factor; the typical channel of a tensor with one outlier then uses 2 steps in place of none
SUFFIX = "__equalized"  # of the names of tensors that hold other values than in the float network
ACTIVATIONS = ("Relu", "LeakyRelu", "Clip")
SATURATES = 126.5  # steps; a value of so many is rounded to 127, as all above it


@dataclass(frozen=True, kw_only=True)
class Link:
    """A tensor whose channels can be scaled.

    Attributes:
        tensor: Its name.
        maker: The Conv that computes it.
        activation: The activation function between them, or None.
        limit: The upper limit of a Clip; infinite for other activations.
        readers: The layers that read it, all of which can absorb factors.
    """

    tensor: str
    maker: onnx.NodeProto
    activation: onnx.NodeProto | None
    limit: float
    readers: tuple[onnx.NodeProto, ...]


class Equalize:
    """Apply the factors of scales.json to the tensors that get a quantizer."""

    name: ClassVar[str] = "equalize"
    needs: ClassVar[tuple[str, ...]] = ()

    def applies(self, options: QuantizeOptions) -> bool:
        """Return True: scales that were observed with factors are right with them alone."""
        return True

    def run(self, work: Work) -> Work:
        """Change the weights around each quantized tensor that has factors."""
        assert work.placement is not None, "placement runs first"
        factors = {name: values for name, values in work.scales.equalization.items() if name in work.placement.reads}
        if not factors:
            return work
        graph = graph_of(work.model)
        clipped = {
            name: work.activation_scales[name]
            for name in factors
            if len(graph.readers.get(name, [])) == len(work.placement.reads[name])
        }
        model, renamed = with_other_names(equalized(work.model, factors, clipped), factors)
        placement = replace(
            work.placement,
            reads={renamed.get(name, name): readers for name, readers in work.placement.reads.items()},
        )
        scales = {renamed.get(name, name): scale for name, scale in work.activation_scales.items()}
        return replace(work, model=model, placement=placement, activation_scales=scales)


def links(graph: Graph) -> tuple[Link, ...]:
    """Return the tensors of a graph whose channels can be scaled, in graph order."""
    used: dict[str, int] = {}
    for node in graph.nodes:
        for name in node.input:
            used[name] = used.get(name, 0) + 1
    found = []
    for node in graph.nodes:
        if node.op_type == "Conv" and (link := _link(graph, node, used)) is not None:
            found.append(link)
    return tuple(found)


def _link(graph: Graph, maker: onnx.NodeProto, used: Mapping[str, int]) -> Link | None:
    if not _owns_weights(graph, maker, used):
        return None
    tensor, activation, limit = str(maker.output[0]), graph.only_reader(maker.output[0]), np.inf
    if activation is not None and activation.op_type in ACTIVATIONS:
        limits = limits_of(graph, activation) if activation.op_type == "Clip" else (0.0, np.inf)
        if limits is None or limits[0] != 0.0 or limits[1] <= 0:
            return None
        tensor, limit = str(activation.output[0]), limits[1]
    else:
        activation = None
    readers = graph.readers.get(tensor, [])
    if tensor in graph.outputs or not readers:
        return None
    for node, index in readers:
        if node.op_type not in ("Conv", "ConvTranspose") or index != 0 or not _owns_weights(graph, node, used):
            return None
    return Link(
        tensor=tensor, maker=maker, activation=activation, limit=limit, readers=tuple(node for node, _ in readers)
    )


def _owns_weights(graph: Graph, node: onnx.NodeProto, used: Mapping[str, int]) -> bool:
    """Whether the weights and the bias are float constants that no other node reads."""
    names = [name for name in node.input[1:] if name]
    return graph.is_weighted(node) and all(
        name in graph.constants and graph.constants[name].data_type == 1 and used[name] == 1 for name in names
    )


def equalization(model: onnx.ModelProto, channel_ranges: Mapping[str, Array]) -> dict[str, list[float]]:
    """Choose the factors.

    Args:
        model: The prepared float graph.
        channel_ranges: Tensor -> the largest absolute value of each channel [C], for the tensors of `links`.

    Returns:
        Tensor -> the factor by which each channel is divided, for the tensors that gain by it.
    """
    graph = graph_of(model)
    chosen = {}
    for link in links(graph):
        ranges = np.asarray(channel_ranges.get(link.tensor, []), np.float64)
        if len(ranges) < 2 or not ranges.max() > 0:
            continue
        factors = _factors(graph, link, ranges)
        if factors.min() < 1:
            chosen[link.tensor] = [float(value) for value in factors]
    return chosen


def _factors(graph: Graph, link: Link, ranges: Array) -> Array:
    """The factors of one tensor [C]: powers of two, the largest of which is 1."""
    share = ranges / ranges.max()
    weights = [weight for node in link.readers if (weight := _weight_ranges(graph, node)) is not None]
    if weights:
        weight = np.max(weights, axis=0)
        share = np.sqrt(share / np.where(weight > 0, weight, 1.0))
        share = share / share.max()
    alive = ranges > SMALLEST * 2.0**-6 * ranges.max()
    share = np.clip(share, np.maximum(SMALLEST, np.minimum(ranges / link.limit, 1.0)), 1.0)
    return np.where(alive, 2.0 ** np.ceil(np.log2(share) - 1e-9), 1.0)


def _weight_ranges(graph: Graph, node: onnx.NodeProto) -> Array | None:
    """The largest weight of each input channel [C], as a share of its output channel's; None if depthwise."""
    weight = np.abs(array_of(graph, node.input[1])).astype(np.float64)
    groups = int(attribute(node, "group", 1))
    if node.op_type == "ConvTranspose":  # [C_in, C_out / groups, kh, kw]
        weight = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1).max(axis=3)
    else:  # [C_out, C_in / groups, kh, kw]
        weight = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1).max(axis=3).transpose(0, 2, 1)
    if weight.shape[1] == 1:  # [groups, C_in / groups, C_out / groups]
        return None
    largest = weight.max(axis=1, keepdims=True)
    relative = np.divide(weight, largest, out=np.zeros_like(weight), where=largest > 0)
    return np.asarray(relative.max(axis=2).reshape(-1))


def equalized(
    model: onnx.ModelProto, factors: Mapping[str, list[float]], clipped: Mapping[str, float] | None = None
) -> onnx.ModelProto:
    """Return the graph with the factors in its weights. Tensors keep their names, and outputs their values.

    Args:
        model: The prepared float graph, which is left as it is.
        factors: Tensor -> the factor that each of its channels is divided by.
        clipped: Tensor -> its quantization scale, where only quantizers read it. A ReLU6 whose limits all lie at or
            beyond the range of the quantizer becomes Relu; elsewhere it becomes Relu and Min.
    """
    model = copied(model)
    graph = graph_of(model)
    after: dict[str, list[onnx.NodeProto]] = {}
    for link in links(graph):
        if link.tensor not in factors:
            continue
        values = np.asarray(factors[link.tensor], np.float32)
        _scale_maker(model, graph, link.maker, values)
        for node in link.readers:
            _scale_reader(model, graph, node, values)
        if link.activation is not None and link.activation.op_type == "Clip":
            scale = (clipped or {}).get(link.tensor, np.inf)
            limits = np.float32(link.limit) / values
            after[link.activation.name] = _rectify(model, link.activation, limits, limits.min() > SATURATES * scale)
    replace_nodes(model, [one for node in graph.nodes for one in (node, *after.get(node.name, []))])
    drop_unused_constants(model)
    return model


def with_other_names(
    model: onnx.ModelProto, factors: Mapping[str, list[float]]
) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Rename the tensors that hold other values than in the float network, so that nothing compares the two.

    Args:
        model: An equalized graph, which is left as it is.
        factors: The factors that it was made with.

    Returns:
        The graph, and the new name of each tensor.
    """
    model = copied(model)
    graph = graph_of(model)
    renamed: dict[str, str] = {}
    for name in factors:
        waiting = [name]
        while waiting:  # up to the layer that computes it
            tensor = waiting.pop()
            renamed[tensor] = f"{tensor}{SUFFIX}"
            node = graph.producer[tensor]
            waiting += [node.input[0]] if node.op_type != "Conv" else []
    for node in graph.nodes:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    kept = [value for value in model.graph.value_info if value.name not in renamed]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)
    return model, renamed


def _set(model: onnx.ModelProto, node: onnx.NodeProto, index: int, value: Array) -> None:
    """Give a node a constant of its own in the place of another."""
    from onnx import numpy_helper

    name = f"{node.input[index]}{SUFFIX}"
    names = {item.name for item in model.graph.initializer}
    while name in names:  # the weights of a layer between two such tensors change twice
        name += "_"
    model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
    node.input[index] = name


def _value(model: onnx.ModelProto, name: str) -> Array:
    from onnx import numpy_helper

    found = next(item for item in reversed(model.graph.initializer) if item.name == name)
    return np.asarray(numpy_helper.to_array(found))


def _scale_maker(model: onnx.ModelProto, graph: Graph, node: onnx.NodeProto, factors: Array) -> None:
    weight = _value(model, node.input[1])
    _set(model, node, 1, weight / factors.reshape(-1, *[1] * (weight.ndim - 1)))
    if len(node.input) > 2 and node.input[2]:
        _set(model, node, 2, _value(model, node.input[2]) / factors)


def _scale_reader(model: onnx.ModelProto, graph: Graph, node: onnx.NodeProto, factors: Array) -> None:
    weight = _value(model, node.input[1])
    if node.op_type == "ConvTranspose":
        spread = factors.reshape(-1, *[1] * (weight.ndim - 1))
    else:  # each group of output channels reads channels of its own
        groups = int(attribute(node, "group", 1))
        rows = np.repeat(factors.reshape(groups, -1), weight.shape[0] // groups, axis=0)
        spread = rows.reshape(*rows.shape, *[1] * (weight.ndim - 2))
    _set(model, node, 1, weight * spread)


def _rectify(model: onnx.ModelProto, clip: onnx.NodeProto, limits: Array, redundant: bool) -> list[onnx.NodeProto]:
    """Write a Clip as Relu, and return the Min that takes over its limits where the quantizer does not."""
    from onnx import helper, numpy_helper

    output = str(clip.output[0])
    clip.op_type = "Relu"
    del clip.input[1:]
    del clip.attribute[:]
    if redundant:
        return []
    name = f"{output}__limits"
    model.graph.initializer.append(numpy_helper.from_array(limits.astype(np.float32).reshape(1, -1, 1, 1), name))
    clip.output[0] = f"{output}__unlimited"
    return [helper.make_node("Min", [clip.output[0], name], [output], f"{clip.name}__min")]
