"""Networks trained elsewhere: taken in, brought into form, or refused with one clear line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from edgepose._files import sha256_file
from edgepose.artifacts.spec import PARENT_KEY, embed_spec, embedded_spec, get_metadata
from edgepose.errors import EdgeposeError, ModelError, SpecError
from edgepose.export.foreign import import_onnx

MakeForeign = Callable[..., onnx.ModelProto]
Table = dict[str, Any]


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    onnx.save(model, folder / "net.onnx")
    return folder / "net.onnx"


def run(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return np.asarray(session.run(None, {"image": images})[0])


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(5).normal(size=(3, 3, 64, 48)).astype(np.float32)


@pytest.mark.parametrize(
    "form",
    [
        {"opset": 7, "ir": 3, "weights_as_inputs": True},
        {"opset": 8, "ir": 3, "weights_as_inputs": True},
        {"opset": 9, "ir": 3, "weights_as_inputs": True},
        {"opset": 9, "ir": 4},
        {"opset": 11, "ir": 6},
        {"opset": 13, "ir": 7},
        {"opset": 17},
        {"opset": 20, "ir": 9},
        {"batch": "N"},
        {"batch": 2},
        {"size": ("h", "w")},
    ],
)
def test_an_import_computes_what_the_source_computes(
    form: dict[str, Any], tmp_path: Path, make_foreign: MakeForeign, table: Table, images: np.ndarray
) -> None:
    source = make_foreign(**form)
    table = table | {"input": {"size": [64, 48]}}
    model, spec = import_onnx(saved(source, tmp_path), table)
    onnx.checker.check_model(model)
    one_by_one = make_foreign(**form | {"batch": 1})
    expected = np.concatenate([run(one_by_one, images[i : i + 1]) for i in range(3)])
    np.testing.assert_allclose(run(model, images), expected, atol=1e-4)
    assert (spec.input.name, spec.input.size, spec.outputs) == ("image", (64, 48), ("maps",))
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert model.opset_import[0].version >= 13


def test_what_the_onnx_says_is_filled_in_and_the_contract_is_inside(
    tmp_path: Path, make_foreign: MakeForeign, table: Table
) -> None:
    path = saved(make_foreign(), tmp_path)
    model, spec = import_onnx(path, table)
    assert spec.input.size == (64, 48)
    assert embedded_spec(model, "model") == spec
    assert get_metadata(model, PARENT_KEY) == sha256_file(path)
    assert all(node.name for node in model.graph.node)


def test_a_contract_inside_the_onnx_is_used(tmp_path: Path, make_foreign: MakeForeign, table: Table) -> None:
    model, spec = import_onnx(saved(make_foreign(), tmp_path), table)
    embed_spec(model, spec)
    assert import_onnx(saved(model, tmp_path), None)[1] == spec


def test_a_batch_that_is_baked_in_stays_one(
    tmp_path: Path, make_foreign: MakeForeign, table: Table, images: np.ndarray
) -> None:
    model, _ = import_onnx(saved(make_foreign(tail="reshape"), tmp_path), table)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1
    assert run(model, images[:1]).shape == (1, 17, 16, 12)


def test_only_the_outputs_of_the_contract_are_kept(tmp_path: Path, make_foreign: MakeForeign, table: Table) -> None:
    source = make_foreign()
    source.graph.node.append(helper.make_node("Conv", ["p", "w3"], ["middle"]))
    source.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((17, 16, 1, 1), np.float32), "w3"))
    source.graph.output.append(helper.make_tensor_value_info("middle", TensorProto.FLOAT, [1, 17, 16, 12]))
    path = saved(source, tmp_path)
    with pytest.raises(SpecError, match=r"outputs maps, middle; add outputs"):
        import_onnx(path, table)
    model, _ = import_onnx(path, table | {"outputs": ["maps"]})
    assert [value.name for value in model.graph.output] == ["maps"]
    assert "w3" not in {tensor.name for tensor in model.graph.initializer}


def with_heads(heads: dict[str, tuple[int, ...]]) -> onnx.ModelProto:
    """image [1, 3, 64, 48] -> for each head zeros [1, *shape] and the mean of the image."""
    nodes, constants, outputs = [helper.make_node("GlobalAveragePool", ["image"], ["each"])], [], []
    nodes.append(helper.make_node("ReduceMean", ["each"], ["mean"], axes=[1, 2, 3], keepdims=0))
    for name, shape in heads.items():
        constants.append(onnx.numpy_helper.from_array(np.zeros((1, *shape), np.float32), f"{name}.zeros"))
        constants.append(onnx.numpy_helper.from_array(np.array([-1, *[1] * len(shape)], np.int64), f"{name}.shape"))
        nodes.append(helper.make_node("Reshape", ["mean", f"{name}.shape"], [f"{name}.mean"]))
        nodes.append(helper.make_node("Add", [f"{name}.zeros", f"{name}.mean"], [name]))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, *shape]))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 64, 48])
    graph = helper.make_graph(nodes, "heads", [image], outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


JOINED = {"name": "three", "joints": ["a", "b", "c"], "limbs": [["a", "b"], ["b", "c"]]}
HEADS: dict[str, tuple[dict[str, Any], dict[str, tuple[int, ...]]]] = {
    "simcc": ({"type": "simcc"}, {"x": (3, 96), "y": (3, 128)}),
    "regression": ({"type": "regression", "range": "unit"}, {"joints": (3, 2)}),
    "paf": ({"type": "paf", "min_joints": 2, "field_order": "xy"}, {"maps": (3, 8, 6), "fields": (4, 8, 6)}),
}


@pytest.mark.parametrize("name", HEADS)
def test_networks_of_other_codecs_enter(name: str, tmp_path: Path) -> None:
    codec, heads = HEADS[name]
    table = {"name": "foreign", "skeleton": JOINED, "codec": codec, "outputs": list(heads)}
    model, spec = import_onnx(saved(with_heads(heads), tmp_path), table)
    assert spec.codec.name == name
    shapes = [[axis.dim_value for axis in value.type.tensor_type.shape.dim[1:]] for value in model.graph.output]
    assert shapes == [list(shape) for shape in heads.values()]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param  # any number of images
    assert import_onnx(saved(model, tmp_path), None)[1] == spec


def test_the_outputs_of_a_detector_are_named(tmp_path: Path) -> None:
    table = {"name": "foreign", "skeleton": JOINED}
    with pytest.raises(SpecError, match="dets and labels are those of a network that finds people by itself"):
        import_onnx(saved(with_heads({"dets": (3, 5), "labels": (3, 1)}), tmp_path), table)


@pytest.mark.parametrize(
    ("name", "says"),
    [("simcc", 'outputs = \\["NAME", "NAME"\\] of the x vectors and the y'), ("paf", "of the joint maps")],
)
def test_the_order_of_two_outputs_is_asked_for(name: str, says: str, tmp_path: Path) -> None:
    codec, heads = HEADS[name]
    table = {"name": "foreign", "skeleton": JOINED, "codec": codec}
    with pytest.raises(SpecError, match=says):
        import_onnx(saved(with_heads(heads), tmp_path), table)
    swapped = table | {"outputs": list(reversed(heads))}
    with pytest.raises(
        SpecError, match=r"has shape.*expect (joint maps|limb fields).*correct the spec|exchange them: outputs = "
    ):
        import_onnx(saved(with_heads(heads), tmp_path), swapped)


@pytest.mark.parametrize(
    ("form", "change", "kind", "message"),
    [
        ({"tail": "pool"}, {}, ModelError, r"'maps' of shape \[1, 17\] has one number for each of the 17 joints"),
        ({"tail": "bottle"}, {}, ModelError, r"\[1, 17, 192\] looks like SimCC vectors"),
        ({}, {"skeleton": "lsp14"}, SpecError, r"gives 17 maps.*'lsp14' has 14 joints; .*\('coco17' has 17\)"),
        ({}, {"skeleton": "mpii16"}, ModelError, r"background; remove it .*, name the skeleton .* \('coco17' has 17\)"),
        (
            {},
            {"input": {"size": [48, 64]}},
            SpecError,
            r"size is \[48, 64\], the network takes \[1, 3, 64, 48\]",
        ),
        ({}, {"input": {"name": "data"}}, SpecError, r"input 'data', the network has 'image'"),
        ({}, {"outputs": ["map"]}, SpecError, r"output 'map'; did you mean 'maps'"),
        ({}, {"codec": {"type": "simcc"}}, SpecError, r"'simcc' decodes 2: name the x vectors and the y vectors"),
        ({}, {"codec": {"type": "regression"}}, SpecError, r"\[1, 17, 16, 12\] looks like heatmaps"),
        ({}, {"skelton": "coco17"}, SpecError, r"did you mean 'skeleton'"),
        ({}, {"input": {"colour": "rgb"}}, SpecError, r"input\.colour; did you mean 'color'"),
        ({}, {"input": 3}, SpecError, r"input must be a table"),
        ({"size": ("h", "w")}, {"input": {"size": [100000, 100000]}}, SpecError, r"at most 4096 pixels a side"),
        (
            {"size": ("h", "w")},
            {},
            SpecError,
            r"any size; pass --shape HEIGHTxWIDTH to edgepose build, or add input = \{",
        ),
        ({"kind": TensorProto.UINT8}, {}, ModelError, r"not a valid ONNX|uint8"),
        ({"batch": 2, "tail": "reshape"}, {}, ModelError, r"no heatmap network|does not run"),
    ],
)
def test_what_does_not_fit_is_refused_on_one_line(
    form: dict[str, Any],
    change: Table,
    kind: type[EdgeposeError],
    message: str,
    tmp_path: Path,
    make_foreign: MakeForeign,
    table: Table,
) -> None:
    with pytest.raises(kind, match=message) as caught:
        import_onnx(saved(make_foreign(**form), tmp_path), table | change)
    assert "\n" not in str(caught.value)


def test_a_network_without_a_contract(tmp_path: Path) -> None:
    thirteen = with_heads({"maps": (13, 16, 12)})
    with pytest.raises(SpecError, match=r"carries no edgepose spec.*--spec"):
        import_onnx(saved(thirteen, tmp_path), None)


def channels_last(make_foreign: MakeForeign, dtype: int = TensorProto.UINT8) -> onnx.ModelProto:
    """The network of `make_foreign` behind an input [1, 64, 48, 3] of another type."""
    source = make_foreign()
    source.graph.node.insert(0, helper.make_node("Transpose", ["cast"], ["image"], perm=[0, 3, 1, 2]))
    source.graph.node.insert(0, helper.make_node("Cast", ["pixels"], ["cast"], to=TensorProto.FLOAT))
    source.graph.input[0].CopyFrom(helper.make_tensor_value_info("pixels", dtype, [1, 64, 48, 3]))
    return source


@pytest.mark.parametrize(("kind", "dtype"), [(TensorProto.UINT8, "uint8"), (TensorProto.FLOAT16, "float16")])
def test_layout_and_type_of_the_input_are_read_off_the_graph(
    tmp_path: Path, make_foreign: MakeForeign, table: Table, kind: int, dtype: str
) -> None:
    model, spec = import_onnx(saved(channels_last(make_foreign, kind), tmp_path), table)
    assert (spec.input.layout, spec.input.dtype, spec.input.size) == ("nhwc", dtype, (64, 48))
    assert model.graph.input[0].type.tensor_type.elem_type == kind
    assert [axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim] == [0, 64, 48, 3]
    assert import_onnx(saved(model, tmp_path), None)[1] == spec


@pytest.mark.parametrize("kind", [TensorProto.INT32, TensorProto.INT64])
def test_integers_become_floats(tmp_path: Path, make_foreign: MakeForeign, table: Table, kind: int) -> None:
    path = saved(channels_last(make_foreign, kind), tmp_path)
    model, spec = import_onnx(path, table)
    assert (spec.input.layout, spec.input.dtype, spec.input.size) == ("nhwc", "float32", (64, 48))
    assert (spec.input.mean, spec.input.std, spec.input.scale) == ((0, 0, 0), (1, 1, 1), 1)
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
    assert "Cast" not in {node.op_type for node in model.graph.node}
    levels = np.random.default_rng(0).integers(0, 256, (1, 64, 48, 3))
    session = onnxruntime.InferenceSession(str(path))
    wanted = session.run(None, {"pixels": levels.astype({TensorProto.INT32: np.int32}.get(kind, np.int64))})[0]
    found = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"pixels": levels.astype(np.float32)})[0]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("given", [{"mean": [123, 117, 104]}, {"std": [58, 57, 57]}, {"scale": 0.5}])
def test_a_normalization_of_integers_is_refused(
    tmp_path: Path, make_foreign: MakeForeign, table: Table, given: Table
) -> None:
    path = saved(channels_last(make_foreign, TensorProto.INT32), tmp_path)
    with pytest.raises(SpecError, match=rf"takes integers.*leave out input\.{next(iter(given))}"):
        import_onnx(path, table | {"input": given})


@pytest.mark.parametrize("given", [{"layout": "nchw"}, {"dtype": "float32"}])
def test_a_spec_that_contradicts_layout_or_type_is_refused(
    tmp_path: Path, make_foreign: MakeForeign, table: Table, given: Table
) -> None:
    with pytest.raises(SpecError, match=rf"input\.{next(iter(given))} is '.*the network takes \[1, 64, 48, 3\] uint8"):
        import_onnx(saved(channels_last(make_foreign), tmp_path), table | {"input": given})


def test_two_inputs_are_refused(tmp_path: Path, make_foreign: MakeForeign, table: Table) -> None:
    source = make_foreign()
    source.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))
    with pytest.raises(ModelError, match="must take one image, but its inputs are: image, mask"):
        import_onnx(saved(source, tmp_path), table)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\x07\x12\x00"])
def test_a_file_that_is_no_onnx(content: bytes, tmp_path: Path, table: Table) -> None:
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"net\.onnx"):
        import_onnx(tmp_path / "net.onnx", table)


def test_a_missing_file(tmp_path: Path, table: Table) -> None:
    with pytest.raises(ModelError, match=r"none\.onnx"):
        import_onnx(tmp_path / "none.onnx", table)


def test_an_opset_that_is_too_old(tmp_path: Path, make_foreign: MakeForeign, table: Table) -> None:
    with pytest.raises(ModelError, match="opset 6; export it again with opset 7"):
        import_onnx(saved(make_foreign(opset=6, ir=3), tmp_path), table)


def test_a_graph_that_breaks_the_rules(tmp_path: Path, make_foreign: MakeForeign, table: Table) -> None:
    source = make_foreign()
    source.graph.node[2].input[0] = "nowhere"
    with pytest.raises(ModelError, match=r"node 'r' \(Relu\) reads 'nowhere', which nothing computes") as caught:
        import_onnx(saved(source, tmp_path), table)
    assert "\n" not in str(caught.value)
