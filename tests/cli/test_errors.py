"""Bad input: one clear line, the right exit code, and nothing lost or half written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.spec import embed_spec, embedded_spec


def classifier(path: Path) -> Path:
    """A network that is no pose network: one vector out."""
    weight = numpy_helper.from_array(np.ones((10, 3, 8, 8), np.float32), "w")
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["a"], "conv"),
        helper.make_node("GlobalAveragePool", ["a"], ["b"], "pool"),
        helper.make_node("Flatten", ["b"], ["classes"], "flat"),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 64, 48])
    out = helper.make_tensor_value_info("classes", TensorProto.FLOAT, [1, 10])
    graph = helper.make_graph(nodes, "classifier", [image], [out], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return path


def pose_net(path: Path, joints: int = 17, opset: int = 9) -> Path:
    """A foreign network of an old opset: [1, 3, 64, 48] -> [1, joints, 16, 12], weights among the inputs."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=(8, 3, 4, 4)).astype(np.float32) * 0.2
    second = rng.normal(size=(joints, 8, 1, 1)).astype(np.float32)
    weights = [numpy_helper.from_array(first, "w1"), numpy_helper.from_array(second, "w2")]
    nodes = [
        helper.make_node("Conv", ["data", "w1"], ["a"], "stem", strides=[4, 4]),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("Conv", ["b", "w2"], ["maps"], "head"),
    ]
    inputs = [
        helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 3, 64, 48]),
        helper.make_tensor_value_info("w1", TensorProto.FLOAT, first.shape),
        helper.make_tensor_value_info("w2", TensorProto.FLOAT, second.shape),
    ]
    out = helper.make_tensor_value_info("maps", TensorProto.FLOAT, [1, joints, 16, 12])
    graph = helper.make_graph(nodes, "foreign", inputs, [out], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=4), str(path))
    return path


def spec_toml(path: Path, **changes: str) -> Path:
    lines = {"name": '"foreign"', "skeleton": '"coco17"'} | changes
    path.write_text("\n".join(f"{key} = {value}" for key, value in lines.items()))
    return path


def test_foreign_network_of_opset_9_is_measured_on_shared_joints(edgepose: Callable[..., Any], tmp_path: Path) -> None:
    net, spec = pose_net(tmp_path / "net.onnx"), spec_toml(tmp_path / "net.toml")
    out = tmp_path / "out"
    done = edgepose("build", net, "--spec", spec, "--precision", "fp32", "--out", out)
    assert done.code == 0, done.err
    done = edgepose("eval", out / "openvino-fp32", "--data", "synthetic:32", "--json", tmp_path / "eval.json")
    assert done.code == 0, done.err
    entry = json.loads((tmp_path / "eval.json").read_text())["engines"][0]
    assert len(entry["joints"]) == 12
    assert "neck" not in entry["joints"]


def test_network_without_spec(edgepose: Callable[..., Any], tmp_path: Path) -> None:
    """19 maps are no usual skeleton, so the network is not recognized."""
    done = edgepose("build", pose_net(tmp_path / "net.onnx", 19), "--precision", "fp32", "--out", tmp_path / "out")
    assert done.code == 1
    assert "--spec" in done.err
    assert not (tmp_path / "out").exists()


def test_no_pose_network(edgepose: Callable[..., Any], tmp_path: Path) -> None:
    net, spec = classifier(tmp_path / "net.onnx"), spec_toml(tmp_path / "net.toml")
    done = edgepose("build", net, "--spec", spec, "--precision", "fp32", "--out", tmp_path / "out")
    assert done.code == 1
    assert "heatmap" in done.err


def test_no_onnx(edgepose: Callable[..., Any], tmp_path: Path) -> None:
    net = tmp_path / "net.onnx"
    net.write_bytes(b"this is no model")
    done = edgepose("build", net, "--precision", "fp32", "--out", tmp_path / "out")
    assert done.code == 1
    assert "net.onnx" in done.err


def test_percentile_is_for_the_method_percentile(edgepose: Callable[..., Any], tmp_path: Path) -> None:
    done = edgepose("build", "lite", "--percentile", "99", "--out", tmp_path / "out")
    assert done.code == 2
    assert "--percentile is for method percentile, not image_max" in done.err


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"skeletn": '"coco17"'}, "did you mean 'skeleton'"),
        ({"skeleton": '"lsp14"'}, "14"),
        ({"input": "{ size = [64] }"}, "input.size"),
        ({"input": "{ size = [32, 32] }"}, "size"),
        ({"codec": '{ type = "heatmaps" }'}, "did you mean 'heatmap'"),
    ],
)
def test_wrong_spec(edgepose: Callable[..., Any], tmp_path: Path, changes: dict[str, str], says: str) -> None:
    net, spec = pose_net(tmp_path / "net.onnx"), spec_toml(tmp_path / "net.toml", **changes)
    done = edgepose("build", net, "--spec", spec, "--precision", "fp32", "--out", tmp_path / "out")
    assert done.code == 1
    assert says in done.err


RTX = ("build", "lite", "--out", "X", "--backend", "tensorrt_rtx")
CPU = ("build", "lite", "--out", "X", "--backend", "openvino")


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("build", "lit", "--out", "X"), 2, "did you mean 'lite'"),
        (("build", "lite", "--precision", "int9", "--out", "X"), 2, "did you mean 'int8'"),
        (("build", "lite", "--backend", "tensorrt", "--out", "X"), 1, "pip install tensorrt"),
        ((*CPU, "--dla-core", "0"), 2, "--dla-core is for --backend tensorrt"),
        ((*CPU, "--batch", "1,1,1"), 2, "--batch is for --backend tensorrt or tensorrt_rtx"),
        ((*RTX, "--batch", "1,8"), 2, "expected MIN,OPT,MAX"),
        ((*RTX, "--batch", "4,1,8"), 2, "MIN <= OPT"),
        ((*RTX, "--capability", "SM85"), 1, "did you mean 'SM8"),
        ((*RTX, "--timing-cache", "T"), 2, "--timing-cache is for --backend tensorrt,"),
        (("build", "lite", "--trtexec", "--out", "X"), 2, "give --backend tensorrt"),
        (("eval", "nothing", "--data", "synthetic:32"), 1, "no engine folder at nothing"),
        (("inspect", "nothing"), 1, "nothing"),
        (("report", "nothing"), 1, "eval.json"),
        (("train", "litte", "--data", "synthetic:64", "--out", "X"), 2, "did you mean 'lite'"),
    ],
)
@pytest.mark.usefixtures("without_tensorrt")
def test_wrong_words(
    edgepose: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    args: tuple[str, ...],
    code: int,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = edgepose(*args)
    assert done.code == code, done.err
    assert says in done.err
    assert not any(tmp_path.iterdir())


def test_too_few_and_blank_photographs(
    edgepose: Callable[..., Any], engines: Path, photographs: Path, tmp_path: Path
) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted(photographs.iterdir())[:31]:
        shutil.copy(path, few)
    done = edgepose("calibrate", engines / "fp32.onnx", "--data", f"images:{few}", "--out", tmp_path / "s.json")
    assert done.code == 1
    assert "32" in done.err
    cv2.imwrite(str(photographs / "007.jpg"), np.zeros((128, 96, 3), np.uint8))
    done = edgepose("calibrate", engines / "fp32.onnx", "--data", f"images:{photographs}", "--out", tmp_path / "s.json")
    assert done.code == 1
    assert "007.jpg" in done.err
    assert not (tmp_path / "s.json").exists()


def test_scales_of_another_network_are_refused(edgepose: Callable[..., Any], engines: Path, tmp_path: Path) -> None:
    scales = json.loads((engines / "scales.json").read_text())
    scales["onnx_sha256"] = "0" * 64
    (tmp_path / "scales.json").write_text(json.dumps(scales))
    done = edgepose(
        "build", "lite", "--precision", "int8", "--scales", tmp_path / "scales.json", "--out", tmp_path / "out"
    )
    assert done.code == 1
    assert "the ONNX" in done.err
    assert "edgepose calibrate" in done.err


def test_photographs_that_changed_after_calibration_are_refused(
    edgepose: Callable[..., Any], engines: Path, calibrated: Path, photographs: Path, tmp_path: Path
) -> None:
    build = (
        "build",
        engines / "fp32.onnx",
        "--precision",
        "int8",
        "--no-guard",
        "--calib",
        f"images:{photographs}",
        "--out",
    )
    out = calibrated
    again = edgepose(*build, tmp_path / "again", "--scales", out / "scales.json")
    assert again.code == 0, again.err
    cv2.imwrite(str(photographs / "000.jpg"), cv2.imread(str(photographs / "001.jpg")))
    done = edgepose(*build, tmp_path / "changed", "--scales", out / "scales.json")
    assert done.code == 1
    assert "the image list" in done.err
    assert "give labeled ones with --guard" in done.err
    assert not (tmp_path / "changed" / "openvino-int8").exists()


@pytest.mark.parametrize("damage", ["missing", "altered", "manifest"])
def test_damaged_engine(edgepose: Callable[..., Any], engines: Path, tmp_path: Path, damage: str) -> None:
    engine = tmp_path / "engine"
    shutil.copytree(engines / "openvino-fp32", engine)
    if damage == "missing":
        (engine / "model.bin").unlink()
    elif damage == "altered":
        with (engine / "model.bin").open("ab") as file:
            file.write(b"x")
    else:
        (engine / "manifest.json").write_text("{")
    done = edgepose("eval", engine, "--data", "synthetic:32")
    assert done.code == 1
    assert "rebuild" in done.err


@pytest.mark.parametrize(
    ("source", "says"),
    [("nothing.mp4", "nothing.mp4"), ("camera:99", "camera"), ("broken.mp4", "broken.mp4"), ("cut.jpg", "truncated")],
)
def test_unreadable_source(
    edgepose: Callable[..., Any], engines: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    source: str, says: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.mp4").write_bytes(b"no video" * 100)
    (tmp_path / "cut.jpg").write_bytes((photographs / "000.jpg").read_bytes()[:-200])
    done = edgepose("run", engines / "openvino-fp32", "--source", source, "--out-json", "poses.json")
    assert done.code == 1, done.err
    assert says in done.err


def test_build_never_replaces_what_another_build_left(
    edgepose: Callable[..., Any], engines: Path, calibrated: Path, tmp_path: Path
) -> None:
    """Neither graphs nor scales of another network or calibration give way without --overwrite."""
    out = tmp_path / "out"
    shutil.copytree(calibrated, out)
    shutil.copy(engines / "fp32.onnx", out)
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    net, spec = pose_net(tmp_path / "net.onnx"), spec_toml(tmp_path / "net.toml")
    done = edgepose("build", net, "--spec", spec, "--precision", "fp32", "--out", out)
    assert done.code == 2
    assert "fp32.onnx exists" in done.err
    done = edgepose("build", "lite", "--precision", "int8", "--backend", "onnxruntime", "--out", out)
    assert done.code == 2
    assert "scales.json exists" in done.err
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before


def test_scales_of_another_method_are_stale(
    edgepose: Callable[..., Any], engines: Path, calibrated: Path, photographs: Path, tmp_path: Path
) -> None:
    build = ("build", engines / "fp32.onnx", "--precision", "int8", "--no-guard", "--calib", f"images:{photographs}")
    build = (*build, "--out", tmp_path / "out")
    shutil.copytree(calibrated, tmp_path / "out")
    done = edgepose(*build, "--backend", "onnxruntime", "--method", "percentile")
    assert done.code == 1
    assert "the method" in done.err
    assert "--method percentile" in done.err
    assert "--overwrite" in done.err


def test_without_a_method_the_contract_decides(
    edgepose: Callable[..., Any], engines: Path, photographs: Path, tmp_path: Path
) -> None:
    """Observed anew by the contract's method; scales that another method left are stale."""
    net = onnx.load(engines / "fp32.onnx")
    embed_spec(net, replace(embedded_spec(net, "lite"), quantize=QuantizeOptions(method="mse")))
    onnx.save(net, tmp_path / "net.onnx")
    build = ("build", tmp_path / "net.onnx", "--precision", "int8", "--no-guard", "--calib", f"images:{photographs}")
    assert edgepose(*build, "--out", tmp_path / "a").code == 0
    assert json.loads((tmp_path / "a" / "scales.json").read_text())["method"] == "mse"
    assert edgepose(*build, "--out", tmp_path / "b", "--method", "minmax").code == 0
    done = edgepose(*build, "--out", tmp_path / "b", "--backend", "onnxruntime")
    assert done.code == 1
    assert "the method (scales: minmax, now: mse)" in done.err


def test_a_backend_named_twice_is_built_once(edgepose: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = edgepose("build", "lite", "--precision", "fp32", "--backend", "auto,openvino", "--out", out)
    assert done.code == 0, done.err
    assert done.out.split() == [str(out / "openvino-fp32")]


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_graph_of_another_precision_is_no_source(
    edgepose: Callable[..., Any], engines: Path, tmp_path: Path, precision: str
) -> None:
    done = edgepose("build", engines / f"{precision}.onnx", "--precision", "fp32", "--out", tmp_path / "out")
    assert done.code == 1
    assert "float ONNX" in done.err
    assert not (tmp_path / "out").exists()


def test_options_that_would_do_nothing(edgepose: Callable[..., Any], tmp_path: Path) -> None:
    spec = spec_toml(tmp_path / "net.toml")
    done = edgepose("build", "lite", "--spec", spec, "--out", tmp_path / "out")
    assert (done.code, "--spec" in done.err) == (2, True)
    done = edgepose("build", "lite", "--precision", "fp32", "--method", "mse", "--out", tmp_path / "out")
    assert (done.code, "--method" in done.err) == (2, True)


def test_two_outputs_cannot_be_one_file(
    edgepose: Callable[..., Any], engines: Path, photographs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "poses.json"
    done = edgepose("run", engines / "openvino-fp32", "--source", photographs, "--out-json", out, "--out-csv", out)
    assert done.code == 2
    assert not out.exists()


def test_eval_checks_every_engine_before_it_works(edgepose: Callable[..., Any], engines: Path, tmp_path: Path) -> None:
    done = edgepose("eval", engines / "openvino-fp32", tmp_path / "nothing", "--data", "synthetic:32")
    assert done.code == 1
    assert "eval " not in done.err.replace("edgepose eval", "")


def test_inspect_of_what_edgepose_did_not_write(edgepose: Callable[..., Any], tmp_path: Path) -> None:
    for name, text in (("a.json", '{"engines": 3}'), ("b.json", "{"), ("c.onnx", "x"), ("d.txt", "x")):
        (tmp_path / name).write_text(text)
        assert edgepose("inspect", tmp_path / name).code == 1


def test_run_without_outputs_prints_a_line_per_frame(
    edgepose: Callable[..., Any], engines: Path, photographs: Path
) -> None:
    done = edgepose("run", engines / "openvino-fp32", "--source", photographs)
    assert done.code == 0, done.err
    frames = [json.loads(line) for line in done.out.splitlines()]
    assert [frame["frame"] for frame in frames] == sorted(path.name for path in photographs.iterdir())
    assert all(len(person["keypoints"]) == 3 * 14 for frame in frames for person in frame["people"])
