"""Pin the INT8 graphs of three networks, so that a change of structure cannot change a number."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgepose.artifacts.scales import read_scales
from edgepose.artifacts.spec import ModelSpec, embedded_spec
from edgepose.graph.lookup import load_onnx
from edgepose.graph.prepare import prepare
from edgepose.quantize import quantize
from edgepose.quantize.placement import observed_tensors
from edgepose.zoo import zoo_model, zoo_scales

LITE = "fb496231250ca8d5ce0a51949c2fae287f83f00cd5b63910c7f80dc2b6e747fd"
RANDOM = {
    "simplebaseline-lite": "aef0134da3eee68d051b65831187e1b42fa0e254e393a41f4ed4d717d7056a67",
    "hourglass-small": "3eb0ac8d047ee2706c6ac9984d8e16bdaa0cd512dc152e4693f95498c03d8058",
}
KEEP_FLOAT = {"hourglass-small": ("*/Add*", "/stacks.*/linear/*")}


def digest(model: onnx.ModelProto) -> str:
    """The sha256 of every quantization scale and every int8 weight, independent of names and order."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    parts = []
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            arrays = [constants[name] for name in node.input if name in constants]
            axis = [item.i for item in node.attribute if item.name == "axis"]
            content = b"".join(array.tobytes() + str((array.dtype, array.shape)).encode() for array in arrays)
            parts.append(hashlib.sha256(content + f"{node.op_type}{axis}".encode()).hexdigest())
    return hashlib.sha256("".join(sorted(parts)).encode()).hexdigest()


def made_up_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace each float weight by draws of NumPy, which are the same on every CPU and with every torch."""
    random = np.random.default_rng(0)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 1:
            drawn = random.normal(0, 0.1, tuple(tensor.dims)).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(drawn, tensor.name))
    return model


def exported(name: str) -> tuple[onnx.ModelProto, ModelSpec]:
    pytest.importorskip("torch")
    from dataclasses import replace

    from edgepose.export.onnx import to_onnx
    from edgepose.training.checkpoint import create_for
    from edgepose.training.recipe import read_recipe

    recipe = read_recipe("lite" if name == "simplebaseline-lite" else name)
    recipe = replace(recipe, model=name, skeleton="lsp14", sizes=((64, 64),), epochs=(1,), batch=(4,))
    spec = replace(recipe, keep_float=KEEP_FLOAT.get(name, ())).spec()
    return made_up_weights(to_onnx(create_for(name, spec), spec)), spec


def test_lite_is_quantized_as_it_always_was():
    model = load_onnx(zoo_model("lite"))
    assert digest(quantize(model, read_scales(zoo_scales("lite")), embedded_spec(model, "lite"))) == LITE


@pytest.mark.parametrize("name", RANDOM)
def test_networks_with_random_weights_are_quantized_as_they_always_were(name, nets, tmp_path: Path):
    model, spec = exported(name)
    tensors = observed_tensors(prepare(model))
    found = digest(quantize(model, nets.made_up_scales(tensors), spec))
    assert found == RANDOM[name]
