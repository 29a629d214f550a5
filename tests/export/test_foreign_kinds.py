"""Kinds of foreign graphs: what enters computes what its file computes in plain ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from foreign_graphs import GRAPHS, body, function, loop_body, network, plain, value
from onnx import TensorProto, helper, numpy_helper

from edgepose.errors import ModelError
from edgepose.export.foreign import import_onnx
from edgepose.graph.importing import PASSES
from edgepose.quantize.placement import place

TABLE: dict[str, Any] = {
    "name": "foreign",
    "skeleton": "lsp14",
    "codec": {"type": "heatmap"},
    "input": {"size": [32, 24]},
    "outputs": ["heatmaps"],
}
# layers that int8 quantizes where there are more than the two of the plain network
QUANTIZED = {
    "weight_norm": 3,
    "weight_behind_reshape": 3,
    "weight_of_a_product": 3,
    "weight_behind_dequantize": 3,
    "weight_sparse": 3,
    "loop_with_outer_weight_and_collected_values": 5,
    "function_in_a_function": 4,
    "shapes_by_arithmetic": 3,
    "convolution_that_a_branch_reads_before_its_norm": 3,
}


def run(source: Path | bytes, images: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    data = source if isinstance(source, bytes) else str(source)
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    port = session.get_inputs()[0]
    kind = np.float16 if port.type == "tensor(float16)" else np.float32
    found = [session.run(["heatmaps"], {port.name: image[None].astype(kind)})[0] for image in images]
    return np.concatenate(found)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(9).normal(size=(3, 3, 32, 24)).astype(np.float32)


@pytest.mark.parametrize("name", GRAPHS)
def test_an_import_computes_what_its_file_computes(name: str, tmp_path: Path, images: np.ndarray) -> None:
    onnx.save(GRAPHS[name](), tmp_path / "net.onnx")
    model, spec = import_onnx(tmp_path / "net.onnx", TABLE)
    expected = run(tmp_path / "net.onnx", images)
    tolerance = 2e-2 if name == "float16_everywhere" else 1e-4
    np.testing.assert_allclose(
        run(model.SerializeToString(), images), expected, atol=tolerance * np.abs(expected).max()
    )
    assert len(place(model, spec).quantized) == QUANTIZED.get(name, 2)
    assert not model.functions


def with_constant(name: str, values: np.ndarray) -> onnx.ModelProto:
    model = plain()
    for tensor in model.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(numpy_helper.from_array(values, name))
    return model


def renamed_twice() -> onnx.ModelProto:
    return network(lambda net, x: [net.op("Relu", [x], "same"), net.op("Neg", [x], "same")][1])


def with_cycle() -> onnx.ModelProto:
    return network(lambda net, x: net.op("Relu", [net.op("Add", [x, "later"], "sooner")], "later"))


def recursive() -> onnx.ModelProto:
    def middle(net: Any, x: str) -> str:
        net.nodes.append(helper.make_node("F", [x], ["called"], "call", domain="my"))
        return "called"

    model = network(middle, domains=("my",))
    model.functions.append(function("F", [helper.make_node("F", ["a"], ["out"], domain="my")], ["a"]))
    return model


def of(**fields: int) -> onnx.ModelProto:
    model = plain()
    if "opset" in fields:
        model.opset_import[0].version = fields["opset"]
    if "ir" in fields:
        model.ir_version = fields["ir"]
    return model


def damaged() -> onnx.ModelProto:
    model = plain()
    model.graph.initializer[0].dims[0] = 5
    return model


def quantized() -> onnx.ModelProto:
    def middle(net: Any, x: str) -> str:
        names = [net.constant("scale", np.float32(0.1)), net.constant("zero", np.int8(0))]
        return str(net.op("DequantizeLinear", [net.op("QuantizeLinear", [x, *names], "q"), *names], "dq"))

    return network(middle)


def unknown_operator() -> onnx.ModelProto:
    model = network(lambda net, x: net.op("Foo", [x], "odd"))
    next(node for node in model.graph.node if node.op_type == "Foo").domain = "my.domain"
    model.opset_import.append(helper.make_opsetid("my.domain", 1))
    return model


def negative_variance() -> onnx.ModelProto:
    def middle(net: Any, x: str) -> str:
        x = net.norm(net.conv(x, "odd", 16, 16), "norm", 16)
        net.constants[-1].CopyFrom(numpy_helper.from_array(np.full(16, -1, np.float32), net.constants[-1].name))
        return x

    return network(middle)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (with_constant("second.b", np.full(16, np.inf, np.float32)), r"'second\.b' \[16\] of node '/second' \(Conv\)"),
        (with_constant("second.b", np.full(16, np.nan, np.float32)), r"has 16 values that are not finite \(NaN\)"),
        (renamed_twice(), "computes tensor 'same' twice"),
        (with_cycle(), r"has a cycle \(among the nodes '/sooner' \(Add\), '/later'"),
        (recursive(), "local functions F call themselves"),
        (of(opset=99), "has opset 99; the installed onnx knows"),
        (of(opset=5), "has opset 5; export it again with opset 7"),
        (of(ir=99), "ir_version 99 is higher"),
        (damaged(), r"the values of 'stem\.w' do not fit its type 1 and its dimensions \[5, 3, 3, 3\]"),
        (quantized(), r"quantized already \(node '/q' is QuantizeLinear\)"),
        (unknown_operator(), "Foo.*has no such operator: export the network with standard operators"),
        (negative_variance(), "output 'heatmaps' is not finite"),
        (
            network(lambda net, x: net.op("Add", [x, net.op("RandomNormalLike", [x], "noise")], "sum")),
            r"'/noise' \(RandomNormalLike\) draws random numbers; export the network in evaluation mode",
        ),
        (network(lambda net, x: net.op("Foo", [x], "odd")), "No Op registered for Foo"),
    ],
)
def test_what_cannot_be_right_is_refused_on_one_line(model: onnx.ModelProto, message: str, tmp_path: Path) -> None:
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(ModelError, match=message) as caught:
        import_onnx(tmp_path / "net.onnx", TABLE)
    assert "\n" not in str(caught.value)
    assert "net.onnx" in str(caught.value)


def test_every_truncation_is_refused_on_one_line(tmp_path: Path) -> None:
    content = plain().SerializeToString()
    for length in range(0, len(content), len(content) // 20):
        (tmp_path / "net.onnx").write_bytes(content[:length])
        with pytest.raises(ModelError, match=r"net\.onnx") as caught:
            import_onnx(tmp_path / "net.onnx", TABLE)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["same names", "wrong type"])
def test_a_file_that_onnx_runtime_refuses_for_what_it_states(kind: str, tmp_path: Path) -> None:
    """The names of nodes and the types of inner tensors do not matter; the rest is compared as always."""
    model, notes = plain(), list[str]()
    if kind == "same names":
        for node in model.graph.node:
            node.name = "same"
    else:
        model.graph.value_info.append(value("stem_relu", TensorProto.INT64))
    onnx.save(model, tmp_path / "net.onnx")
    import_onnx(tmp_path / "net.onnx", TABLE, notes.append)
    assert not notes


@pytest.mark.parametrize("kind", [TensorProto.DOUBLE, TensorProto.BFLOAT16])
def test_other_floats_become_float32_and_what_was_not_compared_is_said(kind: int, tmp_path: Path) -> None:
    """ONNX Runtime has no such convolution on CPUs."""

    def middle(net: Any, x: str) -> str:
        inputs = [net.op("Cast", [name], f"{name}_other", to=kind) for name in (x, net.weights("w", 16, 16, 3, 3))]
        return str(net.op("Cast", [net.op("Conv", inputs, "odd", pads=[1] * 4)], "back", to=TensorProto.FLOAT))

    notes: list[str] = []
    onnx.save(network(middle, opset=22, ir=10), tmp_path / "net.onnx")
    model, spec = import_onnx(tmp_path / "net.onnx", TABLE, notes.append)
    name = "float64" if kind == TensorProto.DOUBLE else "bfloat16"
    assert any(f"this graph is {name} inside; it was converted to float32" in line for line in notes)
    assert any("not compared with the file: ONNX Runtime cannot load" in line for line in notes)
    assert len(place(model, spec).quantized) == 3


def test_a_pass_that_changes_results_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass that is wrong on purpose stands in for one that meets a graph its author did not think of."""
    wrong = [step for step in PASSES if step.name != "casts"]

    def scale_weights(model: onnx.ModelProto) -> tuple[onnx.ModelProto, tuple[str, ...]]:
        if any(item.key == "done" for item in model.metadata_props):
            return model, ()
        made = onnx.ModelProto.FromString(model.SerializeToString())
        made.metadata_props.add(key="done", value="")
        tensor = made.graph.initializer[0]
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 2, tensor.name))
        return made, ("weights",)

    broken = type(PASSES[0])(name="casts", run=scale_weights, describe=lambda names: "weights were scaled")
    monkeypatch.setattr("edgepose.graph.importing.PASSES", (*wrong, broken))
    notes: list[str] = []
    onnx.save(plain(), tmp_path / "net.onnx")
    import_onnx(tmp_path / "net.onnx", TABLE, notes.append)
    assert [line.partition("net.onnx: ")[2] for line in notes] == ["left out, since results would depart: casts"]


def test_a_loop_that_never_ends_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def middle(net: Any, x: str) -> str:
        net.constant("true", np.array(True))
        inner = loop_body([helper.make_node("Identity", ["state"], ["next"])], ["next"])
        return str(net.op("Loop", ["", "true", x], "endless", body=inner))

    monkeypatch.setattr("edgepose.graph.evaluate.LIMIT_S", 0.3)
    onnx.save(network(middle), tmp_path / "net.onnx")
    with pytest.raises(ModelError, match=r"net\.onnx: the graph did not end within 0\.3 s on one image"):
        import_onnx(tmp_path / "net.onnx", TABLE)


def test_names_in_bodies_count_as_read() -> None:
    from edgepose.graph.lookup import graph_of

    model = GRAPHS["if_by_the_image"]()
    readers = graph_of(model).readers
    assert [(node.op_type, index) for node, index in readers["inside"]] == [("If", -1)]
    assert graph_of(model).only_reader("second_relu") is None
    inner = body([helper.make_node("Relu", ["own"], ["out"])], ["out"], (value("own"),))
    assert "own" not in graph_of(helper.make_model(inner)).producer
