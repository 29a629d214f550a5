"""Foreign graphs that once failed: they build and compute what plain ONNX Runtime computes, or are refused."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from edgepose.api.build import build
from edgepose.api.inspect import inspect
from edgepose.api.request import BuildOptions
from edgepose.artifacts.spec import read_toml
from edgepose.backends.engine import open_engine
from edgepose.backends.session import OpenOptions
from edgepose.errors import ModelError, SpecError
from edgepose.export.foreign import import_onnx
from edgepose.graph.types import tensor_types
from edgepose.quantize import calibrate
from edgepose.quantize.placement import place

# case -> (spec, layers with weights, layers that int8 quantizes, a sentence of the import)
GRAPHS = {
    "opset10_resize_linear": ("heat", 5, 3, None),
    "torch_squeeze_if": ("heat_size", 5, 3, "an If with a constant condition was replaced by its branch: /If"),
    "if_outer_initialiser": ("heat_size", 5, 3, "replaced by its branch: /If_23"),
    "loop_outer_weight": ("heat_size", 6, 4, "a Loop with a constant number of rounds was unrolled: /Loop_11"),
    "torch_script_if": ("heat_size", 4, 2, "replaced by its branch: /If"),
    "int64_add_before_reshape": ("heat_size", 5, 3, "what does not depend on the image was computed once: concat_23"),
    "rows_dynamo": ("heat_size", 4, 2, "computed once: val_11, val_25"),
    "fp16_weights_cast": ("heat", 7, 5, "computed once: w_1, w_5, w_9 and 4 more"),
    "weights_behind_transpose": ("heat", 7, 5, "computed once: w_1, w_5, w_9 and 4 more"),
    "fp16_inside": ("heat", 7, 5, "this graph is float16 inside; it was converted to float32"),
    "local_functions": ("heat", 7, 5, "local functions were replaced by their nodes: Block"),
    "ort_optimised": ("heat", 7, 5, "nodes that ONNX Runtime had fused were taken apart: /Conv_3"),
    "external_data/foreign": ("heat", 7, 5, None),
    "external_data/inside": (None, 7, 5, None),
    "nchw_all_symbolic": ("heat_size", 5, 3, None),
    "nhwc_all_symbolic": ("heat_size", 5, 3, None),
    "opset_newest": ("heat", 7, 5, "opset 28 as 21"),
    "dynamic_hw": ("heat_size", 7, 5, None),
}


@pytest.fixture
def onnx_cases(cases: Path) -> Path:
    return cases / "onnx"


def plain(path: Path, images: np.ndarray) -> np.ndarray:
    """The output of the file as it is in ONNX Runtime, image by image."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: image[None]})[0] for image in images])


@pytest.mark.parametrize("name", GRAPHS)
def test_engines_compute_what_the_file_computes(name: str, onnx_cases: Path, tmp_path: Path) -> None:
    toml, layers, quantized, sentence = GRAPHS[name]
    path, notes = onnx_cases / f"{name}.onnx", list[str]()
    options = BuildOptions(
        precisions=("fp32",),
        backends=("openvino", "onnxruntime"),
        spec=onnx_cases / f"{toml}.toml" if toml else None,
    )
    made = build(path, out=tmp_path, options=options, note=notes.append)
    assert sentence is None or any(sentence in line for line in notes), notes
    for engine in made.engines:
        with open_engine(engine, OpenOptions())[0] as session:
            spec = made.manifests[engine].spec
            images = np.random.default_rng(3).normal(size=(3, *spec.input.shape)).astype(np.float32)
            found = session.run({spec.input.name: images})[spec.outputs[0]]
        expected = plain(path, images)
        np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())
    model = onnx.load(made.graphs["fp32"])  # needs no other file
    onnx.checker.check_model(model)
    placement = place(model, spec)
    weighted = [node for node in model.graph.node if node.op_type == "Conv"]
    assert (len(weighted), len(placement.quantized)) == (layers, quantized)
    types = tensor_types(model)
    assert {types[name] for name in placement.reads} == {onnx.TensorProto.FLOAT}


@pytest.mark.parametrize(
    ("name", "toml", "message"),
    [
        ("external_data/gone", None, r"the weights file 'gone\.onnx\.data' is missing"),
        ("no_opset", "heat", "names no version of the standard operators"),
        ("nan_weight", "heat", r"the weight 'w_13' \[16, 16, 3, 3\] of node '/Conv_15' \(Conv\) has 1 values.*NaN"),
        (
            "nhwc_all_symbolic",
            "heat",
            "accepts images of any size; pass --shape HEIGHTxWIDTH to edgepose build, or add",
        ),
        (
            "nchw_all_symbolic",
            "heat",
            "accepts images of any size; pass --shape HEIGHTxWIDTH to edgepose build, or add",
        ),
    ],
)
def test_what_cannot_be_right_is_refused(name: str, toml: str | None, message: str, onnx_cases: Path) -> None:
    table = read_toml(onnx_cases / f"{toml}.toml") if toml else None
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy would warn of NaN
        with pytest.raises((ModelError, SpecError), match=message) as caught:
            import_onnx(onnx_cases / f"{name}.onnx", table)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["external_data/gone", "no_opset"])
def test_inspect_and_calibrate_say_the_same(name: str, onnx_cases: Path, nets) -> None:  # type: ignore[no-untyped-def]
    said = set()
    for verb in (inspect, lambda path: calibrate(path, nets.Photographs(), nets.make_spec(), make_runner=None)):
        with pytest.raises(ModelError) as caught:
            verb(onnx_cases / f"{name}.onnx")
        said.add(str(caught.value))
    assert len(said) == 1


def test_a_float16_graph_is_no_graph_to_calibrate(onnx_cases: Path, nets) -> None:  # type: ignore[no-untyped-def]
    path = onnx_cases / "fp16_with_contract.onnx"
    with pytest.raises(ModelError, match="is an fp16 graph; calibrate and quantize the float32 graph"):
        calibrate(path, nets.Photographs(), nets.make_spec(), make_runner=None)


def test_inspect_labels_a_float16_graph(onnx_cases: Path) -> None:
    assert inspect(onnx_cases / "fp16_inside.onnx")["precision"] == "float16 inside"
