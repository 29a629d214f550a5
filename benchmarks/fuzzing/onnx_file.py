"""Damage to what an ONNX file says about itself: versions, inputs and outputs, shapes, metadata."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from fuzzing.damage import Random, pick
from fuzzing.onnx_nodes import NAMES, TYPES, WHOLE, tensor_names

VERSIONS = (0, 1, 7, 9, 10, 11, 12, 13, 14, 16, 18, 21, 22, 23, 99, -1, 2**40)


def change_opset(model: onnx.ModelProto, random: Random) -> None:
    way = pick(random, ["version", "version", "missing", "double"])
    if way == "missing":
        del model.opset_import[:]
    elif way == "double":
        model.opset_import.append(helper.make_opsetid("", int(pick(random, [9, 13, 21]))))
    else:
        model.opset_import[0].version = pick(
            random, [0, 1, 7, 9, 10, 11, 12, 13, 14, 16, 18, 21, 22, 23, 99, -1, 2**40]
        )


def change_ir(model: onnx.ModelProto, random: Random) -> None:
    model.ir_version = pick(random, [0, 1, 3, 4, 6, 9, 10, 11, 12, 13, 99, 2**40])


def change_input_shape(model: onnx.ModelProto, random: Random) -> None:
    if not model.graph.input:
        return
    dims = model.graph.input[0].type.tensor_type.shape.dim
    way = pick(random, ["batch", "symbol", "value", "drop", "all"])
    if way == "drop" and dims:
        del dims[-1]
    elif way == "batch" and dims:
        dims[0].dim_value = pick(random, [0, 1, 2, 8, -1])
    elif way == "all":
        for i, dim in enumerate(dims):
            dim.dim_param = f"axis{i}"
    elif dims:
        dim = dims[int(random.integers(len(dims)))]
        if way == "symbol":
            dim.dim_param = pick(random, ["batch", "x", "", "ü"])
        else:
            dim.dim_value = pick(random, WHOLE)


def change_port_type(model: onnx.ModelProto, random: Random) -> None:
    port = pick(random, [*model.graph.input, *model.graph.output] or [onnx.ValueInfoProto()])
    if random.random() < 0.8:
        port.type.tensor_type.elem_type = pick(random, TYPES)
    else:
        port.ClearField("type")


def change_ports(model: onnx.ModelProto, random: Random) -> None:
    ports = pick(random, [model.graph.input, model.graph.output])
    way = pick(random, ["drop", "double", "rename", "inner"])
    if way == "drop" and ports:
        del ports[int(random.integers(len(ports)))]
    elif way == "double" and ports:
        ports.append(ports[0])
    elif way == "rename" and ports:
        ports[0].name = pick(random, NAMES)
    else:
        ports.append(helper.make_tensor_value_info(pick(random, tensor_names(model)), TensorProto.FLOAT, None))


def change_value_info(model: onnx.ModelProto, random: Random) -> None:
    """Give shapes and types of inner tensors that are wrong; or none, which changes nothing."""
    if random.random() < 0.4 or not model.graph.value_info:
        del model.graph.value_info[:]
        return
    entry = model.graph.value_info[int(random.integers(len(model.graph.value_info)))]
    entry.type.tensor_type.elem_type = pick(random, TYPES)
    for dim in entry.type.tensor_type.shape.dim:
        if random.random() < 0.5:
            dim.dim_value = pick(random, WHOLE)


def change_metadata(model: onnx.ModelProto, random: Random) -> None:
    keys = ["edgepose.spec", "edgepose.parent", "edgepose.precision", "edgepose.kept_float", "", "ü"]
    values = ["", "{", "int8", "fp16", "x" * 5000, "[]", "null", "\u202e", "1e999", '{"name": 1}']
    model.metadata_props.add(key=pick(random, keys), value=pick(random, values))
    model.doc_string = pick(random, ["", "ü" * 1000])
