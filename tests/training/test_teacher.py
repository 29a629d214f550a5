"""A teacher network: what it sees, which joints it teaches, and how its heatmaps join the loss."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from edgepose.artifacts.spec import InputSpec, ModelSpec, embed_spec  # noqa: E402
from edgepose.codecs.heatmap import HeatmapCodec  # noqa: E402
from edgepose.codecs.regression import RegressionCodec  # noqa: E402
from edgepose.errors import UsageError  # noqa: E402
from edgepose.pose.skeletons import SKELETONS, Skeleton  # noqa: E402
from edgepose.training.losses import masked_mse  # noqa: E402
from edgepose.training.objectives import HeatmapObjective, objective_of  # noqa: E402
from edgepose.training.teacher import TeacherNetwork  # noqa: E402

loop = importlib.import_module("edgepose.training.loop")
COCO, LSP = SKELETONS["coco17"], SKELETONS["lsp14"]
STUDENT = ModelSpec(
    name="student", skeleton=LSP, input=InputSpec(size=(64, 64), mean=(127.0,) * 3, std=(128.0,) * 3)
)  # fmt: skip


def teacher(path: Path, scale: Any = 1.0, **changes: Any) -> Path:
    """An ONNX file of stride 4 with coco17: map k is `scale[k]` times the mean of the first input channel."""
    weight = np.zeros((17, 3, 4, 4), np.float32)
    weight[:, 0] = np.broadcast_to(scale, 17)[:, None, None] / 16
    node = helper.make_node("Conv", ["input", "w"], ["maps"], strides=[4, 4], kernel_shape=[4, 4])
    graph = helper.make_graph(
        [node],
        "teacher",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, [1, 17, 16, 16])],
        [helper.make_tensor("w", TensorProto.FLOAT, weight.shape, weight.tobytes(), raw=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    start = {"input": InputSpec(size=(64, 64), mean=(0.0,) * 3, std=(255.0,) * 3), "outputs": ("maps",)}
    embed_spec(model, ModelSpec(**{"name": "teacher", "skeleton": COCO, **start, **changes}))
    onnx.save(model, path)
    return path


def pixels_for_student(pixels: Any) -> Any:
    return (torch.as_tensor(pixels, dtype=torch.float32) - 127) / 128


def test_it_sees_the_crop_in_its_own_normalization(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64))
    maps, _ = TeacherNetwork(teacher(tmp_path / "t.onnx"), STUDENT, 0.0).heatmaps(pixels_for_student(pixels), (16, 16))
    wanted = pixels[:, 0].reshape(2, 16, 4, 16, 4).mean(axis=(2, 4)) / 255
    assert maps.shape == (2, 14, 16, 16)
    assert np.abs(maps[:, LSP.index("left_knee")].numpy() - wanted).max() < 1e-5


def test_it_may_want_the_other_color_order(tmp_path: Path) -> None:
    bgr = InputSpec(size=(64, 64), mean=(0.0,) * 3, std=(1.0,) * 3, color="bgr", scale=1 / 255)
    pixels = np.zeros((1, 3, 64, 64))
    pixels[:, 2] = 255
    network = TeacherNetwork(teacher(tmp_path / "t.onnx", input=bgr), STUDENT, 0.0)
    maps, weight = network.heatmaps(pixels_for_student(pixels), (16, 16))
    assert maps[0, LSP.index("left_knee")].numpy() == pytest.approx(1.0, abs=1e-5)
    assert weight[0, LSP.index("left_knee")].item() == pytest.approx(1.0, abs=1e-5)


def test_joints_meet_by_name_and_weigh_their_peak(tmp_path: Path) -> None:
    scale = np.linspace(0, 1.6, 17)
    network = TeacherNetwork(teacher(tmp_path / "t.onnx", scale), STUDENT, 0.75)
    white = pixels_for_student(np.full((1, 3, 64, 64), 255))
    _, weight = network.heatmaps(white, (16, 16))
    for k, joint in enumerate(LSP.joints):
        peak = scale[COCO.index(joint)] if joint in COCO.joints else 0.0
        assert weight[0, k].item() == pytest.approx(min(peak, 1.0) if peak >= 0.75 else 0.0, abs=1e-5)


def test_a_smaller_crop_is_enlarged_and_its_maps_reduced(tmp_path: Path) -> None:
    pixels = np.zeros((1, 3, 32, 32))
    pixels[..., 16:] = 255  # the right half
    network = TeacherNetwork(teacher(tmp_path / "t.onnx"), STUDENT, 0.0)
    maps, _ = network.heatmaps(pixels_for_student(pixels), (8, 8))
    assert maps.shape[2:] == (8, 8)
    knee = maps[0, LSP.index("left_knee")]
    assert knee[:, :4].max() < 0.1 and knee[:, 4:].min() > 0.9


@pytest.mark.parametrize(
    ("changes", "student", "message"),
    [
        ({"skeleton": Skeleton(name="hand", joints=tuple(f"j{k}" for k in range(17)))}, {}, "none of its joints"),
        ({"codec": HeatmapCodec(refine="udp")}, {}, "decoded by 'udp' and those of student by 'quarter'"),
        ({"codec": HeatmapCodec(rule="stride")}, {}, "or their contracts have other grids"),
        ({}, {"codec": RegressionCodec(), "outputs": ("coordinates",)}, "both need heatmaps"),
        ({"input": InputSpec(size=(64, 64), layout="nhwc")}, {}, "must be float32 in the layout nchw"),
    ],
)
def test_what_cannot_teach_is_refused(
    tmp_path: Path, changes: dict[str, Any], student: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        TeacherNetwork(teacher(tmp_path / "t.onnx", **changes), replace(STUDENT, **student), 0.3)


def test_the_loss_is_shared(tiny: ModuleType, tmp_path: Path) -> None:
    path = teacher(tmp_path / "t.onnx")
    recipe = replace(tiny.RECIPE, teacher_network=str(path), teacher_heatmaps=0.25)
    network = tiny.build("tiny-plain", 14)
    objective = objective_of(recipe, network, tiny.SIZE, recipe.sigma)
    assert isinstance(objective, HeatmapObjective) and objective.teacher is not None
    crops, target = torch.rand(2, 3, 64, 64), [torch.rand(2, 14, 16, 16), torch.rand(2, 14)]
    maps, weight = objective.teacher.heatmaps(crops, (16, 16))
    found = network(crops)
    wanted = 0.75 * masked_mse(found, *target) + 0.25 * masked_mse(found, maps, weight)
    assert objective.loss(network, crops, target).item() == pytest.approx(wanted.item())


def test_a_run_with_a_network_as_teacher(tiny: ModuleType, tmp_path: Path) -> None:
    recipe = replace(tiny.RECIPE, epochs=(1,), teacher_network=str(teacher(tmp_path / "t.onnx")))
    best = loop.train(recipe, [tiny.people(1)], [tiny.people(2)], tiny.options(tmp_path / "run"))
    assert best.is_file()
