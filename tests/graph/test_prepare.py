from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgepose.errors import ModelError
from edgepose.graph.lookup import default_opset, load_onnx
from edgepose.graph.prepare import (
    constants_leave_inputs,
    constants_to_initializers,
    fold_batch_norm,
    name_nodes,
    prepare,
    upgrade_opset,
)


def kinds(model):
    return [node.op_type for node in model.graph.node]


def check_pure(step, model):
    """The pass leaves its argument alone, and a second time changes nothing."""
    before = model.SerializeToString()
    once = step(model)
    assert model.SerializeToString() == before
    assert step(once).SerializeToString() == once.SerializeToString()
    return once


@pytest.mark.parametrize("kind", ["conv", "grouped", "deconv", "grouped deconv"])
def test_folded_batch_norm_computes_the_same(nets, kind):
    net = nets.Net()
    if kind in ("conv", "grouped"):
        x, channels = net.conv("input", "c", 3, 6, 3, group=3 if kind == "grouped" else 1), 6
    elif kind == "deconv":
        x, channels = net.deconv("input", "c", 3, 4), 4
    else:
        x, channels = net.op("ConvTranspose", ["input", net.weights("w", 3, 2, 2, 2)], "c", group=3), 6
    net.norm(x, "heatmaps", channels)
    model = net.model()
    folded = check_pure(fold_batch_norm, model)
    images = nets.Photographs(4).images
    assert len(kinds(folded)) == 1
    np.testing.assert_allclose(nets.run(folded, images)[0], nets.run(model, images)[0], rtol=1e-4, atol=1e-5)


def test_batch_norm_stays_where_the_convolution_is_read_elsewhere(nets):
    net = nets.Net()
    x = net.conv("input", "c", 3, 4)
    net.op("Add", [net.norm(x, "n", 4), x], "heatmaps")
    assert "BatchNormalization" in kinds(fold_batch_norm(net.model()))


def test_constants_become_initializers(nets):
    net = nets.Net()
    net.constant("w", np.ones((2, 3, 1, 1), np.float32))
    net.op("Identity", ["w"], "shared")
    net.op("Constant", [], "low", value=numpy_helper.from_array(np.float32(0.0)))
    net.op("Constant", [], "high", value_float=6.0)
    net.op("Clip", [net.op("Conv", ["input", "shared"], "c"), "low", "high"], "heatmaps")
    model = net.model()
    made = check_pure(constants_to_initializers, model)
    assert kinds(made) == ["Conv", "Clip"]
    assert {tensor.name for tensor in made.graph.initializer} == {"shared", "low", "high"}
    images = nets.Photographs(4).images
    np.testing.assert_array_equal(nets.run(made, images)[0], nets.run(model, images)[0])


def test_every_node_gets_a_name_of_its_own(nets):
    model = nets.pose_net()
    for node, name in zip(model.graph.node, ["", "", "twice", "twice"], strict=False):
        node.name = name
    names = [node.name for node in check_pure(name_nodes, model).graph.node]
    assert all(names) and len(set(names)) == len(names)


def test_initializers_leave_the_inputs(nets):
    model = nets.pose_net()
    model.graph.input.append(helper.make_tensor_value_info("stem.w", TensorProto.FLOAT, [16, 3, 3, 3]))
    assert [value.name for value in check_pure(constants_leave_inputs, model).graph.input] == ["input"]


def old_net(nets) -> onnx.ModelProto:
    """Opset 9, as exporters of 2019 wrote it: Upsample with scales, Clip with attributes, metadata."""
    net = nets.Net()
    x = net.op("Clip", [net.conv("input", "stem", 3, 4, 3)], "six", min=0.0, max=6.0)
    up = net.op("Upsample", [x, net.constant("up", np.array([1, 1, 2, 2], np.float32))], "larger", mode="nearest")
    net.conv(net.conv(up, "middle", 4, 4), "heatmaps", 4, 2)
    model = net.model(opset=9)
    model.ir_version = 4
    model.metadata_props.add(key="edgepose.spec", value="{}")
    return model


def test_old_opsets_are_brought_up(nets):
    model = old_net(nets)
    made = upgrade_opset(model)
    onnx.checker.check_model(made)
    assert default_opset(made) == 13 and made.metadata_props[0].key == "edgepose.spec"
    images = nets.Photographs(4).images
    np.testing.assert_allclose(nets.run(prepare(made), images)[0], nets.run(model, images)[0], rtol=1e-5)


def test_prepare_is_idempotent(nets):
    check_pure(prepare, nets.pose_net())


def test_a_quantized_graph_is_refused(nets):
    net = nets.Net()
    scale, zero = net.constant("s", np.float32(1)), net.constant("z", np.int8(0))
    net.op("DequantizeLinear", [net.op("QuantizeLinear", ["input", scale, zero], "q"), scale, zero], "heatmaps")
    with pytest.raises(ModelError, match=r"quantized already.*start from the float ONNX"):
        prepare(net.model())


def test_damaged_files_are_named(tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"\xff\xd8 not an onnx file")
    (tmp_path / "empty.onnx").write_bytes(b"")
    for name, words in [("bad", "no ONNX file"), ("empty", "no network"), ("none", "cannot read")]:
        with pytest.raises(ModelError, match=f"{name}.onnx.*{words}|{words}.*{name}.onnx"):
            load_onnx(tmp_path / f"{name}.onnx")
