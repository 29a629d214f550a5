"""Damage to ONNX files by one to three mutations; some of them must not change what a graph computes."""

from __future__ import annotations

from collections.abc import Callable

import onnx

from fuzzing import onnx_file, onnx_nodes, onnx_weights
from fuzzing.damage import Random, pick

Mutation = Callable[[onnx.ModelProto, Random], None]
MUTATIONS: tuple[Mutation, ...] = (
    onnx_nodes.drop_node, onnx_nodes.double_node, onnx_nodes.double_node_renamed, onnx_nodes.rename_node,
    onnx_nodes.rename_tensor, onnx_nodes.rename_tensor, onnx_nodes.rename_once, onnx_nodes.rewire,
    onnx_nodes.swap_inputs, onnx_nodes.change_input_count, onnx_nodes.change_output_count,
    onnx_nodes.change_operator, onnx_nodes.change_domain, onnx_nodes.reorder, onnx_nodes.drop_attribute,
    onnx_nodes.change_attribute, onnx_nodes.change_attribute, onnx_nodes.change_attribute_list,
    onnx_nodes.change_attribute_type, onnx_nodes.add_attribute, onnx_weights.change_weights,
    onnx_weights.change_weights, onnx_weights.scale_weights, onnx_weights.scale_channel,
    onnx_weights.change_dims, onnx_weights.change_weight_type, onnx_weights.convert_weight,
    onnx_weights.cut_weight, onnx_weights.drop_weight, onnx_weights.double_weight, onnx_weights.external_weight,
    onnx_weights.weight_is_input, onnx_weights.weight_behind_node, onnx_weights.weight_behind_node,
    onnx_weights.half_weight, onnx_nodes.insert_node, onnx_nodes.insert_node, onnx_nodes.through_half,
    onnx_nodes.in_branch, onnx_nodes.in_function, onnx_nodes.spread_channels, onnx_file.change_opset,
    onnx_file.change_ir, onnx_file.change_input_shape, onnx_file.change_port_type, onnx_file.change_ports,
    onnx_file.change_value_info, onnx_file.change_metadata,
)  # fmt: skip


def mutate(model: onnx.ModelProto, random: Random) -> str:
    """Damage a model in place by one to three mutations; return their names."""
    done: list[str] = []
    for _ in range(int(pick(random, [1, 1, 2, 3]))):
        if model.graph.node and model.graph.initializer:
            mutation = MUTATIONS[int(random.integers(len(MUTATIONS)))]
            try:
                mutation(model, random)
            except (ValueError, TypeError, IndexError, KeyError, OverflowError, onnx.checker.ValidationError):
                continue  # an earlier mutation left nothing that this one could change
            done.append(mutation.__name__)
    return "; ".join(done)
