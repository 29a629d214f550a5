"""Person detectors without a contract: stub networks with the published outputs, decoded in images."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from published import returning

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec
from edgepose.backends.onnxruntime import OnnxRuntimeSession
from edgepose.backends.session import OpenOptions
from edgepose.errors import SpecError
from edgepose.export.foreign import import_onnx
from edgepose.graph.adapters.detectors import grid_of
from edgepose.pose.skeletons import PERSON
from edgepose.recognize import Recognized, candidate_of, recognize
from edgepose.runtime.pipeline import open_pipeline

SIZE = (64, 96)
FRAME = (128, 160)  # 0.5 of it, 64 x 80, fits into the input
MAN, WOMAN = (10.0, 12.0, 30.0, 60.0), (40.0, 4.0, 62.0, 58.0)  # in the input, counted from its edge


def saved(model: onnx.ModelProto, folder: Path, metadata: dict[str, str] | None = None, **beside: Any) -> Path:
    for key, value in (metadata or {}).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    for name, content in beside.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    path = folder / "end2end.onnx"
    onnx.save(model, path)
    return path


def found_in(path: Path) -> tuple[Recognized, ModelSpec, Array, Array]:
    """(what was recognized, the contract, the boxes and the scores in a frame of `FRAME`)."""
    recognized = recognize(candidate_of(onnx.load(path), path))
    assert recognized is not None
    model, spec = import_onnx(path, None)
    assert spec.skeleton == PERSON
    image = np.random.default_rng(0).integers(0, 255, (*FRAME, 3), dtype=np.uint8)
    session = OnnxRuntimeSession(model.SerializeToString(), OpenOptions())
    with session, open_pipeline(session, spec) as pipeline:
        poses = pipeline(image)
    return recognized, spec, poses.boxes_xyxy, poses.box_scores


def in_frame(box: tuple[float, ...], place: str) -> list[float]:
    """A box of the input in the image, by hand: the rule of each family for an input of 64 x 96."""
    x0, y0, x1, y1 = box
    if place == "stretch":
        return [x0 * 160 / 96 - 0.5, y0 * 2 - 0.5, x1 * 160 / 96 - 0.5, y1 * 2 - 0.5]
    left = 8 if place == "center" else 0  # (96 - 80) / 2
    return [(x0 - left) * 2 - 0.5, y0 * 2 - 0.5, (x1 - left) * 2 - 0.5, y1 * 2 - 0.5]


def check(boxes: Array, scores: Array, place: str, expected: dict[float, tuple[float, ...]]) -> None:
    assert scores.tolist() == pytest.approx(list(expected), abs=1e-5)
    assert np.abs(boxes - [in_frame(box, place) for box in expected.values()]).max() < 1e-3


def middle(box: tuple[float, ...]) -> list[float]:
    x0, y0, x1, y1 = box
    return [(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0]


def ultralytics(names: dict[int, str], **changed: str) -> dict[str, str]:
    return {"task": "detect", "imgsz": "[64, 96]", "stride": "32", "names": str(names), "end2end": "False"} | changed


def raw_ultralytics(classes: int, person: int) -> Array:
    output = np.zeros((4 + classes, 126), np.float32)
    for column, (box, score) in enumerate([(MAN, 0.9), (WOMAN, 0.8), (MAN, 0.7), ((1, 1, 9, 9), 0.2)]):
        output[:4, column], output[4 + person, column] = middle(box), score
    if classes > 1:
        output[:4, 7], output[4 + (person + 1) % classes, 7] = middle((5, 5, 20, 20)), 0.95  # a dog
    return output


@pytest.mark.parametrize("names", [{0: "person"}, {0: "cat", 1: "Person", 2: "dog"}, {0: "face"}])
def test_ultralytics_says_everything_in_its_metadata(names: dict[int, str], tmp_path: Path) -> None:
    person = next((key for key, name in names.items() if name.lower() == "person"), 0)
    model = returning({"output0": raw_ultralytics(len(names), person)}, size=SIZE, name="images")
    found, spec, boxes, scores = found_in(saved(model, tmp_path, ultralytics(names)))
    assert (found.family, found.source) == ("ultralytics-detect", "metadata")
    assert [guess.field for guess in found.guesses] == (["person"] if "face" in names.values() else [])
    assert (spec.input.color, spec.input.scale, spec.input.mean) == ("rgb", 1 / 255, (0, 0, 0))
    assert (spec.crop.place, spec.crop.resize, spec.crop.border_value) == ("center", "round", 114)
    check(boxes, scores, "center", {0.9: MAN, 0.8: WOMAN})


def test_ultralytics_of_any_size_has_it_in_its_metadata(tmp_path: Path) -> None:
    model = returning({"output0": raw_ultralytics(1, 0)}, size=("height", "width"), name="images")
    _, spec, boxes, scores = found_in(saved(model, tmp_path, ultralytics({0: "person"})))
    assert spec.input.size == SIZE
    check(boxes, scores, "center", {0.9: MAN, 0.8: WOMAN})


def test_ultralytics_with_suppression_inside(tmp_path: Path) -> None:
    """[1, 300, 6]: padded with zeros. Two people that overlap were both kept, so both stay."""
    output = np.zeros((300, 6), np.float32)
    near = tuple(value + 1 for value in MAN)
    for row, (box, score, label) in enumerate([(MAN, 0.9, 0), (near, 0.85, 0), (WOMAN, 0.8, 0), (WOMAN, 0.7, 16)]):
        output[row] = [*box, score, label]
    model = returning({"output0": output}, size=SIZE, name="images")
    names = {0: "person", 16: "dog"}
    _, spec, boxes, scores = found_in(saved(model, tmp_path, ultralytics(names, end2end="True")))
    assert spec.to_json()["codec"].get("iou_threshold") is None
    check(boxes, scores, "center", {0.9: MAN, 0.85: near, 0.8: WOMAN})


def test_ultralytics_that_finds_no_people_or_contradicts_itself_is_refused(tmp_path: Path) -> None:
    model = returning({"output0": raw_ultralytics(2, 0)}, size=SIZE, name="images")
    with pytest.raises(SpecError, match=r"detects cat, dog; none of its classes is named person"):
        import_onnx(saved(model, tmp_path, ultralytics({0: "cat", 1: "dog"})), None)
    other = returning({"output0": raw_ultralytics(3, 0)}, size=SIZE, name="images")
    with pytest.raises(SpecError, match=r"output is \[1, 7, 126\]; a detector gives \[1, 6, 126\] or \[1, 300, 6\]"):
        import_onnx(saved(other, tmp_path, ultralytics({0: "person", 1: "dog"})), None)


def test_a_detector_of_coco_without_metadata_is_a_guess(tmp_path: Path) -> None:
    model = returning({"output0": raw_ultralytics(80, 0)}, size=SIZE, name="images")
    found, _, boxes, scores = found_in(saved(model, tmp_path))
    assert (found.family, found.source) == ("ultralytics-detect", "shapes")
    assert {"input.color", "input.scale", "crop.place", "person"} <= {guess.field for guess in found.guesses}
    check(boxes, scores, "center", {0.9: MAN, 0.8: WOMAN})


def mmdet_outputs() -> dict[str, Array]:
    dets = np.array([[*MAN, 0.9], [*WOMAN, 0.8], [5, 5, 20, 20, 0.7], [*MAN, 0.1]], np.float32)
    return {"dets": dets, "labels": np.array([0, 0, 2, 0])}


def mmdet(size: tuple[Any, Any] = SIZE, *, hard_sigmoid: bool = False) -> onnx.ModelProto:
    shapes = {"dets": ["batch", "n", 5], "labels": ["batch", "n"]}
    model = returning(mmdet_outputs(), size=size, shapes=shapes)
    if hard_sigmoid:
        model.graph.node.append(helper.make_node("HardSigmoid", ["mean"], ["gate"]))
    return model


def detector_pipeline(normalize: dict[str, Any] | None, size: list[int] | None = None) -> dict[str, Any]:
    transforms: list[dict[str, Any]] = [
        {"type": "LoadImageFromFile"},
        {"type": "Resize", "keep_ratio": True, "size": size or [96, 64]},
        {"type": "Pad", "size": size or [96, 64], "pad_val": {"img": [114, 114, 114]}},
    ]
    if normalize:
        transforms.append({"type": "Normalize", **normalize})
    net = {"name": "yolox", "type": "Task", "module": "Net", "input_map": {"img": "input"}, "output_map": {}}
    last = {"type": "Task", "module": "mmdet", "name": "postprocess", "component": "ResizeBBox", "params": {}}
    return {"pipeline": {"input": ["img"], "output": ["post_output"], "tasks": [
        {"type": "Task", "module": "Transform", "name": "Preprocess", "transforms": transforms}, net, last,
    ]}}  # fmt: skip


RTMDET = {"mean": [103.53, 116.28, 123.675], "std": [57.375, 57.12, 58.395], "to_rgb": False}


@pytest.mark.parametrize("hard_sigmoid", [True, False])
def test_rtmdet_and_yolox_are_told_apart_by_a_hard_sigmoid_as_a_guess(hard_sigmoid: bool, tmp_path: Path) -> None:
    found, spec, boxes, scores = found_in(saved(mmdet(hard_sigmoid=hard_sigmoid), tmp_path))
    assert (found.family, found.source) == ("mmdet-detector", "names")
    assert spec.input.color == "bgr"
    assert spec.input.mean == ((103.53, 116.28, 123.675) if hard_sigmoid else (0, 0, 0))
    assert (spec.crop.place, spec.crop.resize, spec.crop.border_value) == ("top_left", "truncate", 114)
    reasons = {guess.field: guess.reason for guess in found.guesses}
    assert "HardSigmoid" in reasons["input.mean"] and "input.std" in reasons
    check(boxes, scores, "top_left", {0.9: MAN, 0.8: WOMAN})


@pytest.mark.parametrize("hard_sigmoid", [True, False])
@pytest.mark.parametrize("normalize", [RTMDET, {**RTMDET, "to_rgb": True}, None])
def test_a_pipeline_file_decides_before_the_graph(
    normalize: dict[str, Any] | None, hard_sigmoid: bool, tmp_path: Path
) -> None:
    path = saved(mmdet(hard_sigmoid=hard_sigmoid), tmp_path, pipeline=detector_pipeline(normalize))
    found, spec, boxes, scores = found_in(path)
    assert (found.family, found.source) == ("mmdet-detector", "files")
    assert not {guess.field for guess in found.guesses} & {"input.mean", "input.std", "input.color"}
    assert spec.input.color == ("rgb" if normalize and normalize["to_rgb"] else "bgr")
    assert spec.input.mean == (tuple(RTMDET["mean"]) if normalize else (0, 0, 0))  # type: ignore[arg-type]
    check(boxes, scores, "top_left", {0.9: MAN, 0.8: WOMAN})


def test_the_size_of_a_free_input(tmp_path: Path) -> None:
    path = saved(mmdet(("height", "width")), tmp_path, pipeline=detector_pipeline(None, [96, 64]))
    assert found_in(path)[1].input.size == SIZE
    (tmp_path / "pipeline.json").unlink()
    found, spec, _, _ = found_in(path)
    assert spec.input.size == (640, 640)
    assert "input.size" in {guess.field for guess in found.guesses}
    onnx.save(mmdet(("height", "width"), hard_sigmoid=True), path)
    assert found_in(path)[1].input.size == (320, 320)


def yolox_rows(*, decoded: bool) -> Array:
    """[A, 5 + 80] on the grids of an input of 64 x 96: nearly nothing, and two people."""
    rng, grid = np.random.default_rng(1), grid_of(SIZE, (8, 16, 32))
    rows = np.concatenate([rng.normal(0, 0.3, (126, 4)), rng.uniform(0, 0.02, (126, 81))], axis=1)
    for row, (box, score) in ((40, (MAN, 0.9)), (100, (WOMAN, 0.8))):
        x, y, width, height = middle(box)
        column, line, stride = grid[row]
        rows[row, :4] = [x / stride - column, y / stride - line, np.log(width / stride), np.log(height / stride)]
        rows[row, 4:6] = score, 1.0
    if decoded:
        rows[:, :2] = (rows[:, :2] + grid[:, :2]) * grid[:, 2:]
        rows[:, 2:4] = np.exp(rows[:, 2:4]) * grid[:, 2:]
    return rows.astype(np.float32)


@pytest.mark.parametrize("decoded", [False, True])
def test_yolox_is_right_with_and_without_its_decoding_inside(decoded: bool, tmp_path: Path) -> None:
    """Both have one shape. Read as the other, every box of the decoded one is the whole frame."""
    found, spec, boxes, scores = found_in(
        saved(returning({"output": yolox_rows(decoded=decoded)}, size=SIZE), tmp_path)
    )
    assert (found.family, found.source) == ("yolox", "shapes")
    assert (spec.input.color, spec.input.mean, spec.input.std, spec.input.scale) == ("bgr", (0,) * 3, (1,) * 3, 1)
    check(boxes, scores, "top_left", {0.9: MAN, 0.8: WOMAN})


def test_yolox_of_one_class_is_no_detector_of_ultralytics(tmp_path: Path) -> None:
    """DeepStream's export of an Ultralytics detector has the same shape [N, A, 6], and a class as its last number."""
    rows = yolox_rows(decoded=False)[:, :6]
    found, spec, boxes, scores = found_in(saved(returning({"output": rows}, size=SIZE), tmp_path))
    assert (found.family, spec.input.color) == ("yolox", "bgr")
    check(boxes, scores, "top_left", {0.9: MAN, 0.8: WOMAN})


@pytest.mark.parametrize("stated", [[2, 126, 85], ["batch", "boxes", "numbers"], None])
def test_yolox_needs_no_stated_output(stated: list[Any] | None, tmp_path: Path) -> None:
    model = returning({"output": yolox_rows(decoded=False)}, size=SIZE, shapes={"output": stated})
    if stated is not None and stated[0] == 2:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    found, _, boxes, scores = found_in(saved(model, tmp_path))
    assert found.family == "yolox"
    check(boxes, scores, "top_left", {0.9: MAN, 0.8: WOMAN})


def test_yolox_that_is_neither_raw_nor_decoded_is_refused(tmp_path: Path) -> None:
    rows = yolox_rows(decoded=True)
    grid = grid_of(SIZE, (8, 16, 32))
    rows[:, :2] = grid[:, :2] * grid[:, 2:] + np.random.default_rng(0).normal(0, 25, (126, 2))
    with pytest.raises(SpecError, match="neither pixels nor offsets in cells"):
        import_onnx(saved(returning({"output": rows}, size=SIZE), tmp_path), None)


def test_ssd(tmp_path: Path) -> None:
    rows = np.zeros((100, 7), np.float32)
    over = np.array([96, 64, 96, 64])
    for row, (box, score, label) in enumerate([(MAN, 0.9, 1), (WOMAN, 0.8, 1), (WOMAN, 0.95, 2)]):
        rows[row] = [0, label, score, *(np.array(box) / over)]
    rows[3:, 0] = -1
    model = returning({"detection_out": rows[None]}, size=SIZE, name="data")
    found, spec, boxes, scores = found_in(saved(model, tmp_path))
    assert (found.family, found.source) == ("ssd", "shapes")
    assert spec.crop.place == "stretch"
    check(boxes, scores, "stretch", {0.9: MAN, 0.8: WOMAN})


@pytest.mark.parametrize("strides", [(8, 16, 32, 64), (8, 16, 32)])
def test_nanodet(strides: tuple[int, ...], tmp_path: Path) -> None:
    """Distances of 2, 1, 1.5 and 2.5 strides from a cell, as distributions over 8 bins."""
    grid, rng = grid_of(SIZE, strides), np.random.default_rng(0)
    rows = np.concatenate([rng.uniform(0, 0.02, (len(grid), 80)), rng.normal(size=(len(grid), 32))], axis=1)
    column, line, stride = grid[50]
    bins = np.full((4, 8), -40.0)
    bins[0, 2] = bins[1, 1] = bins[2, 1] = bins[2, 2] = bins[3, 2] = bins[3, 3] = 40
    rows[50, 0], rows[50, 80:] = 0.9, bins.ravel()
    x, y = ((value + (0 if len(strides) == 4 else 0.5)) * stride for value in (column, line))
    box = (x - 2 * stride, y - stride, x + 1.5 * stride, y + 2.5 * stride)
    model = returning({"output": rows.astype(np.float32)}, size=SIZE, name="data")
    found, spec, boxes, scores = found_in(saved(model, tmp_path))
    assert (found.family, found.source) == ("nanodet", "shapes")
    assert spec.input.mean == (103.53, 116.28, 123.675) and spec.crop.place == "stretch"
    check(boxes, scores, "stretch", {0.9: box})


def test_rt_detr_gets_the_size_of_its_input_as_a_constant(tmp_path: Path) -> None:
    over = np.array([96, 64, 96, 64])
    corners = np.array([MAN, WOMAN, WOMAN], np.float32) / over
    values = {"fractions": corners.astype(np.float32), "scores": np.array([0.9, 0.8, 0.95], np.float32)}
    model = returning(values | {"labels": np.array([0, 0, 16])}, size=SIZE, name="images")
    model.graph.input.append(helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, ["batch", 2]))
    model.graph.node.extend(
        [
            helper.make_node("Cast", ["orig_target_sizes"], ["wide"], to=TensorProto.FLOAT),
            helper.make_node("Concat", ["wide", "wide"], ["both"], axis=1),
            helper.make_node("Unsqueeze", ["both"], ["each"], axes=[1]),
            helper.make_node("Mul", ["fractions", "each"], ["boxes"]),
        ]
    )
    model.graph.output[0].name = "boxes"
    found, spec, boxes, scores = found_in(saved(model, tmp_path))
    assert (found.family, found.source) == ("rt-detr", "names")
    assert (spec.input.name, spec.input.scale, spec.crop.place) == ("images", 1 / 255, "stretch")
    check(boxes, scores, "stretch", {0.9: MAN, 0.8: WOMAN})


@pytest.mark.parametrize("names", ["{[]: 'person'}", "{'a': 'person'}", "person"])
def test_damaged_names_of_classes_leave_the_first_class_as_a_guess(names: str, tmp_path: Path) -> None:
    rows = np.zeros((300, 6), np.float32)
    rows[0] = *MAN, 0.9, 0
    path = saved(returning({"output0": rows}, size=SIZE), tmp_path, {"task": "detect", "names": names})
    found, _, boxes, scores = found_in(path)
    assert (found.family, found.source) == ("ultralytics-detect", "metadata")
    assert [guess.field for guess in found.guesses] == ["person"]
    check(boxes, scores, "center", {0.9: MAN})


def test_what_only_resembles_a_detector_is_not_taken(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, output in (
        ("a wrong number of cells", rng.random((125, 85))),
        ("scores beyond 1", rng.random((126, 85)) * 9),
        ("anchors in rows of an odd number of classes", rng.random((4 + 52, 126))),
    ):
        path = saved(returning({"output": output.astype(np.float32)}, size=SIZE), tmp_path)
        found = recognize(candidate_of(onnx.load(path), path))
        assert found is None or found.spec.skeleton != PERSON, name


def test_real_detectors_are_recognized(published_model: Callable[[str], Path]) -> None:
    path = published_model("rtmdet_nano")
    found = recognize(candidate_of(onnx.load(path), path))
    assert found is not None
    assert (found.family, found.spec.input.size, found.spec.input.mean) == (
        "mmdet-detector", (320, 320), (103.53, 116.28, 123.675),
    )  # fmt: skip
    assert not any(node.op_type in ("NonMaxSuppression", "TopK") for node in found.model.graph.node)
    path = published_model("yolox_nano")
    found = recognize(candidate_of(onnx.load(path), path))
    assert found is not None
    assert (found.family, found.spec.input.size, found.spec.input.std) == ("yolox", (416, 416), (1, 1, 1))
