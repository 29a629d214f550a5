"""Small networks built in code, a spec, a feed of made-up photographs, and ways to run them.

Tests get this module as the fixture `nets`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgepose.artifacts.scales import Scales, TensorRange
from edgepose.artifacts.spec import ModelSpec, spec_from_dict
from edgepose.backends import openvino
from edgepose.backends.declaration import BuildOptions
from edgepose.backends.onnxruntime import OnnxRuntimeSession
from edgepose.backends.session import OpenOptions

SIZE = (32, 24)


class Net:
    """Builds an ONNX graph a node at a time; every weight is drawn from one seed."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def op(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], f"/{name}", **attributes))
        return name

    def weights(self, name: str, *shape: int) -> str:
        fan = int(np.prod(shape[1:]))
        return self.constant(name, self.random.normal(0, (2 / fan) ** 0.5, shape).astype(np.float32))

    def conv(self, x: str, name: str, i: int, o: int, k: int = 1, stride: int = 1, group: int = 1) -> str:
        weight = self.weights(f"{name}.w", o, i // group, k, k)
        bias = self.constant(f"{name}.b", self.random.normal(0, 0.1, o).astype(np.float32))
        return self.op("Conv", [x, weight, bias], name, strides=[stride] * 2, pads=[k // 2] * 4, group=group)

    def deconv(self, x: str, name: str, i: int, o: int) -> str:
        weight = self.weights(f"{name}.w", i, o, 4, 4)
        return self.op("ConvTranspose", [x, weight], name, strides=[2, 2], pads=[1, 1, 1, 1])

    def norm(self, x: str, name: str, channels: int) -> str:
        parts = [
            self.constant(f"{name}.{part}", self.random.uniform(0.5, 1.5, channels).astype(np.float32))
            for part in ("gamma", "beta", "mean", "variance")
        ]
        return self.op("BatchNormalization", [x, *parts], name)

    def clip(self, x: str, name: str, limit: float = 6.0) -> str:
        limits = [
            self.constant(f"{name}.low", np.float32(0)),
            self.constant(f"{name}.high", np.float32(limit)),
        ]
        return self.op("Clip", [x, *limits], name)

    def model(self, output: str = "heatmaps", shape: Any = ("batch", 3, *SIZE), opset: int = 17) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, list(shape))],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        return onnx.shape_inference.infer_shapes(model)  # exporters write shapes, so do we


def pose_net(shape: Any = ("batch", 3, *SIZE)) -> onnx.ModelProto:
    """Stem, an inverted residual block with ReLU6, a deconvolution with batch norm, a 1x1 head."""
    net = Net()
    x = net.clip(net.conv("input", "stem", 3, 16, 3, stride=2), "stem6")
    y = net.clip(net.conv(x, "expand", 16, 32), "expand6")
    y = net.clip(net.conv(y, "depthwise", 32, 32, 3, group=32), "depthwise6")
    y = net.op("Add", [x, net.conv(y, "project", 32, 16)], "add")
    y = net.norm(net.deconv(y, "deconv", 16, 16), "norm", 16)
    net.conv(net.op("Relu", [y], "relu"), "heatmaps", 16, 5)
    return net.model(shape=shape)


def scales_for(model: onnx.ModelProto, images: np.ndarray) -> Scales:
    """Min-max scales of every float tensor, by running the graph once with all of them as outputs."""
    values = run_all(model, images)
    ranges = {
        name: TensorRange(min=float(v.min()), max=float(v.max()), scale=float(np.abs(v).max() / 127))
        for name, v in values.items()
    }
    return Scales(
        onnx_sha256="a" * 64,
        preprocessing_sha256="b" * 64,
        image_list_sha256="c" * 64,
        method="minmax",
        images=len(images),
        tensors=ranges,
    )


def made_up_scales(tensors: tuple[str, ...]) -> Scales:
    """Scales that depend on nothing but the order of the tensors."""
    ranges = {name: TensorRange(min=-1.0, max=1.0, scale=(index + 1) / 512) for index, name in enumerate(tensors)}
    return Scales(
        onnx_sha256="a" * 64,
        preprocessing_sha256="b" * 64,
        image_list_sha256="c" * 64,
        method="minmax",
        images=32,
        tensors=ranges,
    )


def run_all(model: onnx.ModelProto, images: np.ndarray) -> dict[str, np.ndarray]:
    """Every node's output, and the input."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    names = [name for node in model.graph.node for name in node.output]
    known = {value.name for value in model.graph.output}
    for name in names:
        if name not in known:
            watched.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return {"input": images} | dict(zip(names, run(watched, images, names), strict=True))


def run(model: onnx.ModelProto, images: np.ndarray, names: list[str] | None = None, plain: bool = True) -> Any:
    """Run with ONNX Runtime: as the backend does, or `plain`, without optimizations, so Q/DQ is what the graph says."""
    if not plain:
        with OnnxRuntimeSession(model.SerializeToString(), OpenOptions(threads=1)) as session:
            found = session.run({"input": images})
            return [found[name] for name in names or session.outputs]
    runtime = pytest.importorskip("onnxruntime")
    settings = runtime.SessionOptions()
    settings.log_severity_level = 3
    settings.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(model.SerializeToString(), settings, ["CPUExecutionProvider"])
    return session.run(names, {"input": images})


def run_openvino(model: onnx.ModelProto, images: np.ndarray, folder: Path) -> np.ndarray:
    """Run as the OpenVINO backend does."""
    pytest.importorskip("openvino")
    onnx.save(model, folder / "source.onnx")
    openvino.build(folder / "source.onnx", folder, BuildOptions())
    with openvino.open(folder, OpenOptions(threads=1)) as session:
        found = session.run({"input": images})
        return found[session.outputs[0]]


def decibels(got: np.ndarray, expected: np.ndarray) -> float:
    """Signal to noise ratio; infinite where they are equal."""
    noise = float(np.square(got - expected).sum())
    return 10 * math.log10(float(np.square(expected).sum()) / noise) if noise else math.inf


class Photographs:
    """A feed of `count` smooth random images."""

    image_list_sha256 = "c" * 64

    def __init__(self, count: int = 32, batch: int = 5) -> None:
        random = np.random.default_rng(1)
        coarse = random.normal(0, 1, (count, 3, SIZE[0] // 4, SIZE[1] // 4))
        fine = coarse.repeat(4, axis=2).repeat(4, axis=3) + random.normal(0, 0.2, (count, 3, *SIZE))
        self.images = fine.astype(np.float32)
        self.count, self.batch = count, batch

    def __iter__(self) -> Iterator[tuple[np.ndarray, list[str]]]:
        for start in range(0, self.count, self.batch):
            part = self.images[start : start + self.batch]
            if not len(part):
                return
            yield part, [f"photo{start + index}.jpg" for index in range(len(part))]


def make_spec(**more: Any) -> ModelSpec:
    return spec_from_dict({"name": "net", "skeleton": "lsp14", "input": {"size": list(SIZE)}, **more}, "test")


def answering(path: Path, outputs: dict[str, np.ndarray], size: tuple[int, int]) -> Path:
    """Save a network that gives the same outputs [1, ...] for every image (and 0 times the image's mean)."""
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "nothing"], ["zero"]),
    ]
    constants = [numpy_helper.from_array(np.zeros(1, np.float32), "nothing")]
    values = []
    for name, value in outputs.items():
        constants.append(numpy_helper.from_array(value.astype(np.float32), f"{name}.value"))
        constants.append(numpy_helper.from_array(np.array([-1] + [1] * (value.ndim - 1), np.int64), f"{name}.shape"))
        nodes.append(helper.make_node("Reshape", ["zero", f"{name}.shape"], [f"{name}.zero"]))
        nodes.append(helper.make_node("Add", [f"{name}.value", f"{name}.zero"], [name]))
        values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *value.shape[1:]]))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, *size])
    graph = helper.make_graph(nodes, "answering", [image], values, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return path
