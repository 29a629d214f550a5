"""Networks of several architectures in which one layer is corrupted, for tests that look for that layer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from nets import SIZE, Net
from onnx import numpy_helper

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def chain(seed: int) -> onnx.ModelProto:
    """Plain convolutions."""
    net, x, channels = Net(seed), "input", 3
    for index in range(6):
        x = net.op("Relu", [net.conv(x, f"conv{index}", channels, 12, 3, stride=2 if index == 1 else 1)], f"act{index}")
        channels = 12
    net.conv(x, "heatmaps", 12, 14)
    return net.model()


def residual(seed: int) -> onnx.ModelProto:
    """Residual blocks with batch normalization."""
    net = Net(seed)
    x = net.op("Relu", [net.conv("input", "stem", 3, 16, 3, stride=2)], "stem_act")
    for index in range(3):
        y = net.norm(net.conv(x, f"a{index}", 16, 16, 3), f"norm{index}", 16)
        y = net.conv(net.op("Relu", [y], f"act{index}"), f"b{index}", 16, 16, 3)
        x = net.op("Relu", [net.op("Add", [x, y], f"add{index}")], f"out{index}")
    net.conv(x, "heatmaps", 16, 14)
    return net.model()


def deconvolution(seed: int) -> onnx.ModelProto:
    """Down by convolutions, up by deconvolutions."""
    net = Net(seed)
    x = net.op("Relu", [net.conv("input", "down0", 3, 8, 3, stride=2)], "act0")
    x = net.op("Relu", [net.conv(x, "down1", 8, 16, 3, stride=2)], "act1")
    x = net.op("Relu", [net.norm(net.deconv(x, "up0", 16, 12), "norm0", 12)], "act2")
    x = net.op("Relu", [net.norm(net.deconv(x, "up1", 12, 8), "norm1", 8)], "act3")
    net.conv(x, "heatmaps", 8, 14)
    return net.model()


def depthwise(seed: int) -> onnx.ModelProto:
    """Inverted residual blocks with depthwise convolutions and ReLU6."""
    net = Net(seed)
    x = net.clip(net.conv("input", "stem", 3, 16, 3, stride=2), "stem6")
    for index in range(2):
        y = net.clip(net.conv(x, f"expand{index}", 16, 32), f"expand6{index}")
        y = net.clip(net.conv(y, f"depthwise{index}", 32, 32, 3, group=32), f"depthwise6{index}")
        x = net.op("Add", [x, net.conv(y, f"project{index}", 32, 16)], f"add{index}")
    net.conv(x, "heatmaps", 16, 14)
    return net.model()


def transformer(seed: int) -> onnx.ModelProto:
    """Patches, an attention block of MatMul and Softmax, a feed-forward block, and heatmaps again."""
    net, width = Net(seed), 16
    rows, columns = SIZE[0] // 4, SIZE[1] // 4
    tokens = net.constant("tokens", np.array([0, width, rows * columns], np.int64))
    maps = net.constant("maps", np.array([0, width, rows, columns], np.int64))
    x = net.op("Reshape", [net.conv("input", "patches", 3, width, 3, stride=4), tokens], "flat")
    x = net.op("Transpose", [x], "sequence", perm=[0, 2, 1])
    q, k, v = (net.op("MatMul", [x, net.weights(f"{name}.w", width, width)], name) for name in "qkv")
    scores = net.op("MatMul", [q, net.op("Transpose", [k], "kt", perm=[0, 2, 1])], "scores")
    attention = net.op("Softmax", [net.op("Mul", [scores, net.constant("scale", np.float32(0.25))], "scaled")], "soft")
    y = net.op("MatMul", [net.op("MatMul", [attention, v], "mixed"), net.weights("o.w", width, width)], "projected")
    x = net.op("Add", [x, y], "add0")
    y = net.op("Relu", [net.op("MatMul", [x, net.weights("up.w", width, 32)], "up")], "act")
    x = net.op("Add", [x, net.op("MatMul", [y, net.weights("down.w", 32, width)], "down")], "add1")
    x = net.op("Reshape", [net.op("Transpose", [x], "back", perm=[0, 2, 1]), maps], "image")
    net.conv(x, "heatmaps", width, 14)
    return net.model()


ARCHITECTURES: dict[str, Callable[[int], onnx.ModelProto]] = {
    made.__name__: made for made in (chain, residual, deconvolution, depthwise, transformer)
}


def layers(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes with a constant weight."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [node for node in model.graph.node if node.op_type in WEIGHTED and node.input[1] in constants]


def one_weight(values: np.ndarray, random: np.random.Generator) -> None:
    """Change one weight by the largest one."""
    values.ravel()[random.integers(values.size)] += np.abs(values).max()


def one_channel(values: np.ndarray, random: np.random.Generator) -> None:
    """Exchange the signs of an output channel."""
    values[random.integers(len(values))] *= -1


def all_weights(values: np.ndarray, random: np.random.Generator) -> None:
    """Make every weight one percent larger."""
    values *= np.float32(1.01)


CORRUPTIONS = (one_weight, one_channel, all_weights)


def corrupted(model: onnx.ModelProto, seed: int) -> tuple[onnx.ModelProto, onnx.NodeProto]:
    """Return a copy in which the weights of one layer are wrong, and that layer."""
    random = np.random.default_rng(seed)
    made = onnx.ModelProto()
    made.CopyFrom(model)
    node = layers(made)[random.integers(len(layers(made)))]
    tensor = next(item for item in made.graph.initializer if item.name == node.input[1])
    values = numpy_helper.to_array(tensor).copy()
    CORRUPTIONS[seed % len(CORRUPTIONS)](values, random)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return made, node
