"""The verbs on networks without a contract, and on the folders that they were published in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from published import JOINTS, MEAN, SIZE, STD, mmdeploy_folder, places, pose_pipeline, returning, simcc_vectors

from edgepose.api.build import build
from edgepose.api.cache import EngineChoice, engine_folder
from edgepose.api.calibrate import calibrate
from edgepose.api.contract import check_contract
from edgepose.api.inspect import TOML, contract_toml, inspect
from edgepose.api.load import load
from edgepose.api.request import BuildOptions
from edgepose.artifacts.manifest import read_manifest
from edgepose.artifacts.spec import embedded_spec
from edgepose.errors import EdgeposeError, EngineError, ModelError, SpecError
from edgepose.graph.folder import network_file
from edgepose.graph.lookup import load_onnx

FP32 = BuildOptions(precisions=("fp32",), backends=("onnxruntime",))
FRAME = np.full((300, 400, 3), 90, np.uint8)
PERSON = np.array([[100.0, 20.0, 220.0, 260.0]], np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """RTMPose as its download has it: a stub of its graph that finds fixed joints."""
    return mmdeploy_folder(tmp_path / "rtmpose", returning(simcc_vectors(places())), pose_pipeline())


def in_box(box: np.ndarray = PERSON[0]) -> np.ndarray:
    """Where the stub's joints are in the image: the crop is the box, 1.25 times as large and 3 : 4."""
    center, (width, height) = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    height = max(height, width * 4 / 3) * 1.25
    return center + ((places() + 0.5) / SIZE[0] - np.array([0.375, 0.5])) * height


def test_a_network_is_built_without_a_spec(tmp_path: Path) -> None:
    onnx.save(returning(simcc_vectors(places())), tmp_path / "mine.onnx")
    notes: list[str] = []
    made = build(tmp_path / "mine.onnx", out=tmp_path / "out", options=FP32, note=notes.append)
    assert f"{tmp_path}/mine.onnx: recognized as simcc by the names of its inputs and outputs" in notes
    guesses = [line for line in notes if "is a guess" in line]
    assert [line.split()[1] for line in guesses] == [
        "input.color", "input.mean", "input.std", "crop.padding", "skeleton",
    ]  # fmt: skip
    (engine,) = made.engines
    manifest = read_manifest(engine)
    assert set(guesses) <= set(manifest.notes)
    found = inspect(made.graphs["fp32"])
    assert found["recognized"] == "as simcc by the names of its inputs and outputs"
    assert found["guessed"] == [line.removeprefix("contract: ") for line in guesses]
    with load(engine) as model:
        poses = model(FRAME, boxes=PERSON)
    assert np.allclose(poses.xy_image[0], in_box(), atol=0.01)


def test_a_rewritten_network_is_built_without_a_spec(tmp_path: Path) -> None:
    """Its graphs and engines are compared with the rewritten graph, as the file has other outputs."""
    scores = np.full(JOINTS, 0.5, np.float32)
    onnx.save(returning({"pts": places(), "scores": scores}), tmp_path / "net.onnx")
    notes: list[str] = []
    made = build(tmp_path / "net.onnx", out=tmp_path / "out", options=FP32, note=notes.append)
    assert not [line for line in notes if "not compared" in line or "not checked" in line]
    with load(made.engines[0]) as model:
        poses = model(FRAME, boxes=PERSON)
    assert np.allclose(poses.xy_image[0], in_box(), atol=0.01) and np.allclose(poses.scores, 0.5)
    (tmp_path / "net.toml").write_text(contract_toml(tmp_path / "net.onnx"))
    assert 'family = "joints"' in (tmp_path / "net.toml").read_text()
    options = BuildOptions(precisions=("fp32",), backends=("onnxruntime",), spec=tmp_path / "net.toml")
    again = build(tmp_path / "net.onnx", out=tmp_path / "again", options=options)
    specs = [embedded_spec(load_onnx(one.graphs["fp32"]), "") for one in (made, again)]
    assert specs[0] == specs[1]


def test_a_folder_of_mmdeploy_runs(folder: Path, tmp_path: Path, edgepose: Callable[..., Any]) -> None:
    picture = tmp_path / "frame.png"
    cv2.imwrite(str(picture), FRAME)
    done = edgepose("run", folder, "--source", picture)
    assert done.code == 0
    (person,) = json.loads(done.out)["people"]
    xy = np.array(person["keypoints"]).reshape(-1, 3)[:, :2]
    height, width = FRAME.shape[:2]
    assert np.allclose(xy, in_box(np.array([-0.5, -0.5, width - 0.5, height - 0.5])), atol=0.01)


def detector_pipeline() -> dict[str, Any]:
    """pipeline.json of RTMDet-nano, as mmdeploy writes it."""
    mean, std = [103.53, 116.28, 123.675], [57.375, 57.12, 58.395]
    transforms = [
        {"type": "LoadImageFromFile"},
        {"type": "Resize", "keep_ratio": True, "size": [320, 320]},
        {"type": "Pad", "size": [320, 320], "pad_val": {"img": [114, 114, 114]}},
        {"type": "Normalize", "mean": mean, "std": std, "to_rgb": False},
        {"type": "ImageToTensor", "keys": ["img"]},
    ]
    tasks = [
        {"type": "Task", "module": "Transform", "name": "Preprocess", "transforms": transforms},
        {"type": "Task", "module": "Net", "name": "rtmdet", "input_map": {"img": "input"}, "output_map": {}},
        {"type": "Task", "module": "mmdet", "name": "postprocess", "component": "ResizeBBox",
         "params": {"score_thr": 0.05, "nms": {"type": "nms", "iou_threshold": 0.65}}},
    ]  # fmt: skip
    return {"pipeline": {"input": ["img"], "output": ["post_output"], "tasks": tasks}}


def test_the_two_folders_of_an_rtmpose_download(
    folder: Path, published_model: Callable[[str], Path], data_root: Path, tmp_path: Path, edgepose: Callable[..., Any]
) -> None:
    """`edgepose run rtmpose --detector rtmdet`, with the real RTMDet-nano in front of the stub."""
    rtmdet = mmdeploy_folder(tmp_path / "rtmdet", onnx.load(published_model("rtmdet_nano")), detector_pipeline())
    picture = data_root / "lsp" / "images" / "im0001.jpg"
    done = edgepose("run", folder, "--detector", rtmdet, "--source", picture)
    assert done.code == 0
    people = json.loads(done.out)["people"]
    assert people
    with load(folder, detector=rtmdet) as model:
        poses = model(picture)
    assert len(poses.boxes_xyxy) == len(people)
    for person, box in zip(people, poses.boxes_xyxy, strict=True):
        xy = np.array(person["keypoints"]).reshape(-1, 3)[:, :2]
        assert np.allclose(xy, in_box(box), atol=0.1)
    (tmp_path / "rtmdet.toml").write_text(contract_toml(rtmdet))
    with load(rtmdet / "end2end.onnx", spec=tmp_path / "rtmdet.toml") as stated, load(rtmdet) as recognized:
        assert np.array_equal(stated(picture).boxes_xyxy, recognized(picture).boxes_xyxy)


def test_the_folder_decides_the_entry_of_the_cache(folder: Path, tmp_path: Path) -> None:
    """A corrected pipeline.json is another contract, so that the engine is built again."""
    choice = EngineChoice(precision="fp32", backend="onnxruntime")
    cache = tmp_path / "cache"
    first = engine_folder(folder, choice, cache_dir=cache)
    assert engine_folder(folder / "end2end.onnx", choice, cache_dir=cache) == first
    (folder / "pipeline.json").write_text(json.dumps(pose_pipeline(padding=1.5)))
    second = engine_folder(folder, choice, cache_dir=cache)
    assert second != first
    assert [read_manifest(entry).spec.crop.padding for entry in (first, second)] == [1.25, 1.5]


def test_a_folder_is_inspected_and_checked(folder: Path) -> None:
    value = inspect(folder)
    assert value["recognized"] == "as mmdeploy from the files beside it"
    assert value[TOML] == contract_toml(folder).splitlines()
    assert not any(line.startswith("family") for line in value[TOML]) and 'type = "simcc"' in value[TOML]
    assert check_contract(folder).ok


def test_inspect_prints_the_contract_to_edit(tmp_path: Path, edgepose: Callable[..., Any]) -> None:
    onnx.save(returning(simcc_vectors(places())), tmp_path / "net.onnx")
    text = edgepose("inspect", tmp_path / "net.onnx", "--toml").out
    assert text == contract_toml(tmp_path / "net.onnx")
    outline = edgepose("inspect", tmp_path / "net.onnx").out
    assert all(line in outline for line in text.splitlines())
    (line,) = [line for line in text.splitlines() if line.startswith("mean")]
    assert line.startswith("mean = [123.675, 116.28, 103.53]  # guessed: that of ImageNet is assumed")
    built = build(tmp_path / "net.onnx", out=tmp_path / "out", options=FP32)
    for path in (built.graphs["fp32"], *built.engines):
        assert "[codec]" in edgepose("inspect", path, "--toml").out
    (tmp_path / "scales.json").write_text("{}")
    assert edgepose("inspect", tmp_path / "scales.json", "--toml").code == 1


def test_inspect_of_an_unknown_network(tmp_path: Path, edgepose: Callable[..., Any]) -> None:
    onnx.save(returning({"odd": np.zeros((3, 7), np.float32)}), tmp_path / "odd.onnx")
    assert inspect(tmp_path / "odd.onnx")["contract"].startswith("none: ")
    done = edgepose("inspect", tmp_path / "odd.onnx", "--toml")
    assert done.code == 1 and "is not recognized" in done.err and "odd float32 [batch, 3, 7]" in done.err
    with pytest.raises(SpecError, match="is not recognized"):
        build(tmp_path / "odd.onnx", out=tmp_path / "out", options=FP32)


def conv_network() -> onnx.ModelProto:
    """A small network of 17 maps."""
    random = np.random.default_rng(0)
    shapes = ((16, 3, 4, 4), (16, 16, 1, 1), (16, 16, 1, 1), (JOINTS, 16, 1, 1))
    names = ["input", "first", "second", "third", "heatmaps"]
    weights, nodes = [], []
    for index, shape in enumerate(shapes):
        values = random.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"w{index}"))
        output, stride = f"conv{index}", 4 if index == 0 else 1
        nodes.append(helper.make_node("Conv", [names[index], f"w{index}"], [output], output, strides=[stride] * 2))
        nodes.append(helper.make_node("Relu", [output], [names[index + 1]], f"relu{index}"))
    ports = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("input", ["batch", 3, *SIZE]), ("heatmaps", ["batch", JOINTS, 64, 48]))
    ]
    graph = helper.make_graph(nodes, "net", ports[:1], ports[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def test_scales_of_a_recognized_network_are_those_that_its_build_takes(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(40):
        image = np.random.default_rng(i).integers(0, 255, (64, 48, 3), np.uint8)
        cv2.imwrite(str(photos / f"{i}.png"), image)
    onnx.save(conv_network(), tmp_path / "net.onnx")
    notes: list[str] = []
    scales = calibrate(tmp_path / "net.onnx", data=f"images:{photos}", out=tmp_path / "scales.json", note=notes.append)
    assert any("input.mean" in line for line in notes) and scales.tensors
    options = BuildOptions(
        precisions=("int8",), backends=("onnxruntime",), scales=tmp_path / "scales.json", no_guard=True
    )
    made = build(tmp_path / "net.onnx", out=tmp_path / "out", options=options)
    assert made.engines and "int8" in made.graphs


@pytest.mark.parametrize("kind", ["bgr", "0..1", "0..255"])
def test_a_wrong_guess_is_found_on_photographs(
    kind: str, published_model: Callable[[str], Path], data_root: Path, tmp_path: Path
) -> None:
    """PP-TinyPose behind nodes that make it take other pixels than those that are assumed."""
    onnx.save(taking(onnx.load(published_model("pp_tinypose_256x192")), kind), tmp_path / "net.onnx")
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in sorted((data_root / "lsp" / "images").glob("*.jpg"))[:44]:
        shutil.copy(path, photos)
    notes: list[str] = []
    options = BuildOptions(precisions=("fp32",), backends=("onnxruntime",), calib=f"images:{photos}")
    made = build(tmp_path / "net.onnx", out=tmp_path / "out", options=options, note=notes.append)
    tested = [line for line in notes if "guesses tested" in line]
    proposed = {
        "bgr": f'color = "bgr", mean = {MEAN[::-1]}, std = {STD[::-1]}',
        "0..1": 'color = "rgb", mean = [0.0, 0.0, 0.0], std = [255.0, 255.0, 255.0]',
        "0..255": 'color = "rgb", mean = [0.0, 0.0, 0.0], std = [1.0, 1.0, 1.0]',
    }
    assert any(proposed[kind] in line for line in tested), tested
    spec = embedded_spec(load_onnx(made.graphs["fp32"]), "")
    assert spec.input.color == "rgb" and spec.input.mean == tuple(MEAN)  # it is proposed, not taken


def taking(model: onnx.ModelProto, kind: str) -> onnx.ModelProto:
    """The network behind nodes that turn other pixels into those that it was trained with."""
    name = model.graph.input[0].name
    for node in model.graph.node:
        for index, read in enumerate(node.input):
            node.input[index] = "pixels" if read == name else read
    mean, std = (np.array(values, np.float32).reshape(1, 3, 1, 1) for values in (MEAN, STD))
    if kind == "bgr":
        constants = {"order": np.array([2, 1, 0])}
        nodes = [helper.make_node("Gather", [name, "order"], ["pixels"], "first", axis=1)]
    else:
        constants = {"factor": (255 if kind == "0..1" else 1) / std, "offset": -mean / std}
        nodes = [
            helper.make_node("Mul", [name, "factor"], ["scaled"], "first"),
            helper.make_node("Add", ["scaled", "offset"], ["pixels"], "second"),
        ]
    for node in reversed(nodes):
        model.graph.node.insert(0, node)
    for constant, value in constants.items():
        dtype = np.int64 if value.dtype.kind == "i" else np.float32
        model.graph.initializer.append(numpy_helper.from_array(value.astype(dtype), constant))
    return model


def test_the_network_of_a_folder(folder: Path, tmp_path: Path) -> None:
    assert network_file(folder) == folder / "end2end.onnx"
    assert network_file(folder / "end2end.onnx") == folder / "end2end.onnx"
    mmdeploy_folder(tmp_path / "other", load_onnx(folder / "end2end.onnx"), pose_pipeline(), net="pose.onnx")
    assert network_file(tmp_path / "other") == tmp_path / "other" / "pose.onnx"
    (tmp_path / "plain").mkdir()
    with pytest.raises(EngineError, match=r"is not an engine folder: it has no manifest.json, and it holds no network"):
        network_file(tmp_path / "plain")
    shutil.copy(folder / "end2end.onnx", tmp_path / "plain" / "a.onnx")
    assert network_file(tmp_path / "plain") == tmp_path / "plain" / "a.onnx"
    shutil.copy(folder / "end2end.onnx", tmp_path / "plain" / "b.onnx")
    with pytest.raises(ModelError, match=r"holds several networks .a.onnx, b.onnx."):
        network_file(tmp_path / "plain")


@pytest.mark.parametrize(
    ("deploy", "why"),
    [
        ("{", "is no deploy.json of mmdeploy"),
        ('{"models": 3}', "is no deploy.json of mmdeploy"),
        ('{"models": []}', "names 0 networks"),
        ('{"models": [{"net": "end2end.engine"}]}', "names the network 'end2end.engine', which is no ONNX file"),
        ('{"models": [{"net": "../end2end.onnx"}]}', "which is no ONNX file in this folder"),
        ('{"models": [{"net": "none.onnx"}]}', "which is no ONNX file in this folder"),
    ],
)
def test_a_deploy_json_that_names_no_network(deploy: str, why: str, folder: Path) -> None:
    shutil.copy(folder / "end2end.onnx", folder.parent / "end2end.onnx")
    (folder / "deploy.json").write_text(deploy)
    with pytest.raises(EdgeposeError, match=why):
        engine_folder(folder)


def test_check_lists_the_guesses(tmp_path: Path, edgepose: Callable[..., Any]) -> None:
    """Of a file, of what was imported from it, and of an engine of it."""
    onnx.save(returning(simcc_vectors(places())), tmp_path / "net.onnx")
    built = build(tmp_path / "net.onnx", out=tmp_path / "out", options=FP32)
    report = check_contract(tmp_path / "net.onnx")
    assert [line.split()[0] for line in report.guesses] == [
        "input.color", "input.mean", "input.std", "crop.padding", "skeleton",
    ]  # fmt: skip
    for path in (tmp_path / "net.onnx", built.graphs["fp32"]):
        done = edgepose("check", path)
        assert done.code == 0 and all(f"guess: {line}" in done.out.splitlines() for line in report.guesses)
    assert check_contract(built.engines[0]).guesses == report.guesses
    value = json.loads(edgepose("check", tmp_path / "net.onnx", "--json").out)
    assert value["guesses"] == list(report.guesses)
    done = edgepose("check", tmp_path / "net.onnx", built.engines[0])
    assert done.code == 2 and "one network at a time" in done.err


@pytest.mark.parametrize("kind", ["empty", "other files", "engines", "a network below"])
def test_a_folder_without_a_network_has_one_message(kind: str, tmp_path: Path, edgepose: Callable[..., Any]) -> None:
    place = tmp_path / "place"
    place.mkdir()
    said = "it holds no network (an ONNX file); make an engine with: edgepose build MODEL --out DIR"
    if kind == "other files":
        (place / "README.md").write_text("nothing")
    if kind == "engines":
        for name in ("a", "b"):
            (place / name).mkdir()
            (place / name / "manifest.json").write_text("{}")
        said = "it holds the engines a, b: name one of them"
    if kind == "a network below":
        (place / "deep" / "er").mkdir(parents=True)
        onnx.save(returning(simcc_vectors(places())), place / "deep" / "er" / "net.onnx")
    whole = f"{place} is not an engine folder: it has no manifest.json"
    data = ("--data", "synthetic:32")
    verbs = (
        ("build", place, "--out", tmp_path / "out"), ("run", place, "--source", tmp_path), ("inspect", place),
        ("inspect", place, "--toml"), ("check", place), ("check", place, *data), ("eval", place, *data),
        ("bench", place), ("calibrate", place, *data, "--out", tmp_path / "scales.json"),
    )  # fmt: skip
    for verb in verbs:
        done = edgepose(*verb)
        text = done.out + done.err
        assert done.code == 1 and whole in text and said in text, (verb, text)
