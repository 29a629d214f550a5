"""What runs in which precision, from the inspector's JSON as TensorRT 8.6, 10 and 11 write it."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest

from edgepose.backends.tensorrt.inspector import layers_of, read_layers


def layer(name: str, kind: str, key: str, *types: str) -> dict[str, Any]:
    return {"Name": name, "LayerType": kind, "Inputs": [{"Name": "x", key: t} for t in types], "Outputs": []}


@pytest.mark.parametrize("key", ["Format/Datatype", "DataType"])
@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("Row major linear FP32", "fp32"),
        ("Float", "fp32"),
        ("Channel major FP16 format where channel % 8 == 0", "fp16"),
        ("Half", "fp16"),
        ("BFloat16", "bf16"),
        ("Thirty-two wide channel vectorized row major Int8 format", "int8"),
        ("Int8", "int8"),
    ],
)
def test_the_words_of_each_version(key: str, words: str, wanted: str) -> None:
    text = json.dumps({"Layers": [layer("conv", "CaskConvolution", key, words)], "Bindings": ["x"]})
    assert read_layers(text) == {"conv": wanted}


def test_a_layer_computes_in_the_type_of_its_first_input() -> None:
    layers = [
        layer("conv", "CaskConvolution", "Format/Datatype", "Int8 NC/32HW32", "Row major linear FP16"),
        layer("reformat", "Reformat", "Format/Datatype", "Row major linear FP32"),
        layer("constant", "Constant", "Format/Datatype"),
        {"Name": "made", "LayerType": "Fill", "Inputs": [], "Outputs": [{"DataType": "Half"}]},
        {"Name": "odd", "LayerType": "Fill", "Inputs": [{"DataType": "Int32"}], "Outputs": []},
    ]
    assert read_layers(json.dumps({"Layers": layers})) == {"conv": "int8", "made": "fp16"}


def test_an_engine_without_details_has_names_only() -> None:
    assert read_layers(json.dumps({"Layers": ["conv", "relu"], "Bindings": []})) == {}


@pytest.mark.parametrize("text", ["", "[]", "no JSON", "null"])
def test_what_cannot_be_read_tells_nothing(text: str) -> None:
    assert read_layers(text) == {}


def test_names_have_any_characters() -> None:
    text = json.dumps({"Layers": [layer("a#b", "Convolution", "DataType", "Half")]}).replace("#", "\n")
    assert read_layers(text) == {"a\nb": "fp16"}


def test_the_engine_is_asked(trt_doubles: ModuleType) -> None:
    for generation in trt_doubles.GENERATIONS:
        trt = trt_doubles.double(generation)
        trt._world.inspector = json.dumps({"Layers": [layer("conv", "Convolution", "DataType", "Half")]})
        assert layers_of(trt, trt.ICudaEngine()) == {"conv": "fp16"}
