"""Stub networks with any input and any outputs, whose outputs depend on the image: pooled features times weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Shape = Sequence[Any]
Last = tuple[str, dict[str, Any]]
TYPES = {
    "uint8": TensorProto.UINT8,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "float64": TensorProto.DOUBLE,
}
OPSET = 13


def pooled(
    image: Shape,
    outputs: Mapping[str, Shape],
    *,
    dtype: str = "float32",
    kinds: Mapping[str, str] | None = None,
    last: Sequence[Last] = (),
    stated: Mapping[str, Shape | None] | None = None,
    scaled: tuple[Sequence[float], Sequence[float]] | None = None,
    last_channels: bool | None = None,
) -> onnx.ModelProto:
    """Return a network of one convolution, a mean over the image, and a matrix for each output.

    Args:
        image: The shape of the input, as the file states it; 3 channels first or last.
        outputs: Output -> the shape that it has.
        dtype: The type of the input.
        kinds: Output -> its type, where it is not float32.
        last: Operators behind each output, with their attributes.
        stated: Output -> the shape that the file states, where it is another; None states none.
        scaled: Mean and standard deviation that the graph applies to its input.
        last_channels: Whether channels are last, where the shape does not tell it.
    """
    random = np.random.default_rng(0)
    nodes, constants = [helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT)], []

    def constant(name: str, value: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(value, name))
        return name

    at = "float"
    nhwc = last_channels if last_channels is not None else image[3] == 3 and image[1] != 3
    if scaled is not None:
        shape = (3,) if nhwc else (3, 1, 1)
        mean, std = (np.array(values, np.float32).reshape(shape) for values in scaled)
        nodes.append(helper.make_node("Sub", [at, constant("mean", mean)], ["centered"]))
        nodes.append(helper.make_node("Div", ["centered", constant("std", std)], ["normal"]))
        at = "normal"
    if nhwc:
        nodes.append(helper.make_node("Transpose", [at], ["first"], perm=[0, 3, 1, 2]))
        at = "first"
    weights = (random.normal(size=(8, 3, 8, 8)) / 14).astype(np.float32)
    nodes.append(helper.make_node("Conv", [at, constant("conv_w", weights)], ["conv"], strides=[8, 8]))
    nodes.append(helper.make_node("GlobalAveragePool", ["conv"], ["pool"]))
    nodes.append(helper.make_node("Reshape", ["pool", constant("flat", np.array([-1, 8], np.int64))], ["features"]))
    values = []
    for name, shape in outputs.items():
        count = int(np.prod(shape[1:], dtype=np.int64))
        matrix = constant(f"{name}_w", random.normal(size=(8, count)).astype(np.float32))
        form = constant(f"{name}_s", np.array([-1, *shape[1:]], np.int64))
        nodes.append(helper.make_node("MatMul", ["features", matrix], [f"{name}_m"]))
        nodes.append(helper.make_node("Reshape", [f"{name}_m", form], [f"{name}_0"]))
        for index, (operator, attributes) in enumerate(last):
            nodes.append(helper.make_node(operator, [f"{name}_{index}"], [f"{name}_{index + 1}"], **attributes))
        kind = TYPES[(kinds or {}).get(name, "float32")]
        nodes.append(helper.make_node("Cast", [f"{name}_{len(last)}"], [name], to=kind))
        values.append(helper.make_tensor_value_info(name, kind, (stated or {}).get(name, shape)))
    port = helper.make_tensor_value_info("image", TYPES[dtype], image)
    graph = helper.make_graph(nodes, "main_graph", [port], values, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
