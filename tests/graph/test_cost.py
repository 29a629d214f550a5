"""Multiply-adds of a graph: what quantization and a free batch do not change, and what is not known."""

from __future__ import annotations

from types import ModuleType

from onnx import TensorProto, helper

from edgepose.graph.cost import multiply_adds, tensor_shapes
from edgepose.quantize.placement import place
from edgepose.quantize.qdq import insert_qdq


def by_hand() -> int:
    """`nets.pose_net` at 32x24: stem, expand, depthwise, project, deconvolution, head."""
    half = 16 * 12
    return half * (16 * 3 * 9 + 16 * 32 + 32 * 9 + 32 * 16 + 16 * 16 * 16) + 4 * half * 16 * 5


def test_by_hand(nets: ModuleType) -> None:
    assert multiply_adds(nets.pose_net()) == by_hand()
    assert multiply_adds(nets.pose_net(shape=(7, 3, *nets.SIZE))) == by_hand()  # of one image, whatever the batch


def test_int8_computes_as_much(nets: ModuleType) -> None:
    model = nets.pose_net()
    placement = place(model, nets.make_spec())
    quantized = insert_qdq(model, placement, dict.fromkeys(placement.reads, 0.1))
    assert any(node.op_type == "QuantizeLinear" for node in quantized.graph.node)
    assert multiply_adds(quantized) == by_hand()


def test_a_size_that_is_not_fixed_is_not_guessed(nets: ModuleType) -> None:
    assert multiply_adds(nets.pose_net(shape=("batch", 3, "h", "w"))) is None


def test_shapes_of_inputs_constants_and_what_is_between(nets: ModuleType) -> None:
    shapes = tensor_shapes(nets.pose_net())
    assert shapes["input"] == (None, 3, 32, 24)
    assert shapes["stem.w"] == (16, 3, 3, 3)
    assert shapes["deconv"] == (None, 16, 32, 24)


def test_a_product_of_two_activations() -> None:
    """[N, 6, 4] times [N, 4, 5]: 6 * 4 * 5 an image; a weight [4, 5] costs the same."""
    for right in ([None, 4, 5], [4, 5]):
        graph = helper.make_graph(
            [helper.make_node("MatMul", ["a", "b"], ["c"], "/product")],
            "product",
            [
                helper.make_tensor_value_info("a", TensorProto.FLOAT, ["batch", 6, 4]),
                helper.make_tensor_value_info("b", TensorProto.FLOAT, right),
            ],
            [helper.make_tensor_value_info("c", TensorProto.FLOAT, None)],
        )
        assert multiply_adds(helper.make_model(graph)) == 6 * 4 * 5
