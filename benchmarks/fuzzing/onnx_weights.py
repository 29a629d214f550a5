"""Damage to the weights of an ONNX graph, and other ways of storing them that must not change its results."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fuzzing.damage import Random, pick
from fuzzing.onnx_nodes import TYPES, WHOLE

NUMBERS = (0.0, -1.0, 1e-30, 1e-42, 1e5, 1e30, 3e38, float("nan"), float("inf"), -float("inf"))


def _tensor(model: onnx.ModelProto, random: Random) -> Any:
    return model.graph.initializer[int(random.integers(len(model.graph.initializer)))]


def _replace(tensor: Any, value: Any) -> None:
    tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))


def change_weights(model: onnx.ModelProto, random: Random) -> None:
    tensor = _tensor(model, random)
    value = numpy_helper.to_array(tensor).copy()
    if not value.size:
        return
    number = pick(random, NUMBERS if value.dtype == np.float32 else WHOLE)
    if random.random() < 0.5:
        value.flat[int(random.integers(value.size))] = number
    else:
        value[...] = number
    _replace(tensor, value)


def scale_weights(model: onnx.ModelProto, random: Random) -> None:
    tensor = _tensor(model, random)
    value = numpy_helper.to_array(tensor)
    if value.dtype == np.float32:
        with np.errstate(over="ignore"):
            _replace(tensor, value * np.float32(pick(random, [0, -1, 1e-6, 1e-20, 1e3, 1e4, 1e6, 1e20])))


def scale_channel(model: onnx.ModelProto, random: Random) -> None:
    tensor = _tensor(model, random)
    value = numpy_helper.to_array(tensor).copy()
    if value.dtype == np.float32 and value.ndim and value.size:
        value[int(random.integers(len(value)))] *= np.float32(pick(random, [0, 1e-5, 30, 1e3, 1e5]))
        _replace(tensor, value)


def change_dims(model: onnx.ModelProto, random: Random) -> None:
    dims = _tensor(model, random).dims
    way = pick(random, ["add", "drop", "value"])
    if way == "add" or not dims:
        dims.append(pick(random, WHOLE))
    elif way == "drop":
        del dims[-1]
    else:
        dims[int(random.integers(len(dims)))] = pick(random, WHOLE)


def change_weight_type(model: onnx.ModelProto, random: Random) -> None:
    _tensor(model, random).data_type = pick(random, TYPES)


def convert_weight(model: onnx.ModelProto, random: Random) -> None:
    tensor = _tensor(model, random)
    with np.errstate(all="ignore"):
        _replace(
            tensor, numpy_helper.to_array(tensor).astype(pick(random, [np.float16, np.float64, np.int64, np.int8]))
        )


def cut_weight(model: onnx.ModelProto, random: Random) -> None:
    tensor = _tensor(model, random)
    tensor.raw_data = tensor.raw_data[: int(random.integers(len(tensor.raw_data) + 1))]


def drop_weight(model: onnx.ModelProto, random: Random) -> None:
    del model.graph.initializer[int(random.integers(len(model.graph.initializer)))]


def double_weight(model: onnx.ModelProto, random: Random) -> None:
    model.graph.initializer.append(_tensor(model, random))


def external_weight(model: onnx.ModelProto, random: Random) -> None:
    """Say that a weight lies in a file that is not there, or that is too short."""
    tensor = _tensor(model, random)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    places = ["missing.bin", "short.bin", "../short.bin", "/etc/hostname", "", ".", "ü.bin", "short.bin"]
    entries = {"location": pick(random, places)}
    if random.random() < 0.6:
        entries["offset"] = pick(random, ["0", "4", "-1", "x", str(2**40)])
        entries["length"] = pick(random, ["0", "4", "-1", "x", str(2**40)])
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)


def weight_is_input(model: onnx.ModelProto, random: Random) -> None:
    """List initializers among the inputs, as old exporters do; this changes nothing."""
    for tensor in model.graph.initializer:
        port = helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        model.graph.input.insert(int(random.integers(len(model.graph.input) + 1)), port)


def _behind(model: onnx.ModelProto, tensor: Any, made: list[Any], constants: list[Any]) -> None:
    """Let `made` nodes, which come first, compute the initializer `tensor` under its name."""
    model.graph.initializer.remove(tensor)
    model.graph.initializer.extend(constants)
    for node in reversed(made):
        model.graph.node.insert(0, node)


def weight_behind_node(model: onnx.ModelProto, random: Random) -> None:
    """Compute a weight by a node, as exporters without constant folding do; this changes little or nothing."""
    tensor = _tensor(model, random)
    name, value = tensor.name, numpy_helper.to_array(tensor)
    way = pick(random, ["Constant", "Identity", "Cast", "Transpose", "Mul", "Unsqueeze", "Reshape"])
    raw = f"{name}.raw"
    if way == "Constant":
        _behind(model, tensor, [helper.make_node("Constant", [], [name], value=tensor)], [])
        return
    attributes: dict[str, Any] = {}
    inputs, constants = [raw], []
    if way == "Cast":
        attributes["to"], value = tensor.data_type, value.astype(np.float64)
    elif way == "Transpose":
        value = np.ascontiguousarray(value.T)
    elif way == "Mul":
        inputs.append(f"{name}.two")
        constants.append(numpy_helper.from_array(np.array(2, value.dtype), f"{name}.two"))
        value = value // 2 if value.dtype == np.int64 else value / np.array(2, value.dtype)
    elif way in ("Unsqueeze", "Reshape"):
        way = "Reshape"
        inputs.append(f"{name}.shape")
        constants.append(numpy_helper.from_array(np.array(value.shape, np.int64), f"{name}.shape"))
        value = value.reshape(-1)
    node = helper.make_node(way, inputs, [name], f"{name}.node", **attributes)
    _behind(model, tensor, [node], [numpy_helper.from_array(value, raw), *constants])


def half_weight(model: onnx.ModelProto, random: Random) -> None:
    """Store float weights in half precision with a Cast behind each."""
    for tensor in [item for item in model.graph.initializer if item.data_type == TensorProto.FLOAT and item.dims]:
        value = numpy_helper.to_array(tensor).astype(np.float16)
        raw = f"{tensor.name}.half"
        cast = helper.make_node("Cast", [raw], [tensor.name], to=TensorProto.FLOAT)
        _behind(model, tensor, [cast], [numpy_helper.from_array(value, raw)])
