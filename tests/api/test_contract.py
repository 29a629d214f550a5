"""Contracts that cannot be right are refused or doubted, and compared with alternatives on labeled people."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgepose.api.build import BuildResult, build
from edgepose.api.contract import check_contract
from edgepose.api.inspect import inspect
from edgepose.api.request import BuildOptions
from edgepose.artifacts.spec import IMAGENET_MEAN, IMAGENET_STD, InputSpec, spec_from_dict
from edgepose.backends.onnxruntime import OnnxRuntimeSession
from edgepose.backends.session import OpenOptions
from edgepose.datasets.samples import SampleList, checked_sample
from edgepose.errors import DataError, EdgeposeError, SpecError
from edgepose.measure.alternatives import alternatives
from edgepose.measure.comparison import compare
from edgepose.pose.skeletons import SKELETONS

PLAIN = BuildOptions(precisions=("fp32",), backends=("onnxruntime",))


def made(cases: Path, out: Path, name: str, spec: str, **given: Any) -> BuildResult:
    folder = cases / "onnx"
    return build(folder / f"{name}.onnx", out=out, options=replace(PLAIN, spec=folder / f"{spec}.toml", **given))


def doubts(result: BuildResult) -> list[str]:
    return [line for line in result.notes if line.startswith("contract: ")]


@pytest.mark.parametrize(
    ("name", "spec", "words"),
    [
        ("pixel_coords", "reg", r'codec\.range = "unit": x lies between .* on 8 rendered figures.*these are pixels'),
        ("nhwc_output", "heat", r"'heatmaps' of shape \[1, 32, 24, 14\] looks like maps whose channels are last"),
        ("movenet_output", "heat", r"looks like 14 joints that the network has decoded already \(MoveNet"),
        ("nhwc_all_symbolic", "heat", r"any size; pass --shape HEIGHTxWIDTH to edgepose build, or add input = \{ size"),
        ("nchw_all_symbolic", "heat", r"any size; pass --shape HEIGHTxWIDTH to edgepose build, or add input = \{ size"),
        ("plain", "swapped", r"input\.size is \[96, 128\].*a size is \[HEIGHT, WIDTH\]; these are exchanged"),
    ],
)
def test_what_cannot_be_right_is_refused_with_its_cause(
    cases: Path, tmp_path: Path, name: str, spec: str, words: str
) -> None:
    with pytest.raises(EdgeposeError, match=words) as caught:
        made(cases, tmp_path / "out", name, spec)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "fp32.onnx").exists()


@pytest.mark.parametrize(
    ("name", "spec", "words"),
    [
        ("plain", "unit", "white one [1111, 1136, 1132]"),
        ("dynamic_hw", "swapped", "a size is [HEIGHT, WIDTH]: use [128, 96]"),
    ],
)
def test_what_is_unlikely_is_a_warning_that_stays(
    cases: Path, tmp_path: Path, name: str, spec: str, words: str
) -> None:
    result = made(cases, tmp_path / "out", name, spec)
    (line,) = doubts(result)
    assert words in line
    (folder,) = result.engines
    assert line in result.manifests[folder].notes
    assert line in inspect(folder)["notes"]
    if name == "plain":
        assert any(words in doubt for doubt in inspect(folder)["doubts about the contract"])
        assert any(words in doubt for doubt in inspect(result.graphs["fp32"])["doubts about the contract"])


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("plain", "heat"),
        ("dynamic_hw", "heat_size"),
        ("nchw_all_symbolic", "heat_size"),
        ("nhwc_all_symbolic", "heat_size"),
        ("batch1_baked", "heat"),
    ],
)
def test_contracts_that_are_right_are_silent(cases: Path, tmp_path: Path, name: str, spec: str) -> None:
    assert doubts(made(cases, tmp_path / "out", name, spec)) == []


def test_a_contract_that_was_refused_can_be_corrected(cases: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="these are pixels"):
        made(cases, tmp_path / "out", "pixel_coords", "reg")
    assert doubts(made(cases, tmp_path / "out", "plain", "heat")) == []


def shaped(folder: Path, output: list[int], *, batch: int | str = "batch", baked: int = 0) -> Path:
    """A network of one convolution whose output is reshaped to [batch, *output]."""
    size = int(np.prod(output))
    constants = {
        "w": np.random.default_rng(0).normal(0, 0.1, (8, 3, 8, 8)).astype(np.float32),
        "v": np.random.default_rng(1).normal(0, 0.1, (8 * 16 * 12, size)).astype(np.float32),
        "flat": np.array([baked or -1, 8 * 16 * 12]),
        "shape": np.array([baked or -1, *output]),
    }
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["c"], "/conv", strides=[8, 8]),
        helper.make_node("Reshape", ["c", "flat"], ["f"], "/flat"),
        helper.make_node("MatMul", ["f", "v"], ["m"], "/matmul"),
        helper.make_node("Reshape", ["m", "shape"], ["out"], "/out"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, 128, 96])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [batch, *output])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "n.onnx")
    return folder / "n.onnx"


@pytest.mark.parametrize(
    ("output", "codec", "words"),
    [
        ([15, 16, 12], "heatmap", "one map more than the skeleton 'lsp14' has joints.*background"),
        ([16, 12, 14], "heatmap", "channels are last"),
        ([14, 3], "heatmap", "14 joints that the network has decoded already"),
        ([1, 17, 3], "heatmap", "17 joints that the network has decoded already"),
        ([14, 2], "heatmap", 'decoded already; .*use codec = { type = "regression" }'),
        ([3, 14, 16, 12], "heatmap", "maps of 3 stages"),
        ([56, 336], "heatmap", "336 raw detections"),
        ([14, 768], "heatmap", r"pixels are in one row; add a Reshape to \[-1, 14, 32, 24\]"),
        ([100, 5], "heatmap", "100 boxes with scores of a network that finds people by itself"),
        ([195], "regression", "39 landmarks of BlazePose"),
        ([32, 24, 39], "heatmap", r"channels are last, \[h, w, 39\]"),
        ([2, 14], "regression", r"joints are last; add a Transpose with perm \[0, 2, 1\]"),
        ([14], "heatmap", "one number for each of the 14 joints, as an ArgMax"),
        ([28], "regression", r"flat; add a Reshape to \[-1, 14, 2\]"),
        ([1, 14, 3], "regression", r"axis of length 1 too many; .*\[1, 14, 3\]"),
        ([14, 16, 12], "regression", 'looks like heatmaps; use codec = { type = "heatmap" }'),
        ([14, 12, 16], "heatmap", "height and width are exchanged"),
    ],
)
def test_outputs_of_another_form_are_named(tmp_path: Path, output: list[int], codec: str, words: str) -> None:
    (tmp_path / "spec.toml").write_text(f'name = "n"\nskeleton = "lsp14"\ncodec = {{ type = "{codec}" }}\n')
    options = replace(PLAIN, spec=tmp_path / "spec.toml")
    with pytest.raises(EdgeposeError, match=words):
        build(shaped(tmp_path, output), out=tmp_path / "out", options=options)


@pytest.mark.parametrize("batch", ["batch", 8])
def test_a_batch_that_is_baked_in_is_named(tmp_path: Path, batch: int | str) -> None:
    (tmp_path / "spec.toml").write_text('name = "n"\nskeleton = "lsp14"\n')
    options = replace(PLAIN, spec=tmp_path / "spec.toml")
    with pytest.raises(EdgeposeError, match="runs with 8 images at once, so a batch of 8 is baked into the graph"):
        build(shaped(tmp_path, [14, 16, 12], batch=batch, baked=8), out=tmp_path / "out", options=options)


def red_finder(folder: Path) -> onnx.ModelProto:
    """All 14 joints lie where red is far above blue: a network that needs the right color and scale of pixels."""
    weight = np.zeros((14, 3, 1, 1), np.float32)
    weight[:, 0], weight[:, 2] = 1.0, -1.0
    nodes = [
        helper.make_node("Clip", ["input", "low", "high"], ["clipped"], "/clip"),  # as a network saturates
        helper.make_node("Conv", ["clipped", "w"], ["heatmaps"], "/conv"),
    ]
    constants = {"w": weight, "low": np.float32(-3), "high": np.float32(3)}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 64, 48])],
        [helper.make_tensor_value_info("heatmaps", TensorProto.FLOAT, ["batch", 14, 64, 48])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "red.onnx")
    return model


def red_people(count: int, labeled: bool = True) -> SampleList:
    """Gray images with a red and a blue square; all joints lie at the red one."""
    samples = []
    for i in range(count):
        random = np.random.default_rng(i)
        x, y = random.integers(8, 40, 2)
        image = np.full((64, 48, 3), 90, np.uint8)
        image[60 - y : 64 - y, x : x + 4, 0] = 160  # blue
        image[y : y + 4, x : x + 4] = (60, 80, 150)
        xy = np.tile(np.float32([x + 1.5, y + 1.5]), (14, 1)) + random.normal(0, 0.1, (14, 2))
        xy[[8, 9]] += [[-10, 0], [10, 0]]  # shoulders, so that there is a torso
        sample = checked_sample(
            "made", image_id=i, name=f"{i}.png", read=lambda image=image: image, xy=xy,
            labeled=np.full(14, labeled), box_xyxy=np.float32([-0.5, -0.5, 47.5, 63.5]),
        )  # fmt: skip
        samples.append(replace(sample, ignore=False))
    return SampleList(name="made", skeleton=SKELETONS["lsp14"], samples=tuple(samples), image_ids=tuple(range(count)))


def contract(**image: Any) -> Any:
    table = {"name": "red", "skeleton": "lsp14", "input": {"size": [64, 48], **image}, "crop": {"padding": 1.0}}
    return spec_from_dict(table, "the test")


@pytest.mark.parametrize(
    ("image", "proposed"),
    [
        ({}, None),
        ({"color": "bgr"}, "rgb"),
        ({"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}, "rgb"),
    ],
)
def test_labels_propose_what_the_network_was_trained_with(tmp_path: Path, image: Any, proposed: str | None) -> None:
    model = red_finder(tmp_path)
    with OnnxRuntimeSession(model.SerializeToString(), OpenOptions(threads=1)) as session:
        found = compare(session, contract(**image), red_people(60))
    assert found.metric == "pck@0.2" and found.people == 60
    if proposed is None:
        assert found.proposed is None and "none of the usual alternatives" in found.lines()[-1]
    else:
        assert found.proposed is not None and found.improvement is not None
        assert found.proposed.input.color == proposed and found.improvement.low > 0.3
        assert found.lines()[-1].startswith('change the spec to: input = { color = "rgb", mean = [')


def test_people_without_labels_are_weaker_evidence(tmp_path: Path) -> None:
    """The scores of a network that sees pixels 0..255 in the place of -2..2 are no confidence."""
    model = red_finder(tmp_path)
    del model.graph.node[0]  # no saturation
    model.graph.node[0].input[0] = "input"
    weight = model.graph.initializer[0]
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(0.5), "w"))
    wrong = contract(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    with OnnxRuntimeSession(model.SerializeToString(), OpenOptions(threads=1)) as session:
        found = compare(session, wrong, red_people(60, labeled=False))
    assert found.metric == "score" and found.given.value == 0
    assert found.proposed is not None and "scores are weak evidence" in found.lines()[-2]


def test_too_few_people_are_refused(tmp_path: Path) -> None:
    model = red_finder(tmp_path)
    with (
        OnnxRuntimeSession(model.SerializeToString(), OpenOptions(threads=1)) as session,
        pytest.raises(DataError, match="39 people are too few"),
    ):
        compare(session, contract(), red_people(39))


def test_alternatives_differ_from_the_contract_and_from_each_other() -> None:
    for image in (InputSpec(), InputSpec(color="bgr"), InputSpec(mean=(0, 0, 0), std=(1, 1, 1), scale=1 / 255)):
        names = [choice.name for choice in alternatives(image)]
        assert len(names) == len(set(names)) >= 7
    assert [choice.input.color for choice in alternatives(InputSpec(dtype="uint8", mean=(0,) * 3, std=(1,) * 3))] == [
        "bgr"
    ]
    wrong = InputSpec(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    (right,) = (choice for choice in alternatives(wrong) if "ImageNet, color rgb" in choice.name)
    assert (right.input.mean, right.input.std, right.input.scale) == (IMAGENET_MEAN, IMAGENET_STD, 1.0)


def test_a_report_without_data_holds_the_findings(cases: Path) -> None:
    folder = cases / "onnx"
    report = check_contract(folder / "plain.onnx", folder / "unit.toml")
    assert report.comparison is None and report.proposal == ""
    assert re.match("warning: input.mean and input.std: ", report.lines[0])
    assert report.to_json()["findings"][0]["severity"] == "warning"
    right = check_contract("lite")
    assert right.lines[0] == "nothing speaks against the contract" and right.findings == () and right.ok
    assert right.grid is not None and abs(right.grid.offset_px) < right.grid.tolerance_px
    assert right.lines[1:] == (right.grid.line(),) and right.grid.line().endswith('grid = "centers" fits')
    assert check_contract(folder / "plain.onnx").ok  # it is recognized
