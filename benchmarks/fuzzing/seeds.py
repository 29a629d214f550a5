"""The sound inputs that are damaged: small networks with their contracts, pictures, and a clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = (32, 24)
JOINTS = 14
CONTRACT: dict[str, Any] = {
    "name": "net", "skeleton": "lsp14", "input": {"size": list(SIZE), "mean": [0, 0, 0], "std": [255, 255, 255]},
}  # fmt: skip


class Net:
    """Builds an ONNX graph a node at a time; every weight is drawn from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def op(self, kind: str, inputs: list[str], name: str, outputs: int = 1, **attributes: Any) -> str:
        names = [name] if outputs == 1 else [f"{name}.{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, f"/{name}", **attributes))
        return names[0]

    def weights(self, name: str, *shape: int) -> str:
        spread = (2 / int(np.prod(shape[1:]))) ** 0.5
        return self.constant(name, self.random.normal(0, spread, shape).astype(np.float32))

    def conv(self, x: str, name: str, i: int, o: int, k: int = 3, stride: int = 1, group: int = 1) -> str:
        weight = self.weights(f"{name}.w", o, i // group, k, k)
        bias = self.constant(f"{name}.b", self.random.normal(0, 0.1, o).astype(np.float32))
        return self.op("Conv", [x, weight, bias], name, strides=[stride] * 2, pads=[k // 2] * 4, group=group)

    def norm(self, x: str, name: str, channels: int) -> str:
        values = [self.random.uniform(0.5, 1.5, channels).astype(np.float32) for _ in range(4)]
        parts = [self.constant(f"{name}.{i}", value) for i, value in enumerate(values)]
        return self.op("BatchNormalization", [x, *parts], name)

    def linear(self, x: str, name: str, i: int, o: int) -> str:
        weight = self.weights(f"{name}.w", i, o)
        return self.op("Gemm", [x, weight, self.constant(f"{name}.b", np.zeros(o, np.float32))], name)

    def model(self, outputs: list[str], opset: int = 17, shape: Any = ("batch", 3, *SIZE)) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, list(shape))],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        return onnx.shape_inference.infer_shapes(model)


def plain() -> onnx.ModelProto:
    """Return a stem, a residual block with ReLU6, a transposed convolution with batch normalization, and a head."""
    net = Net(0)
    limits = [net.constant("low", np.float32(0)), net.constant("high", np.float32(6))]
    x = net.op("Clip", [net.conv("input", "stem", 3, 8, stride=2), *limits], "stem6")
    y = net.op("Clip", [net.conv(x, "depthwise", 8, 8, group=8), *limits], "depthwise6")
    y = net.op("Add", [x, net.conv(y, "project", 8, 8, 1)], "add")
    y = net.op("ConvTranspose", [y, net.weights("up.w", 8, 8, 4, 4)], "up", strides=[2, 2], pads=[1, 1, 1, 1])
    net.conv(net.op("Relu", [net.norm(y, "norm", 8)], "relu"), "heatmaps", 8, JOINTS, 1)
    return net.model(["heatmaps"])


def resized() -> onnx.ModelProto:
    """Return two branches that meet by a Resize and a Concat, with batch normalization behind a convolution."""
    net = Net(1)
    x = net.op("Relu", [net.norm(net.conv("input", "stem", 3, 8), "norm", 8)], "relu")
    y = net.op("MaxPool", [x], "pool", kernel_shape=[2, 2], strides=[2, 2])
    y = net.op("HardSwish", [net.conv(y, "low", 8, 8)], "swish")
    scales = net.constant("scales", np.array([1, 1, 2, 2], np.float32))
    y = net.op("Resize", [y, "", scales], "resize", mode="linear", coordinate_transformation_mode="half_pixel")
    net.conv(net.op("Concat", [x, y], "concat", axis=1), "heatmaps", 16, JOINTS, 1)
    return net.model(["heatmaps"])


def attention() -> onnx.ModelProto:
    """Return a graph with MatMul, Softmax, LayerNormalization and shape arithmetic."""
    net = Net(2)
    x = net.conv("input", "stem", 3, 8, stride=2)
    shape = net.op("Shape", [x], "shape")
    batch = net.op("Gather", [shape, net.constant("first", np.array([0], np.int64))], "batch")
    rest = net.constant("rest", np.array([8, -1], np.int64))
    flat = net.op("Reshape", [x, net.op("Concat", [batch, rest], "flat.shape", axis=0)], "flat")
    tokens = net.op("Transpose", [flat], "tokens", perm=[0, 2, 1])
    ones = [net.constant("gamma", np.ones(8, np.float32)), net.constant("beta", np.zeros(8, np.float32))]
    normed = net.op("LayerNormalization", [tokens, *ones], "normed", axis=-1)
    q, k, v = (net.op("MatMul", [normed, net.weights(f"{name}.w", 8, 8)], name) for name in "qkv")
    scores = net.op("MatMul", [q, net.op("Transpose", [k], "k.t", perm=[0, 2, 1])], "scores")
    mixed = net.op("MatMul", [net.op("Softmax", [scores], "softmax", axis=-1), v], "mixed")
    back = net.op("Transpose", [net.op("Add", [tokens, mixed], "residual")], "back", perm=[0, 2, 1])
    net.conv(net.op("Reshape", [back, shape], "image"), "heatmaps", 8, JOINTS, 1)
    return net.model(["heatmaps"])


def simcc() -> onnx.ModelProto:
    """Return a graph with two outputs of bins."""
    net = Net(3)
    x = net.op("Sigmoid", [net.conv("input", "stem", 3, JOINTS, stride=2)], "sigmoid")
    flat = net.op("Reshape", [x, net.constant("flat.shape", np.array([0, JOINTS, -1], np.int64))], "flat")
    for name, bins in (("simcc_x", 2 * SIZE[1]), ("simcc_y", 2 * SIZE[0])):
        net.op("MatMul", [flat, net.weights(f"{name}.w", SIZE[0] * SIZE[1] // 4, bins)], name)
    return net.model(["simcc_x", "simcc_y"])


def regression() -> onnx.ModelProto:
    """Return a graph that ends in coordinates."""
    net = Net(4)
    x = net.op("LeakyRelu", [net.conv("input", "stem", 3, 16, stride=2)], "leaky", alpha=0.1)
    x = net.op("GlobalAveragePool", [x], "pool")
    x = net.linear(net.op("Flatten", [x], "flatten"), "hidden", 16, 16)
    x = net.linear(net.op("Tanh", [x], "tanh"), "coordinates", 16, 2 * JOINTS)
    shape = net.constant("joints.shape", np.array([-1, JOINTS, 2], np.int64))
    net.op("Reshape", [net.op("Sigmoid", [x], "unit"), shape], "joints")
    return net.model(["joints"])


NETWORKS: dict[str, tuple[Any, dict[str, Any]]] = {
    "plain": (plain, CONTRACT),
    "resized": (resized, CONTRACT),
    "attention": (attention, CONTRACT),
    "simcc": (simcc, {**CONTRACT, "codec": {"type": "simcc"}, "outputs": ["simcc_x", "simcc_y"]}),
    "regression": (regression, {**CONTRACT, "codec": {"type": "regression", "range": "unit"}}),
}


def picture(random: np.random.Generator, size: tuple[int, int] = (64, 48)) -> Any:
    """Return a smooth random picture, [H, W, 3] uint8 BGR."""
    small = random.integers(0, 255, (size[0] // 8, size[1] // 8, 3), np.uint8)
    return cv2.resize(small, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)


def write_pictures(folder: Path, count: int = 32) -> Path:
    """Write a folder of pictures to calibrate on."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for i in range(count):
        cv2.imwrite(str(folder / f"{i:03d}.png"), picture(random))
    return folder
