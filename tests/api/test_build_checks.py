"""A build compares what it makes with the original network, and what fails does not lose the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from corrupted import ARCHITECTURES, corrupted
from onnx import TensorProto, helper, numpy_helper

from edgepose.api.build import build
from edgepose.api.check import check
from edgepose.api.load import load
from edgepose.api.request import BuildOptions
from edgepose.artifacts import acceptance
from edgepose.artifacts.manifest import read_manifest
from edgepose.artifacts.spec import embed_spec, spec_from_dict
from edgepose.backends import onnxruntime, openvino
from edgepose.backends.engine import open_engine
from edgepose.backends.session import OpenOptions
from edgepose.errors import BuildError, EngineError

CPU = ("openvino", "onnxruntime")
Network = Callable[..., Path]


@pytest.fixture
def network(tmp_path: Path) -> Network:
    """Save a network of an architecture, with a contract inside."""

    def save(name: str = "residual", model: onnx.ModelProto | None = None) -> Path:
        made = ARCHITECTURES[name](0) if model is None else model
        shape = {"chain": 2, "residual": 2, "deconvolution": 1, "depthwise": 2, "transformer": 4}[name]
        spec = spec_from_dict(
            {"name": "net", "skeleton": "lsp14", "input": {"name": "input", "size": [32, 24]}, "outputs": ["heatmaps"]},
            f"a test of stride {shape}",
        )
        embed_spec(made, spec)
        onnx.save(made, tmp_path / "net.onnx")
        return tmp_path / "net.onnx"

    return save


def options(*precisions: str, backends: tuple[str, ...] = CPU, **more: Any) -> BuildOptions:
    return BuildOptions(precisions=precisions or ("fp32",), backends=backends, **more)


def test_engines_carry_their_acceptance_sample(network: Network, tmp_path: Path) -> None:
    said: list[str] = []
    result = build(network(), out=tmp_path / "out", options=options("fp32", "fp16"), note=said.append)
    assert len(result.engines) == 4
    for folder in result.engines:
        manifest = read_manifest(folder)
        assert set(manifest.acceptance) == {acceptance.NAME} and acceptance.NAME not in manifest.payload
        assert manifest.agreement["heatmaps"] > (90 if manifest.precision == "fp32" else 40)
        sample = acceptance.read_acceptance(folder, manifest)
        assert sample.inputs.shape[1:] == (3, 32, 24) and sample.inputs.dtype == np.float32
        assert sample.joints is not None and sample.joints.shape == (len(sample.inputs), 14, 3)
        assert (folder / acceptance.NAME).stat().st_size < 1_000_000
    assert any(line.startswith("fp16: heatmaps: SNR") for line in said)
    assert [item.ok for item in check(result.engines)] == [True] * 4


def wrong_weights(monkeypatch: pytest.MonkeyPatch, wrong: onnx.ModelProto, tmp_path: Path) -> None:
    """Let the OpenVINO backend compile another network than the one that it is given."""
    onnx.save(wrong, tmp_path / "wrong.onnx")
    real = openvino.build
    monkeypatch.setattr(openvino, "build", lambda path, *rest: real(tmp_path / "wrong.onnx", *rest))


def test_a_wrong_engine_is_refused_and_the_others_are_built(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ARCHITECTURES["residual"](0)
    wrong, layer = corrupted(model, 1)
    wrong_weights(monkeypatch, wrong, tmp_path)
    with pytest.raises(BuildError) as caught:
        build(network(model=model), out=tmp_path / "out", options=options())
    text = str(caught.value)
    assert "1 of 2 engines could not be built (built: onnxruntime-fp32): openvino-fp32" in text
    assert "0.001 is the limit" in text and f"{layer.output[0]!r} of node {layer.name!r}" in text
    assert not (tmp_path / "out" / "openvino-fp32").exists()
    assert check(tmp_path / "out" / "onnxruntime-fp32")[0].ok


def test_one_engine_that_fails_alone_raises_its_own_error(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong_weights(monkeypatch, corrupted(ARCHITECTURES["residual"](0), 1)[0], tmp_path)
    with pytest.raises(BuildError, match=r"^the engine of .* is wrong: output 'heatmaps'"):
        build(network(), out=tmp_path / "out", options=options(backends=("openvino",)))
    assert not list((tmp_path / "out").glob("openvino*"))


def test_an_engine_that_computes_something_else_later_is_refused(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build(network(), out=tmp_path / "out", options=options(backends=("onnxruntime",))).engines[0]
    open_engine(folder, OpenOptions(check=True))[0].close()
    load(folder, check=True).close()
    real = onnxruntime.OnnxRuntimeSession.run

    def later(session: Any, feed: Any) -> dict[str, np.ndarray]:
        return {name: value * np.float32(1.01) for name, value in real(session, feed).items()}

    monkeypatch.setattr(onnxruntime.OnnxRuntimeSession, "run", later)
    with pytest.raises(EngineError, match=r"computes wrongly here: output 'heatmaps'.*Rebuild it here with: edgepose"):
        open_engine(folder, OpenOptions(check=True))
    (found,) = check(folder)
    assert not found.ok and "relative error is 0.01" in str(found.problem)
    assert found.lines()[0].startswith(f"{folder} FAILS: on 5 crops")
    assert found.to_json()["ok"] is False
    open_engine(folder, OpenOptions())[0].close()


def test_a_sample_that_is_missing_or_altered(network: Network, tmp_path: Path) -> None:
    folder = build(network(), out=tmp_path / "out", options=options(backends=("onnxruntime",))).engines[0]
    sample = folder / acceptance.NAME
    sample.write_bytes(sample.read_bytes() + b"\0")
    assert "acceptance.npz was altered" in str(check(folder)[0].problem)
    sample.unlink()
    assert "acceptance.npz is missing" in str(check(folder)[0].problem)
    load(folder).close()  # it is not needed to run the engine
    with pytest.raises(EngineError, match="missing, so that it cannot be checked"):
        load(folder, check=True)


def shared(opset: int = 17, kinds: tuple[str, ...] = ("Conv", "ConvTranspose")) -> onnx.ModelProto:
    """Layers that read one weight [16, 16, 3, 3]."""
    random = np.random.default_rng(3)
    draw = lambda *shape: random.normal(0, 0.15, shape).astype(np.float32)  # noqa: E731
    constants = [("stem", draw(16, 3, 3, 3)), ("w", draw(16, 16, 3, 3)), ("head", draw(14, 16, 1, 1))]
    nodes = [helper.make_node("Conv", ["input", "stem"], ["x0"], "stem", strides=[2, 2], pads=[1] * 4)]
    for index, kind in enumerate(kinds):
        nodes.append(helper.make_node(kind, [f"x{index}", "w"], [f"x{index + 1}"], f"layer{index}", pads=[1] * 4))
    nodes.append(helper.make_node("Conv", [f"x{len(kinds)}", "head"], ["heatmaps"], "last"))
    graph = helper.make_graph(
        nodes,
        "shared",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, 32, 24])],
        [helper.make_tensor_value_info("heatmaps", TensorProto.FLOAT, ["n", 14, 16, 12])],
        [numpy_helper.from_array(value, name) for name, value in constants],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.mark.parametrize(
    "kinds",
    [
        ("Conv", "ConvTranspose"),
        ("ConvTranspose", "Conv"),
        ("Conv", "Conv", "ConvTranspose"),
        ("ConvTranspose", "Conv", "ConvTranspose", "Conv"),
    ],
)
@pytest.mark.parametrize("twice", [False, True])
def test_a_shared_weight_is_right_in_openvino(
    kinds: tuple[str, ...], twice: bool, network: Network, tmp_path: Path
) -> None:
    model = shared(kinds=kinds)
    if twice:  # equal constants of two names are one in OpenVINO's file
        copy = onnx.TensorProto()
        copy.CopyFrom(next(item for item in model.graph.initializer if item.name == "w"))
        copy.name = "again"
        model.graph.initializer.append(copy)
        next(node for node in model.graph.node if node.op_type == "ConvTranspose").input[1] = "again"
    (folder,) = build(network(model=model), out=tmp_path / "out", options=options(backends=("openvino",))).engines
    assert check(folder)[0].ok


def test_the_shared_weight_of_the_cases(cases: Path, tmp_path: Path) -> None:
    spec = cases / "onnx" / "heat.toml"
    result = build(cases / "onnx" / "shared_weight.onnx", out=tmp_path, options=options(spec=spec))
    assert [found.ok for found in check(result.engines)] == [True, True]


def antialiased(factor: float) -> onnx.ModelProto:
    net = shared(18, kinds=("Conv",))
    sizes = numpy_helper.from_array(np.array([1, 1, factor, factor], np.float32), "factor")
    back = numpy_helper.from_array(np.array([1, 14, 16, 12], np.int64), "back")
    net.graph.initializer.extend([sizes, back])
    del net.graph.node[-1]
    net.graph.node.extend([
        helper.make_node("Conv", ["x1", "head"], ["maps"], "last"),
        helper.make_node("Resize", ["maps", "", "factor"], ["small"], "antialiased", mode="linear", antialias=1),
        helper.make_node("Resize", ["small", "", "", "back"], ["heatmaps"], "back", mode="nearest"),
    ])  # fmt: skip
    net.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    net.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1
    return net


@pytest.mark.parametrize("factor", [0.5, 0.3, 2.0])
def test_an_antialiased_resize_is_right_or_refused(factor: float, network: Network, tmp_path: Path) -> None:
    """OpenVINO computes it by another rule; ONNX Runtime is the reference."""
    path = network(model=antialiased(factor))
    assert build(path, out=tmp_path / "a", options=options(backends=("onnxruntime",))).engines
    try:
        (folder,) = build(path, out=tmp_path / "b", options=options(backends=("openvino",))).engines
    except BuildError as error:
        assert "small" in str(error) or "cannot build" in str(error)
        assert not (tmp_path / "b" / "openvino-fp32").exists()
    else:
        assert check(folder)[0].ok


@pytest.mark.parametrize("precisions", [("fp16",), ("int8", "fp16"), ("fp16", "fp32")])
def test_the_loss_of_a_precision_does_not_hide_a_wrong_backend(
    precisions: tuple[str, ...], network: Network, tmp_path: Path
) -> None:
    path = network(model=antialiased(0.5))
    made = options(*precisions, backends=("openvino",), calib="synthetic:32" if "int8" in precisions else None)
    with pytest.raises(BuildError, match="does not run this network rightly in float32") as refusal:
        build(path, out=tmp_path / "out", options=made)
    assert "'small' of node 'antialiased' (Resize)" in str(refusal.value)
    assert not list((tmp_path / "out").glob("openvino-*"))


def test_a_file_that_states_an_impossible_image_is_not_compared_and_says_so(network: Network, tmp_path: Path) -> None:
    """Some exporters write 0 for an axis that they do not know; plain ONNX Runtime takes it as a length."""
    path = network("residual")
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 0
    onnx.save(model, path)
    said: list[str] = []
    spec = tmp_path / "net.toml"
    spec.write_text('name = "net"\nskeleton = "lsp14"\ninput = { size = [32, 24] }\n')
    build(path, out=tmp_path / "out", options=options("fp32", backends=("onnxruntime",), spec=spec), note=said.append)
    assert any("not compared with the file" in line for line in said)
