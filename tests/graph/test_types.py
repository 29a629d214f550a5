"""The types of tensors: inferred where possible, as the graph states them elsewhere."""

from __future__ import annotations

from foreign_graphs import GRAPHS, network, value
from nets import Net
from onnx import TensorProto, helper

from edgepose.graph.types import drop_inferred_types, tensor_types


def test_shape_arithmetic_is_no_float() -> None:
    types = tensor_types(GRAPHS["shapes_by_arithmetic"]())
    assert types["same"] == TensorProto.INT64
    assert types["mixed"] == types["input"] == types["stem.w"] == TensorProto.FLOAT


def test_the_graph_says_what_inference_cannot_know() -> None:
    def middle(net: Net, x: str) -> str:
        net.nodes.append(helper.make_node("Odd", [x], ["odd"], "odd", domain="acme"))
        return net.op("Relu", ["odd"], "behind")

    model = network(middle, domains=("acme",))
    assert "behind" not in tensor_types(model)
    model.graph.value_info.append(value("odd"))
    model.graph.value_info.append(value("stem_relu", TensorProto.INT64))  # a wrong statement
    types = tensor_types(model)
    assert types["odd"] == types["behind"] == types["stem_relu"] == TensorProto.FLOAT
    assert [item.name for item in drop_inferred_types(model).graph.value_info] == ["odd"]


def test_a_node_that_is_wrong_does_not_stop_inference() -> None:
    model = network(lambda net, x: net.op("Concat", [x, net.constant("one", [1.0])], "joined", axis=1))
    assert tensor_types(model)["input"] == TensorProto.FLOAT
