"""RTMO and YOLOX-pose, YOLO-NAS-pose, MoveNet MultiPose and DETRPose: stubs with their published inputs and outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from published import pose_pipeline, returning

from edgepose.codecs.codec import People
from edgepose.errors import SpecError
from edgepose.export.batch import run_graph
from edgepose.export.foreign import Imported, import_network
from edgepose.recognize import candidate_of, recognize

SIZE = (96, 64)
JOINTS = 17


def person(at: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A box (x0, y0, x1, y1) and joints [K, 3], counted from the edge of the canvas."""
    random = np.random.default_rng(4)
    joints = np.c_[random.uniform(12, 50, (JOINTS, 2)) + at, random.uniform(0.3, 0.9, JOINTS)]
    return np.array([10.0, 12.0, 52.0, 52.0]) + at, joints.astype(np.float32)


def imported(model: onnx.ModelProto, folder: Path, table: dict[str, Any] | None = None) -> Imported:
    onnx.save(model, folder / "net.onnx")
    return import_network(folder / "net.onnx", table)


def people_of(made: Imported) -> People:
    outputs = run_graph(made.model, made.spec, np.zeros((1, *made.spec.input.shape), np.float32))
    found = made.spec.codec.decode(outputs, None, np.eye(2, 3)[None], made.spec)
    assert isinstance(found, People)
    return found


def check_person(made: Imported, *, box: np.ndarray | None = None, scores: np.ndarray | None = None) -> None:
    """One person with a score of 0.9."""
    known, joints = person()
    found = people_of(made)
    assert found.box_scores.tolist() == pytest.approx([0.9])
    np.testing.assert_allclose(found.boxes_xyxy[0], (known if box is None else box) - 0.5, atol=1e-3)
    np.testing.assert_allclose(found.xy_image[0], joints[:, :2] - 0.5, atol=1e-3)
    np.testing.assert_allclose(found.scores[0], joints[:, 2] if scores is None else scores, atol=1e-5)


def rtmo(**form: Any) -> onnx.ModelProto:
    """The person, the same once more as exports for TensorRT have it, and somebody with a low score."""
    (box, joints), (other, more) = person(), person(9.0)
    dets = np.array([[*box, 0.9], [*box, 0.9], [*other, 0.1]], np.float32)
    shapes = {"dets": ["batch", "n", 5], "keypoints": ["batch", "n", JOINTS, 3]}
    given = {"dets": dets, "keypoints": np.stack([joints, joints, more])}
    return returning(given, **{"size": SIZE, "shapes": shapes, **form})


def test_rtmo(tmp_path: Path) -> None:
    made = imported(rtmo(), tmp_path)
    assert made.recognized is not None
    assert (made.recognized.family, made.recognized.source) == ("rtmo", "names")
    assert (made.spec.input.color, made.spec.input.mean, made.spec.input.scale) == ("bgr", (0, 0, 0), 1)
    crop = made.spec.crop
    assert (crop.place, crop.resize, crop.border_value, crop.padding) == ("top_left", "truncate", 114, 1)
    assert made.spec.input.size == SIZE
    check_person(made)


def test_rtmo_of_any_size_and_with_its_files(tmp_path: Path) -> None:
    assert imported(rtmo(size=("height", "width")), tmp_path).spec.input.size == (640, 640)
    import json

    normalize = {"mean": [1, 2, 3], "std": [4, 5, 6], "to_rgb": True}
    (tmp_path / "pipeline.json").write_text(json.dumps(pose_pipeline("YOLOXPose", size=SIZE, normalize=normalize)))
    made = import_network(tmp_path / "net.onnx", None)
    assert (made.spec.input.mean, made.spec.input.color, made.spec.input.size) == ((1, 2, 3), "rgb", SIZE)
    assert made.recognized is not None and made.recognized.source == "files"
    check_person(made)


def nas(flat: bool, dtype: int = TensorProto.UINT8) -> onnx.ModelProto:
    """The published outputs; rows behind the number of people are rubbish."""
    (box, joints), (other, more) = person(), person(9.0)
    if flat:
        rows = np.array([[0, *box, 0.9, *joints.ravel()]], np.float32)
        model = returning({"rows": rows}, size=SIZE, dtype=dtype)
        model.graph.node.append(helper.make_node("Reshape", ["rows", "flat.shape"], ["graph2_flat_predictions"]))
        model.graph.initializer.append(numpy_helper.from_array(np.array([-1, 57]), "flat.shape"))
        del model.graph.output[:]
        wanted = helper.make_tensor_value_info("graph2_flat_predictions", TensorProto.FLOAT, ["n", 57])
        model.graph.output.append(wanted)
    else:
        given = {
            "graph2_num_predictions": np.array([1]),
            "graph2_pred_boxes": np.stack([box, other]).astype(np.float32),
            "graph2_pred_scores": np.array([0.9, 0.95], np.float32),
            "graph2_pred_joints": np.stack([joints, more]),
        }
        model = returning(given, size=SIZE, dtype=dtype)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    return model


@pytest.mark.parametrize("dtype", [TensorProto.UINT8, TensorProto.FLOAT], ids=["uint8", "float"])
@pytest.mark.parametrize("flat", [False, True], ids=["batch", "flat"])
def test_yolo_nas(flat: bool, dtype: int, tmp_path: Path) -> None:
    made = imported(nas(flat, dtype), tmp_path)
    assert made.recognized is not None
    assert (made.recognized.family, made.recognized.source) == ("yolo-nas-pose", "shapes" if flat else "names")
    image, crop = made.spec.input, made.spec.crop
    inside = dtype == TensorProto.UINT8
    assert (image.color, image.scale, image.dtype) == (("rgb", 1) if inside else ("bgr", 1 / 255)) + ("float32",)
    assert (crop.place, crop.resize, crop.border_value) == ("top_left", "round", 127)
    check_person(made)


@pytest.mark.parametrize("free", [False, True], ids=["fixed", "free"])
def test_movenet_multipose(free: bool, tmp_path: Path) -> None:
    size = (256, 256) if free else SIZE
    box, joints = person()
    rows = np.zeros((6, 56), np.float32)
    turned = np.concatenate([joints[:, 1:2] / size[0], joints[:, :1] / size[1], joints[:, 2:]], axis=1)
    unit = np.array([size[0], size[1]] * 2)
    rows[0] = [*turned.ravel(), *(box[[1, 0, 3, 2]] / unit), 0.9]
    rows[1] = [*turned.ravel(), *(box[[1, 0, 3, 2]] / unit), 0.05]
    model = returning({"output_0": rows}, size=size, dtype=TensorProto.INT32, shapes={"output_0": [1, 6, 56]})
    image = helper.make_tensor_value_info("input", TensorProto.INT32, [1, *(("h", "w") if free else size), 3])
    del model.graph.input[:]
    model.graph.input.append(image)
    made = imported(model, tmp_path)
    assert made.recognized is not None and made.recognized.family == "movenet-multipose"
    assert [guess.field for guess in made.recognized.guesses] == (["input.size"] if free else [])
    assert made.spec.input.shape == (3, *size) and made.spec.input.dtype == "float32"
    assert (made.spec.crop.place, made.spec.crop.resize, made.spec.crop.border_value) == ("top_left", "round", 0)
    check_person(made)


def detrpose_stub() -> onnx.ModelProto:
    """Fractions times the second input, as the network computes pixels."""
    _, joints = person()
    unit = (joints[:, :2] / np.array(SIZE[::-1])).astype(np.float32)
    model = returning({"unit": unit[None], "scores": np.array([0.9], np.float32), "labels": np.array([0])}, size=SIZE)
    model.graph.node.extend([
        helper.make_node("Cast", ["orig_target_sizes"], ["sizes"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["sizes", "wide.shape"], ["wide"]),
        helper.make_node("Mul", ["unit", "wide"], ["keypoints"]),
    ])  # fmt: skip
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1, 1, 1, 2]), "wide.shape"))
    model.graph.input.append(helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, ["batch", 2]))
    kept = [value for value in model.graph.output if value.name != "unit"]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    model.graph.output.append(helper.make_tensor_value_info("keypoints", TensorProto.FLOAT, ["batch", 1, JOINTS, 2]))
    return model


def test_detrpose(tmp_path: Path) -> None:
    made = imported(detrpose_stub(), tmp_path)
    assert made.recognized is not None and (made.recognized.family, made.recognized.source) == ("detrpose", "names")
    assert (made.spec.crop.place, made.spec.input.scale, made.spec.input.size) == ("stretch", 1 / 255, SIZE)
    _, joints = person()
    box = np.concatenate([joints[:, :2].min(axis=0), joints[:, :2].max(axis=0)])
    check_person(made, box=box, scores=np.full(JOINTS, 0.9))


def test_detectors_are_not_taken_for_poses() -> None:
    """Boxes and labels alone are those of a detector, as RTMDet gives them."""
    given = {"dets": np.zeros((3, 5), np.float32), "labels": np.zeros(3, np.int64)}
    found = recognize(candidate_of(returning(given, size=SIZE)))
    assert found is not None and found.family == "mmdet-detector" and len(found.spec.skeleton) == 0


def yolov7(columns: int = 6 + 3 * JOINTS, strides: tuple[int, ...] = (8, 16, 32)) -> onnx.ModelProto:
    """The person, found twice, and an anchor of low class score, in rows of center, size, objectness and class."""
    (box, joints), size = person(), np.array(SIZE)
    rows = np.zeros((3 * sum(int(np.prod(-(-size // stride))) for stride in strides), columns), np.float32)
    if columns == 6 + 3 * JOINTS:
        center = [*(box[:2] + box[2:]) / 2, *(box[2:] - box[:2])]
        for at, (found, kind) in enumerate(((1.0, 0.9), (0.9, 0.9), (0.9, 0.1))):
            rows[7 + at] = [*center, found, kind, *joints.ravel()]
    return returning({"output": rows}, size=SIZE, name="images")


@pytest.mark.parametrize("strides", [(8, 16, 32), (8, 16, 32, 64)])
def test_yolov7_pose(strides: tuple[int, ...], tmp_path: Path) -> None:
    made = imported(yolov7(strides=strides), tmp_path)
    assert made.recognized is not None
    assert (made.recognized.family, made.recognized.source) == ("yolov7-pose", "shapes")
    assert (made.spec.input.color, made.spec.input.scale, made.spec.crop.place) == ("rgb", 1 / 255, "center")
    assert made.spec.codec.parameters()["iou_threshold"] == 0.65
    check_person(made)


@pytest.mark.parametrize(("columns", "why"), [(85, "detectors of the YOLOv5 kind"), (57, "its scores are not between")])
def test_detectors_of_three_anchors_are_refused(columns: int, why: str, tmp_path: Path) -> None:
    """57 columns may be the scores of 52 classes."""
    model = yolov7(85 if columns == 85 else 6 + 3 * JOINTS)
    if columns == 57:
        value = next(item for item in model.graph.initializer if item.name == "output.value")
        value.CopyFrom(numpy_helper.from_array(np.clip(numpy_helper.to_array(value), 0, 1), "output.value"))
    with pytest.raises(SpecError, match=why):
        imported(model, tmp_path)
