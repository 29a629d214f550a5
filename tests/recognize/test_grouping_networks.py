"""Grouping networks are recognized, and their people come back where they were put."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import grouping_networks
import ideal_outputs
import numpy as np
import onnx
import pytest
from grouping_networks import KINDS, Kind
from nets import answering

from edgepose._checks import Array
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
