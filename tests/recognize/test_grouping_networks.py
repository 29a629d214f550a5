"""Grouping networks are recognized, and their people come back where they were put."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import grouping_networks
import ideal_outputs
import numpy as np
import onnx
import pytest
from grouping_networks import KINDS, Kind
from nets import answering

from edgepose._checks import Array
from edgepose.api.build import build
from edgepose.api.evaluate import EvaluateOptions, evaluate
from edgepose.api.load import load
from edgepose.api.request import BuildOptions
from edgepose.artifacts.spec import embed_spec
from edgepose.backends.onnxruntime import OnnxRuntimeSession
from edgepose.backends.session import OpenOptions
from edgepose.errors import SpecError
from edgepose.export.foreign import import_onnx
from edgepose.graph.importing import checked
from edgepose.kernels.cropping import crop_matrices, frame_box
from edgepose.pose.geometry import apply_affine, crop_affine
from edgepose.pose.poses import Poses
from edgepose.recognize import Recognized, candidate_of, recognize
from edgepose.runtime.pipeline import open_pipeline


def recognized(path: Path) -> Recognized:
    found = recognize(candidate_of(checked(path), path))
    assert found is not None, "no family takes it"
    return found


def poses_in(found: Recognized, image: Array, folder: Path) -> Poses:
    """What the recognized network finds in an image, after it was imported as any other network."""
    model = onnx.ModelProto()
    model.CopyFrom(found.model)
    embed_spec(model, found.spec)
    onnx.save(model, str(folder / "recognized.onnx"))
    made, spec = import_onnx(folder / "recognized.onnx", None)
    assert spec == found.spec
    session = OnnxRuntimeSession(made.SerializeToString(), OpenOptions())
    with session, open_pipeline(session, spec) as pipeline:
        return pipeline(image)


def image_and_people(kind: Kind) -> tuple[Array, Array]:
    """A black image 1.25 times as large as the input, and people [3, K, 2] in it."""
    size = (round(kind.size[0] * 1.25), round(kind.size[1] * 1.25))
    return np.zeros((*size, 3), np.uint8), ideal_outputs.people(kind.joints, grouping_networks.places(size))


@pytest.mark.parametrize("name", KINDS)
def test_people_come_back_where_they_were_put(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    image, truth = image_and_people(kind)
    to_input = crop_affine(frame_box((image.shape[0], image.shape[1]))[0], kind.size, padding=1.0)
    path = grouping_networks.network(kind, apply_affine(to_input, truth), tmp_path / "net.onnx")
    found = recognized(path)
    assert found.family == kind.family
    assert found.spec.skeleton.joints == tuple(kind.joints)
    assert found.spec.input.size == kind.size and found.spec.input.color == kind.color
    np.testing.assert_allclose(
        crop_matrices(frame_box((image.shape[0], image.shape[1])), found.spec)[0], to_input, atol=0.02
    )
    poses = poses_in(found, image, tmp_path)
    assert len(poses) == len(truth)
    cell = image.shape[0] / kind.cells[0]  # image pixels
    assert ideal_outputs.matched(poses.xy_image, poses.scores, truth).max() < kind.limit * cell


@pytest.mark.parametrize("name", KINDS)
def test_what_the_file_does_not_say_is_a_guess(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    found = recognized(grouping_networks.of_one(kind, tmp_path / "net.onnx"))
    fields = {guess.field for guess in found.guesses}
    assert {"input.color", "input.mean", "input.std"} <= fields
    assert all(guess.reason and guess.value for guess in found.guesses)


def test_a_free_input_gets_the_published_size(tmp_path: Path) -> None:
    kind = KINDS["lightweight-openpose"]
    path = grouping_networks.of_one(kind, tmp_path / "net.onnx")
    model = onnx.load(str(path))
    for axis in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        axis.Clear()
    onnx.save(model, str(path))
    found = recognized(path)
    assert found.spec.input.size == (256, 456)
    assert "input.size" in {guess.field for guess in found.guesses}


def test_the_outputs_of_the_last_stage_count(tmp_path: Path) -> None:
    kind = KINDS["lightweight-openpose"]
    found = recognized(grouping_networks.of_one(kind, tmp_path / "net.onnx"))
    assert found.source == "names"
    assert found.spec.outputs == ("stage_1_output_1_heatmaps", "stage_1_output_0_pafs")


def test_other_networks_of_several_outputs_are_left_alone(tmp_path: Path) -> None:
    """Two stages of heatmaps, SimCC vectors, a detector: none of them is a grouping network."""
    for outputs in (
        {"a": (17, 64, 48), "b": (17, 64, 48)},
        {"simcc_x": (17, 384), "simcc_y": (17, 512)},
        {"dets": (100, 5), "labels": (100,)},
        {"heatmaps": (17, 64, 48)},
        {"output0": (56, 8400)},
    ):
        values = {name: np.zeros((1, *shape), np.float32) for name, shape in outputs.items()}
        path = answering(tmp_path / "net.onnx", values, (256, 192))
        candidate = candidate_of(checked(path), path)
        for family in (
            "lightweight-openpose",
            "openpose",
            "trt_pose",
            "associative-embedding",
            "dekr",
            "posenet",
            "openpifpaf",
        ):
            assert recognize(candidate, family) is None


# --- trt_pose ---------------------------------------------------------------------------------------------------------


def trt_network(tmp_path: Path, maps: int = 18, fields: int = 42, names: tuple[str, str] = ("cmap", "paf")) -> Path:
    shapes = dict(zip(names, ((1, maps, 56, 56), (1, fields, 56, 56)), strict=True))
    return answering(tmp_path / "net.onnx", {k: np.zeros(v, np.float32) for k, v in shapes.items()}, (224, 224))


def test_trt_pose_by_a_spec_must_state_the_order_of_its_fields(tmp_path: Path) -> None:
    path = trt_network(tmp_path)
    table = recognized(path).spec.to_json()
    table["codec"] = {"type": "paf"}
    with pytest.raises(SpecError, match=r'no background.*trt_pose.*field_order = "yx"'):
        import_onnx(path, table)
    for order in ("xy", "yx"):
        _, spec = import_onnx(path, {**table, "codec": {"type": "paf", "field_order": order}})
        assert spec.to_json()["codec"]["field_order"] == order


def test_trt_pose_as_heatmaps_is_refused(tmp_path: Path) -> None:
    path = trt_network(tmp_path)
    table = {**recognized(path).spec.to_json(), "codec": {"type": "heatmap"}, "outputs": ["cmap"]}
    with pytest.raises(SpecError, match=r"leaves out output 'paf', which has part affinity fields"):
        import_onnx(path, table)


def test_trt_pose_for_another_task_needs_the_file_of_the_task(tmp_path: Path) -> None:
    path = trt_network(tmp_path, 21, 40)
    with pytest.raises(SpecError, match=r"another task; put the JSON file .* hand_pose\.json"):
        recognized(path)
    fingers = [[1, 2 + 4 * finger] for finger in range(5)]
    fingers += [[2 + 4 * finger + i, 3 + 4 * finger + i] for finger in range(5) for i in range(3)]
    task = {"name": "hand", "keypoints": [f"joint_{i}" for i in range(21)], "skeleton": fingers}
    (tmp_path / "hand_pose.json").write_text(json.dumps(task))
    found = recognized(path)
    assert found.source == "files" and found.spec.skeleton.name == "hand"
    assert found.spec.skeleton.limb_indices()[0] == (0, 1) and found.spec.to_json()["codec"]["field_order"] == "yx"
    (tmp_path / "hand_pose.json").write_text('{"keypoints": 3}')
    with pytest.raises(SpecError, match=r"hand_pose\.json is no task of trt_pose"):
        recognized(path)


def test_the_order_of_the_fields_is_seen_in_an_image_of_people(tmp_path: Path) -> None:
    kind = KINDS["trt_pose"]
    truth = ideal_outputs.people(kind.joints, grouping_networks.places(kind.cells))
    outputs = list(kind.answer(truth, kind.cells).values())
    path = trt_network(tmp_path)
    spec = recognized(path).spec
    assert spec.codec.likelier_order(outputs, spec) == "yx"  # type: ignore[attr-defined]
    turned = [outputs[0], outputs[1].reshape(21, 2, 56, 56)[:, ::-1].reshape(1, 42, 56, 56)]
    assert spec.codec.likelier_order(turned, spec) == "xy"  # type: ignore[attr-defined]
    empty = [np.zeros_like(output) for output in outputs]
    assert spec.codec.likelier_order(empty, spec) is None  # type: ignore[attr-defined]


# --- HigherHRNet ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["HigherHRNet", "HigherHRNet CrowdPose", "mmpose AE"])
def test_tags_are_not_left_out(name: str, tmp_path: Path) -> None:
    """The joint maps alone were decoded as one person's, without a word."""
    kind = KINDS[name]
    path = grouping_networks.of_one(kind, tmp_path / "net.onnx")
    maps = "heatmaps" if name == "mmpose AE" else "1560"
    table = {
        "name": "net",
        "skeleton": {"joints": list(kind.joints)},
        "outputs": [maps],
        "codec": {"type": "heatmap"},
    }
    with pytest.raises(
        SpecError, match=r"leaves out output .* (tags|two maps for each joint).*build it without a spec"
    ):
        import_onnx(path, table)


def test_posenet_as_heatmaps_is_refused(tmp_path: Path) -> None:
    kind = KINDS["PoseNet channels first"]
    path = grouping_networks.of_one(kind, tmp_path / "net.onnx")
    with pytest.raises(SpecError, match=r"leaves out output '312', which has two maps for each joint"):
        import_onnx(path, {"name": "net", "skeleton": "coco17", "outputs": ["311"]})


def test_higherhrnet_of_an_old_opset_says_which_it_needs(tmp_path: Path) -> None:
    kind = KINDS["HigherHRNet"]
    path = grouping_networks.of_one(kind, tmp_path / "net.onnx")
    model = checked(path)
    model.opset_import[0].version = 9
    with pytest.raises(SpecError, match=r"opset 9, .* export it with opset 11 or later"):
        recognize(replace(candidate_of(model, path)))


# --- the verbs --------------------------------------------------------------------------------------------------------


def labeled_folder(folder: Path, image: Array, truth: Array) -> str:
    """A data set in COCO's form of one image with these people [M, 17, 2]; as the option --data takes it."""
    (folder / "annotations").mkdir(parents=True)
    (folder / "val2017").mkdir()
    cv2.imwrite(str(folder / "val2017" / "000000000001.jpg"), image)
    people = []
    for i, xy in enumerate(truth):
        (x0, y0), (x1, y1) = xy.min(axis=0), xy.max(axis=0)
        keypoints = np.column_stack([xy, np.full(len(xy), 2)]).ravel().tolist()
        people.append(
            {"id": i + 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "num_keypoints": 17, "keypoints": keypoints,
             "bbox": [x0, y0, x1 - x0, y1 - y0], "area": 0.5 * (x1 - x0) * (y1 - y0)}
        )  # fmt: skip
    height, width = image.shape[:2]
    labels = {
        "images": [{"id": 1, "file_name": "000000000001.jpg", "height": height, "width": width}],
        "annotations": people,
        "categories": [{"id": 1, "name": "person", "keypoints": grouping_networks.COCO}],
    }
    (folder / "annotations" / "person_keypoints_val2017.json").write_text(json.dumps(labels))
    return f"coco:{folder}:val2017"


@pytest.mark.parametrize("name", ["HigherHRNet", "DEKR", "PoseNet", "openpifpaf", "trt_pose"])
def test_a_network_is_built_run_and_evaluated_without_a_spec(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    image, truth = image_and_people(kind)
    to_input = crop_affine(frame_box((image.shape[0], image.shape[1]))[0], kind.size, padding=1.0)
    path = grouping_networks.network(kind, apply_affine(to_input, truth), tmp_path / "net.onnx")
    notes: list[str] = []
    options = BuildOptions(precisions=("fp32",), backends=("onnxruntime",))
    (engine,) = build(path, out=tmp_path / "out", options=options, note=notes.append).engines
    assert any(f"recognized as {kind.family} by the" in line for line in notes)
    assert any("input.mean" in line and "is a guess" in line for line in notes)
    with load(engine) as model:
        assert model.finds_people
        poses = model(image)
    cell = image.shape[0] / kind.cells[0]
    assert ideal_outputs.matched(poses.xy_image, poses.scores, truth).max() < kind.limit * cell
    data = labeled_folder(tmp_path / "data", image, truth[:, : len(grouping_networks.COCO)])
    (result,) = evaluate(engine, data=data, options=EvaluateOptions(n_boot=10)).engines
    assert result.metrics["oks_ap"].interval.value == pytest.approx(1.0, abs=1e-6)
    assert result.metrics["epe"].interval.value < 0.2


def test_trt_pose_gets_the_stretched_image(tmp_path: Path) -> None:
    """A wide frame fills its square input, and what comes back is not stretched."""
    kind = KINDS["trt_pose"]
    size = (240, 480)
    truth = ideal_outputs.people(kind.joints, [(130, 120, 190), (360, 125, 170)])
    scale = np.array([kind.size[1] / size[1], kind.size[0] / size[0]])
    path = grouping_networks.network(kind, (truth + 0.5) * scale - 0.5, tmp_path / "net.onnx")
    found = recognized(path)
    assert found.spec.crop.place == "stretch"
    poses = poses_in(found, np.zeros((*size, 3), np.uint8), tmp_path)
    assert ideal_outputs.matched(poses.xy_image, poses.scores, truth).max() < kind.limit * size[1] / kind.cells[1]


@pytest.mark.parametrize(
    ("name", "key", "wrong", "right"),
    [("trt_pose", "field_order", "xy", "yx"), ("DEKR", "displacement", "add", "subtract"),
     ("openpose COCO, two outputs", "field_order", "yx", "xy")],
)  # fmt: skip
def test_a_wrong_reading_of_vectors_is_refused_when_it_is_built(
    name: str, key: str, wrong: str, right: str, tmp_path: Path
) -> None:
    """Images of people show it: the fields join no peaks, the displacements lead to no joints."""
    kind = KINDS[name]
    image, truth = image_and_people(kind)
    to_input = crop_affine(frame_box((image.shape[0], image.shape[1]))[0], kind.size, padding=1.0)
    path = grouping_networks.network(kind, apply_affine(to_input, truth), tmp_path / "net.onnx")
    for value in (wrong, right):
        spec = tmp_path / f"{value}.toml"
        spec.write_text(f'family = "{kind.family}"\ncodec = {{ {key} = "{value}" }}\n')
        options = BuildOptions(precisions=("fp32",), backends=("onnxruntime",), spec=spec)
        if value == right:
            assert len(build(path, out=tmp_path / "out", options=options).engines) == 1
            continue
        with pytest.raises(SpecError, match=rf'codec\.{key} = "{wrong}": .*set codec\.{key} = "{right}"'):
            build(path, out=tmp_path / "refused", options=options)
