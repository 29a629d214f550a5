"""Joined int8 activations in OpenVINO: unsigned integers that stand for the same numbers, and right results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from int8_arithmetic import MOST, Rounding, computing_in, exact_here, run
from nets import Net
from onnx import TensorProto, helper, numpy_helper

from edgepose.backends import openvino
from edgepose.backends.declaration import BuildOptions
from edgepose.backends.inner import OpenVinoInner
from edgepose.backends.unsigned import with_unsigned_joins

CHANNELS, SIZE = 8, 12
STEP = 0.16  # far from 1, which is the step that OpenVINO takes where it loses the scale


class Graph(Net):
    """Builds a Q/DQ graph of one input [N, 8, 12, 12] a node at a time."""

    def silu(self, x: str, name: str) -> str:
        return self.op("Mul", [x, self.op("Sigmoid", [x], f"{name}_sigmoid")], name)

    def pair(self, x: str, step: float = STEP) -> str:
        shared = [self.constant(f"{x}__scale", np.float32(step)), self.constant(f"{x}__zero", np.int8(0))]
        middle = self.op("QuantizeLinear", [x, *shared], f"{x}__int8")
        return self.op("DequantizeLinear", [middle, *shared], f"{x}__dequantized")

    def int8_conv(self, x: str, name: str, inputs: int, outputs: int, k: int = 1) -> str:
        levels = self.random.integers(-127, 128, (outputs, inputs, k, k)).astype(np.int8)
        weight = [
            self.constant(f"{name}.w__int8", levels),
            self.constant(f"{name}.w__scale", self.random.uniform(0.002, 0.004, outputs).astype(np.float32)),
            self.constant(f"{name}.w__zero", np.zeros(outputs, np.int8)),
        ]
        weight = [self.op("DequantizeLinear", weight, f"{name}.w", axis=0)]
        bias = self.constant(f"{name}.b", self.random.normal(0, 1, outputs).astype(np.float32))
        return self.op("Conv", [x, *weight, bias], name, pads=[k // 2] * 4)

    def joins(self, output: str) -> onnx.ModelProto:
        return self.model(output, ("batch", CHANNELS, SIZE, SIZE), opset=13)


def joined(kind: str) -> onnx.ModelProto:
    """A block of a network with SiLU, whose joined activations go through one pair into a convolution."""
    net, half = Graph(), CHANNELS // 2
    x = net.silu("input", "act")
    if kind == "cross stage":  # C2f and C3k2 of YOLOv8 and YOLO11: Split, a bottleneck with a residual sum, Concat
        sizes = net.constant("sizes", np.array([half, half]))
        net.nodes.append(helper.make_node("Split", [x, sizes], ["left", "right"], "/split", axis=1))
        right = net.pair("right")
        y = net.pair(net.silu(net.int8_conv(right, "inner", half, half, 3), "inner_act"), 0.1)
        parts, channels = ["left", right, net.op("Add", [right, y], "sum")], 3 * half
    elif kind == "pooling":  # SPPF
        x = net.pair(x)
        first = net.op("MaxPool", [x], "pool1", kernel_shape=[5, 5], pads=[2] * 4)
        second = net.op("MaxPool", [first], "pool2", kernel_shape=[5, 5], pads=[2] * 4)
        parts, channels = [x, first, second], 3 * CHANNELS
    elif kind == "pyramid":  # an upsampled map beside one that another layer reads too, with a scale of its own
        scales = net.constant("scales", np.array([1, 1, 2, 2], np.float32))
        small = net.op("AveragePool", [x], "small", kernel_shape=[2, 2], strides=[2, 2])
        large = net.op("Resize", [net.pair(small), "", scales], "large", mode="nearest")
        parts, channels = [large, net.pair(x, STEP / 1.5)], 2 * CHANNELS
    elif kind == "average":  # pooled maps of one pair
        x = net.pair(x)
        first = net.op("AveragePool", [x], "pool1", kernel_shape=[3, 3], pads=[1] * 4)
        parts, channels = [x, first], 2 * CHANNELS
    elif kind == "shuffle":  # ShuffleNet: the joined channels change places, and half of them go on
        y = net.op("Concat", [net.pair(x), net.op("Neg", [x], "other")], "joined", axis=1)
        shapes = [[0, 2, CHANNELS, SIZE, SIZE], [0, 2 * CHANNELS, SIZE, SIZE]]
        first, second = (net.constant(f"shape{i}", np.array(shape)) for i, shape in enumerate(shapes))
        y = net.op("Transpose", [net.op("Reshape", [y, first], "grouped")], "swapped", perm=[0, 2, 1, 3, 4])
        y = net.op("Reshape", [y, second], "shuffled")
        sizes = net.constant("sizes", np.array([CHANNELS, CHANNELS]))
        net.nodes.append(helper.make_node("Split", [y, sizes], ["left", "right"], "/split", axis=1))
        return net.joins(net.int8_conv(net.pair("right"), "last", CHANNELS, 6))
    else:  # two branches that were never quantized
        parts, channels = [x, net.op("Neg", [x], "other")], 2 * CHANNELS
    y = net.int8_conv(net.pair(net.op("Concat", parts, "join", axis=1)), "last", channels, 6)
    return net.joins(y)


KINDS = {
    "cross stage": 2,
    "pooling": 2,
    "pyramid": 3,
    "average": 2,
    "shuffle": 2,
    "float branches": 1,
}  # -> pairs at joins


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with float16 activations, scales and biases, between a cast of its input and one of its output."""
    graph = model.graph
    for item in graph.initializer:
        if item.data_type == TensorProto.FLOAT and item.name != "scales":
            item.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(item).astype(np.float16), item.name))
    last = graph.output[0].name
    for node in graph.node:
        node.input[:] = ["half" if name == "input" else name for name in node.input]
        node.output[:] = ["half_last" if name == last else name for name in node.output]
    graph.node.insert(0, helper.make_node("Cast", ["input"], ["half"], to=TensorProto.FLOAT16))
    graph.node.append(helper.make_node("Cast", ["half_last"], [last], to=TensorProto.FLOAT))
    del graph.value_info[:]
    model.opset_import[0].version = 19  # the first with float16 scales
    onnx.checker.check_model(model)
    return model


@pytest.fixture
def feed() -> dict[str, np.ndarray]:
    return {"input": np.random.default_rng(1).normal(0, 4, (5, CHANNELS, SIZE, SIZE)).astype(np.float32)}


@pytest.mark.parametrize("kind", KINDS)
def test_joined_activations_are_what_the_graph_says(
    kind: str, feed: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computing_in("integer", monkeypatch)
    model = exact_here(joined(kind), "integer")
    assert max(Rounding(model, feed).ratios(run("openvino", model, feed, tmp_path / "engine"))) < MOST


@pytest.mark.parametrize("kind", KINDS)
def test_rewritten_pairs_stand_for_the_same_numbers(kind: str, feed: dict[str, np.ndarray], tmp_path: Path) -> None:
    """Computed in float, both forms agree to the last bits; the pairs left alone are those of no Concat."""
    ov = pytest.importorskip("openvino")
    core = ov.Core()
    onnx.save(joined(kind), tmp_path / "graph.onnx")
    before, after = (core.read_model(tmp_path / "graph.onnx") for _ in range(2))
    assert with_unsigned_joins(ov, after) == KINDS[kind]
    assert with_unsigned_joins(ov, after) == 0, "a pair that is unsigned already is left as it is"
    options = {"LP_TRANSFORMS_MODE": "NO", "INFERENCE_PRECISION_HINT": "f32"}
    found = [core.compile_model(model, "CPU", options)(feed)[0] for model in (before, after)]
    np.testing.assert_allclose(found[1], found[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_joins_with_float16_scales_are_what_the_graph_says(
    kind: str, feed: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """Float16 activations have steps of 2^-10 of their value: ONNX Runtime and OpenVINO agree to 40 dB and better."""
    ort = pytest.importorskip("onnxruntime")
    ov = pytest.importorskip("openvino")
    path = tmp_path / "graph.onnx"
    onnx.save(halved(joined(kind)), path)
    expected = ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, feed)[0]
    core = ov.Core()
    model = core.read_model(path)
    assert with_unsigned_joins(ov, model) == KINDS[kind]
    found = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(feed)[0]
    noise = np.square(expected - found).sum() / np.square(expected).sum()
    assert 10 * np.log10(noise) < -40  # with signed joins it is -20 to -30 dB on a CPU with VNNI


def test_a_graph_without_joins_is_left_as_it_is(tmp_path: Path) -> None:
    ov = pytest.importorskip("openvino")
    net = Graph()
    onnx.save(
        net.joins(net.int8_conv(net.pair(net.silu("input", "act")), "last", CHANNELS, 6)), tmp_path / "graph.onnx"
    )
    assert with_unsigned_joins(ov, ov.Core().read_model(tmp_path / "graph.onnx")) == 0


@pytest.mark.parametrize(
    ("x86", "saturates", "signed"), [(True, False, False), (True, True, True), (False, False, True)]
)
def test_joins_stay_signed_where_they_are_computed_rightly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, x86: bool, saturates: bool, signed: bool
) -> None:
    ov = pytest.importorskip("openvino")
    monkeypatch.setattr(openvino, "is_x86", lambda: x86)
    monkeypatch.setattr(openvino, "int8_saturates", lambda: saturates)
    onnx.save(joined("pooling"), tmp_path / "graph.onnx")
    model = openvino.read_network(ov.Core(), tmp_path / "graph.onnx")
    kinds = {node.get_element_type().get_type_name() for node in model.get_ops() if node.get_type_name() == "Convert"}
    assert ("u8" not in kinds) == signed


def test_inner_tensors_are_those_of_the_engine(
    feed: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `diagnose` reads is what the session computes, so it does not blame a layer that is right."""
    pytest.importorskip("openvino")
    computing_in("integer", monkeypatch)
    model = exact_here(joined("cross stage"), "integer")
    onnx.save(model, tmp_path / "graph.onnx")
    openvino.build(tmp_path / "graph.onnx", tmp_path, BuildOptions(precision="int8"))
    inner = OpenVinoInner(tmp_path / "model.xml").run(["last"], feed["input"])["last"]
    assert max(Rounding(model, feed).ratios([np.concatenate(inner)])) < MOST
