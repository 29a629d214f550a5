"""The pass that adds the corrections of scales.json to the biases of the quantized layers.

`bias_correction.corrected` computes them for one placement. For another placement the means of the layers' outputs
differ, so the corrections are left out, with a note.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgepose._checks import Array
from edgepose._files import sha256_json
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.errors import CalibrationError
from edgepose.graph.lookup import Graph, copied, drop_unused_constants, graph_of, replace_nodes
from edgepose.graph.prepare import array_of, attribute
from edgepose.quantize.placement import Placement
from edgepose.quantize.qdq import weight_axis
from edgepose.quantize.work import Work

if TYPE_CHECKING:
    import onnx


class CorrectBias:
    """Add `scales.bias` to the biases of the quantized layers."""

    name: ClassVar[str] = "bias_correction"
    needs: ClassVar[tuple[str, ...]] = ()

    def applies(self, options: QuantizeOptions) -> bool:
        """Return whether the options ask for it."""
        return options.bias_correction

    def run(self, work: Work) -> Work:
        """Change the biases, or note why they stay as they are.

        Raises:
            CalibrationError: A correction has another length than the bias.
        """
        assert work.placement is not None, "placement runs first"
        if not work.scales.bias:
            return work
        if work.scales.bias_placement != placement_digest(work):
            line = (
                "the bias corrections in the scales were computed for another placement and are left out; calibrate "
                "again with the options that apply"
            )
            return replace(work, notes=(*work.notes, line))
        return replace(work, model=with_bias(work.model, work.scales.bias))


def placement_digest(work: Work) -> str:
    """Return the sha256 of everything but the images that bias corrections depend on.

    These are the quantized layers with the axis of their weight scales, the quantized tensors with their scales and
    readers, and the equalized tensors.
    """
    placement: Placement | None = work.placement
    assert placement is not None, "placement runs first"
    by_name = {node.name: node for node in graph_of(work.model).nodes}
    value = {
        "quantized": {name: weight_axis(by_name[name], work.options) for name in placement.quantized},
        "reads": {tensor: [list(reader) for reader in readers] for tensor, readers in placement.reads.items()},
        "scales": work.activation_scales,
        "equalization": work.scales.equalization,
    }
    return sha256_json(value)


def with_bias(model: onnx.ModelProto, added: dict[str, list[float]]) -> onnx.ModelProto:
    """Return the graph with numbers added to the biases of layers.

    A Conv, ConvTranspose or Gemm without a bias gets one. Behind a MatMul, the constant of the Add that reads it alone
    changes; where there is none, an Add is inserted. Tensors keep their names.

    Args:
        model: The prepared float graph, which is left as it is.
        added: Name of a node -> one number for each output channel.

    Raises:
        CalibrationError: A correction has another length than the bias.
    """
    model = copied(model)
    graph = graph_of(model)
    nodes: list[onnx.NodeProto] = []
    for node in graph.nodes:
        nodes.append(node)
        if node.name in added:
            nodes.extend(_add(model, graph, node, np.asarray(added[node.name], np.float32)))
    replace_nodes(model, nodes)
    drop_unused_constants(model)
    return model


def _add(model: onnx.ModelProto, graph: Graph, node: onnx.NodeProto, values: Array) -> list[onnx.NodeProto]:
    """Change the bias of a layer, and return the nodes that follow it."""
    from onnx import helper, numpy_helper

    name = f"{node.name}__bias"
    holder, index = bias_place(graph, node)
    old = array_of(graph, holder.input[index]) if holder is not None and index < len(holder.input) else None
    if old is not None and old.size not in (1, values.size):
        raise CalibrationError(
            f"the scales correct {values.size} channels of {node.name!r}, which has {old.size}; calibrate again"
        )
    flat = values if old is None else old.reshape(-1) + values / (attribute(node, "beta", 1.0) or 1.0)
    shape = (-1,) if old is None or old.size == 1 else old.shape
    model.graph.initializer.append(numpy_helper.from_array(flat.reshape(shape).astype(np.float32), name))
    if holder is None:  # a MatMul without Add
        output = str(node.output[0])
        node.output[0] = f"{output}__unbiased"
        return [helper.make_node("Add", [node.output[0], name], [output], f"{node.name}__add_bias")]
    if index < len(holder.input):
        holder.input[index] = name
    else:
        holder.input.append(name)
    return []


def bias_place(graph: Graph, node: onnx.NodeProto) -> tuple[onnx.NodeProto | None, int]:
    """Return the node and the input position that hold the bias of a layer, or None where an Add must be inserted."""
    if node.op_type != "MatMul":
        return node, 2
    reader = graph.only_reader(node.output[0])
    if reader is not None and reader.op_type == "Add":
        index = 1 - list(reader.input).index(node.output[0])
        constant = graph.constants.get(reader.input[index])
        if constant is not None and np.prod(constant.dims) in (1, constant.dims[-1] if constant.dims else 1):
            return reader, index
    return None, 0
