"""Top-down networks without a contract: SimCC, heatmaps and joints, from files beside them, names and shapes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from published import JOINTS, MEAN, SIZE, STD, mmdeploy_folder, places, pose_pipeline, returning, simcc_vectors

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec, read_toml
from edgepose.errors import ModelError, SpecError
from edgepose.export.batch import run_graph
from edgepose.export.foreign import import_network, import_onnx
from edgepose.pose.skeletons import SKELETONS
from edgepose.recognize import Recognized, candidate_of, recognize
from edgepose.recognize.joints import CENTERED, PIXELS, UNIT, counted_in
from edgepose.recognize.kept import recognition_of

Model = onnx.ModelProto


def saved(model: Model, folder: Path, name: str = "net.onnx") -> Path:
    onnx.save(model, folder / name)
    return folder / name


def found_in(model: Model, path: Path | None = None) -> Recognized:
    found = recognize(candidate_of(model, path))
    assert found is not None
    return found


def joints_in_crop(model: Model, spec: ModelSpec, count: int = 2) -> Array:
    """The joints [N, K, 3] that an imported network finds, in pixels of its crops."""
    images = np.zeros((count, *spec.input.shape), np.float32)
    outputs = run_graph(model, spec, images)
    same = np.tile(np.eye(2, 3), (count, 1, 1))
    decoded = spec.codec.decode(outputs, None, same, spec)
    assert isinstance(decoded, np.ndarray)
    return decoded


def guessed(found: Recognized) -> set[str]:
    return {guess.field for guess in found.guesses}


@pytest.mark.parametrize("size", [(256, 192), (384, 288), (256, 256), (192, 256)])
@pytest.mark.parametrize("split", [2.0, 1.5, 3.0])
def test_simcc_by_names(size: tuple[int, int], split: float) -> None:
    xy = places(size)
    found = found_in(returning(simcc_vectors(xy, size, split), size=size))
    assert (found.family, found.source) == ("simcc", "names")
    assert found.spec.codec.parameters() == {"split": split}
    assert found.spec.input.size == size and found.spec.skeleton.name == "coco17"
    assert guessed(found) == {"input.color", "input.mean", "input.std", "crop.padding", "skeleton"}


def test_vectors_in_the_other_order_are_found_by_their_names() -> None:
    vectors = simcc_vectors(places())
    found = found_in(returning(dict(reversed(vectors.items()))))
    assert found.spec.outputs == ("simcc_x", "simcc_y")


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_simcc_by_shapes(order: tuple[str, str], tmp_path: Path) -> None:
    """Without names, the lengths tell x from y; the file states the outputs in either order."""
    vectors = dict(zip("ab", simcc_vectors(places()).values(), strict=True))
    path = saved(returning({name: vectors[name] for name in order}), tmp_path)
    model, spec = import_onnx(path, None)
    assert spec.outputs == ("a", "b")
    assert np.allclose(joints_in_crop(model, spec)[..., :2], places())


def test_the_order_of_a_square_input_is_a_guess() -> None:
    vectors = dict(zip("ab", simcc_vectors(places((256, 256)), (256, 256)).values(), strict=True))
    assert "outputs" in guessed(found_in(returning(vectors, size=(256, 256))))
    assert "outputs" not in guessed(found_in(returning(simcc_vectors(places((256, 256)), (256, 256)), size=(256, 256))))


def test_simcc_whose_file_states_no_shapes(tmp_path: Path) -> None:
    """mmdeploy names the axes of outputs, and only a run shows their lengths."""
    shapes = {"simcc_x": ["batch", "Addsimcc_x_dim_1", "Addsimcc_x_dim_2"], "simcc_y": None}
    model, spec = import_onnx(saved(returning(simcc_vectors(places()), shapes=shapes), tmp_path), None)
    assert np.allclose(joints_in_crop(model, spec)[..., :2], places())
    assert spec.codec.parameters() == {"split": 2.0}


@pytest.mark.parametrize(
    ("joints", "config", "name"),
    [
        (17, "rtmpose-m_8xb256-420e_coco-256x192.py", "coco17"),
        (16, "rtmpose-m_8xb64-210e_mpii-256x256.py", "mpii16"),
        (11, "", "flic11"),
        (5, "", "joints5"),
    ],
)
def test_the_skeleton_by_the_number_of_joints(joints: int, config: str, name: str, tmp_path: Path) -> None:
    model = returning(simcc_vectors(places(joints=joints)))
    folder = mmdeploy_folder(tmp_path / "net", model, pose_pipeline(), config=config)
    found = found_in(model, folder / "end2end.onnx")
    assert found.spec.skeleton.name == name and len(found.spec.skeleton) == joints
    assert ("skeleton" in guessed(found)) != bool(config)


def test_mmdeploy_says_nearly_everything(tmp_path: Path) -> None:
    normalize = {"mean": [1.0, 2.0, 3.0], "std": [4.0, 5.0, 6.0], "to_rgb": False}
    pipeline = pose_pipeline(normalize=normalize, padding=1.4)
    folder = mmdeploy_folder(tmp_path / "rtmpose-m", returning(simcc_vectors(places())), pipeline)
    made = import_network(folder / "end2end.onnx", None)
    found = made.recognized
    assert found is not None and (found.family, found.source) == ("mmdeploy", "files")
    image, crop = made.spec.input, made.spec.crop
    assert (image.color, image.mean, image.std) == ("bgr", (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    assert crop.padding == 1.4 and made.spec.name == "rtmpose-m"
    assert guessed(found) == {"skeleton"}
    assert np.allclose(joints_in_crop(made.model, made.spec), np.c_[places(), np.full(JOINTS, 0.8)], atol=1e-5)
    kept = recognition_of(made.model)
    assert kept is not None and kept.guesses == found.guesses and not kept.rewritten and made.adapted is None


def test_the_graph_is_trusted_before_an_outdated_file(tmp_path: Path) -> None:
    size = (256, 256)
    pipeline = pose_pipeline(size=size, stale=(256, 192))
    folder = mmdeploy_folder(tmp_path / "net", returning(simcc_vectors(places(size), size), size=size), pipeline)
    model, spec = import_onnx(folder / "end2end.onnx", None)
    assert spec.input.size == size
    assert np.allclose(joints_in_crop(model, spec)[..., :2], places(size))


def test_a_free_size_is_that_of_the_file(tmp_path: Path) -> None:
    size = (320, 240)
    model = returning(simcc_vectors(places(size), size), size=("h", "w"))
    folder = mmdeploy_folder(tmp_path / "net", model, pose_pipeline(size=size))
    assert import_onnx(folder / "end2end.onnx", None)[1].input.size == size


def test_renamed_outputs(tmp_path: Path) -> None:
    x, y = simcc_vectors(places((256, 256)), (256, 256)).values()
    model = returning({"700": y, "output": x}, size=(256, 256))
    pipeline = pose_pipeline(size=(256, 256), output_map={"output": "simcc_x", "700": "simcc_y"})
    folder = mmdeploy_folder(tmp_path / "net", model, pipeline)
    model, spec = import_onnx(folder / "end2end.onnx", None)
    assert spec.outputs == ("output", "700")
    assert np.allclose(joints_in_crop(model, spec)[..., :2], places((256, 256)))


@pytest.mark.parametrize("stated", [True, False])
def test_pixels_and_scores_in_one_output(stated: bool, tmp_path: Path) -> None:
    values = np.c_[places(), np.full(JOINTS, 0.25)].astype(np.float32)
    path = saved(returning({"out": values}, shapes={} if stated else {"out": None}), tmp_path)
    model, spec = import_onnx(path, None)
    assert np.allclose(joints_in_crop(model, spec), values, atol=1e-3)


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("column", [True, False])
def test_simcc_with_its_decoder_inside_counts_pixels(beside: bool, column: bool, tmp_path: Path) -> None:
    xy, scores = places(), np.linspace(0.1, 0.9, JOINTS).astype(np.float32)
    model = returning({"pts": xy, "scores": scores[:, None] if column else scores})
    path = saved(model, tmp_path)
    if beside:
        params = {"export_postprocess": True}
        path = mmdeploy_folder(tmp_path / "net", model, pose_pipeline(params=params)) / "end2end.onnx"
    made = import_network(path, None)
    assert made.recognized is not None and made.recognized.family == ("mmdeploy" if beside else "joints")
    assert ("codec.range" in guessed(made.recognized)) != beside
    assert np.allclose(joints_in_crop(made.model, made.spec), np.c_[xy, scores], atol=1e-3)
    kept = recognition_of(made.model)
    assert kept is not None and kept.rewritten and made.adapted is not None


def test_fractions_with_scores(tmp_path: Path) -> None:
    xy, scores = places(), np.full(JOINTS, 0.5, np.float32)
    unit = (xy + 0.5) / np.array(SIZE[::-1])
    model, spec = import_onnx(saved(returning({"xy": unit.astype(np.float32), "s": scores}), tmp_path), None)
    assert np.allclose(joints_in_crop(model, spec), np.c_[xy, scores], atol=1e-3)


def test_the_regression_of_mmpose_counts_from_the_first_pixel(tmp_path: Path) -> None:
    xy = places()
    unit = (xy / np.array(SIZE[::-1])).astype(np.float32)
    pipeline = pose_pipeline("DeepposeRegressionHeadDecode")
    folder = mmdeploy_folder(tmp_path / "net", returning({"output": unit}), pipeline)
    model, spec = import_onnx(folder / "end2end.onnx", None)
    assert np.allclose(joints_in_crop(model, spec)[..., :2], xy, atol=1e-3)


@pytest.mark.parametrize(
    ("low", "high", "unit"),
    [(0, 191, PIXELS), (-20, 230, PIXELS), (0, 1, UNIT), (-0.2, 1.2, UNIT), (-0.5, 0.5, CENTERED), (-900, 900, None)],
)
def test_what_coordinates_count_in(low: float, high: float, unit: str | None) -> None:
    xy = np.linspace(low, high, 2 * JOINTS).reshape(1, JOINTS, 2)
    assert counted_in(xy, SIZE) == unit
    assert counted_in(np.full_like(xy, np.nan), SIZE) is None


def maps(joints: int = JOINTS, rows: int = 64, columns: int = 48) -> np.ndarray:
    return np.random.default_rng(1).uniform(0, 1, (joints, rows, columns)).astype(np.float32)


@pytest.mark.parametrize(
    ("params", "decode"),
    [({}, "quarter"), ({"post_process": "unbiased"}, "dark"), ({"post_process": "default"}, "quarter"),
     ({"use_udp": True}, "udp")],
)  # fmt: skip
def test_heatmaps_of_mmdeploy(params: dict[str, Any], decode: str, tmp_path: Path) -> None:
    pipeline = pose_pipeline("TopdownHeatmapSimpleHeadDecode", params=params)
    folder = mmdeploy_folder(tmp_path / "net", returning({"output": maps()}), pipeline)
    spec = import_onnx(folder / "end2end.onnx", None)[1]
    assert spec.codec.name == "heatmap" and spec.codec.parameters()["decode"] == decode


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_heatmaps_by_shape(stride: int) -> None:
    found = found_in(returning({"out": maps(14, 256 // stride, 192 // stride)}))
    assert (found.family, found.source, found.spec.outputs) == ("heatmaps", "shapes", ("out",))
    fields = {"input.color", "input.mean", "input.std", "crop.padding", "codec.decode", "codec.grid", "skeleton"}
    assert guessed(found) == fields and found.spec.input.mean == tuple(MEAN)


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ((18, 64, 48), "18 maps, and no usual skeleton has as many joints; 17 joints and a background"),
        ((34, 64, 48), "34 maps, and no usual skeleton"),
        ((17, 256, 192), "its maps are as large as its input"),
        ((17, 48, 64), "do not cover the input with a stride of 2, 4, 8"),
    ],
)
def test_other_maps_are_not_taken(shape: tuple[int, ...], why: str, tmp_path: Path) -> None:
    path = saved(returning({"out": maps(*shape)}), tmp_path)
    with pytest.raises(SpecError, match=f"it is not heatmaps because .*{why}"):
        import_onnx(path, None)


def test_pp_tinypose_with_its_argmax() -> None:
    values = {"conv2d_441.tmp_1": maps(), "argmax_0.tmp_0": np.arange(JOINTS)}
    found = found_in(returning(values, name="image"))
    assert (found.family, found.source) == ("pp-tinypose", "names")
    assert found.spec.outputs == ("conv2d_441.tmp_1",)
    assert found.spec.codec.parameters()["decode"] == "dark"


def test_pp_tinypose_as_published(published_model: Callable[[str], Path]) -> None:
    """The contract that its publisher wrote by hand, but for the name."""
    path = published_model("pp_tinypose_256x192")
    model, spec = import_onnx(path, None)
    table = {
        "name": spec.name,
        "skeleton": "coco17",
        "input": {"size": [256, 192], "color": "rgb", "mean": MEAN, "std": STD},
        "codec": {"type": "heatmap", "decode": "dark", "sigma": 2.0},
    }
    assert import_onnx(path, table)[1] == spec
    assert recognition_of(model) is not None


PROCESSOR = {
    "image_processor_type": "VitPoseImageProcessor",
    "do_affine_transform": True,
    "do_normalize": True,
    "do_rescale": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "rescale_factor": 1 / 255,
    "size": {"height": 256, "width": 192},
}
LABELS = ["Nose", "L_Eye", "R_Eye", "L_Ear", "R_Ear", "L_Shoulder", "R_Shoulder", "L_Elbow", "R_Elbow", "L_Wrist",
          "R_Wrist", "L_Hip", "R_Hip", "L_Knee", "R_Knee", "L_Ankle", "R_Ankle"]  # fmt: skip


@pytest.mark.parametrize("below", [True, False])
@pytest.mark.parametrize("named", [True, False])
def test_vitpose_of_hugging_face(below: bool, named: bool, tmp_path: Path) -> None:
    """The ONNX file lies beside the configuration, or in onnx/ below it."""
    folder = tmp_path / "vitpose-base-simple"
    (folder / "onnx").mkdir(parents=True)
    path = saved(
        returning({"heatmaps": maps()}, name="pixel_values"), folder / "onnx" if below else folder, "model.onnx"
    )
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    labels = LABELS if named else [f"LABEL_{i}" for i in range(17)]
    (folder / "config.json").write_text(json.dumps({"id2label": {str(i): name for i, name in enumerate(labels)}}))
    made = import_network(path, None)
    assert made.recognized is not None
    assert (made.recognized.family, made.recognized.source) == ("huggingface-pose", "files")
    assert made.spec.input.mean == tuple(MEAN) and made.spec.input.std == tuple(STD)
    assert made.spec.codec.parameters()["decode"] == "udp" and made.spec.name == "vitpose-base-simple"
    assert made.spec.skeleton == SKELETONS["coco17"]
    assert guessed(made.recognized) == {"crop.padding", "input.color", *(() if named else ("skeleton",))}


def test_the_processor_of_something_else_is_no_pose_network(tmp_path: Path) -> None:
    path = saved(returning({"logits": maps(80, 1, 1)[:, 0, 0]}), tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "ViTImageProcessor"}))
    assert recognize(candidate_of(onnx.load(path), path)) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is no valid JSON"),
        (json.dumps({"pipeline": {}}), "pipeline.tasks is missing; expected a list of tables"),
        (json.dumps({"pipeline": {"tasks": 3}}), "pipeline.tasks = 3; expected a list of tables"),
        (
            json.dumps(pose_pipeline(normalize={"mean": [1.0], "std": STD})),
            r"Normalize.mean = \[1.0\]; expected 3 finite numbers",
        ),
        (
            json.dumps(pose_pipeline("TopdownHeatmapSimpleHeadDecode")),
            "which does not fit the outputs simcc_x, simcc_y",
        ),
    ],
)
def test_a_pipeline_that_cannot_be_right_is_named(text: str, why: str, tmp_path: Path) -> None:
    folder = mmdeploy_folder(tmp_path / "net", returning(simcc_vectors(places())), pose_pipeline())
    (folder / "pipeline.json").write_text(text)
    with pytest.raises(SpecError, match=why):
        import_onnx(folder / "end2end.onnx", None)


@pytest.mark.parametrize(
    ("stated", "why"),
    [
        (-1, "params.input_size = -1; expected"),
        ([192, 10_000_000], r"params.input_size = \[192, 10000000\]; expected"),
        ([0, 192], r"params.input_size = \[0, 192\]; expected"),
        (float("inf"), "params.input_size = Infinity; expected"),
    ],
)
def test_an_impossible_size_in_a_pipeline_is_named(stated: object, why: str, tmp_path: Path) -> None:
    model = returning(simcc_vectors(places()), size=("height", "width"), shapes={"simcc_x": None, "simcc_y": None})
    folder = mmdeploy_folder(tmp_path / "net", model, pose_pipeline(params={"input_size": stated}))
    with pytest.raises(SpecError, match=why):
        import_onnx(folder / "end2end.onnx", None)


def test_a_pipeline_of_another_network_is_passed_over(tmp_path: Path) -> None:
    """deploy.json names the network that the files are about."""
    model = returning(simcc_vectors(places()))
    folder = mmdeploy_folder(tmp_path / "net", model, pose_pipeline("TopdownHeatmapSimpleHeadDecode"))
    other = saved(model, folder, "other.onnx")
    assert found_in(model, other).family == "simcc"


def test_a_spec_that_names_the_family_says_only_what_differs(tmp_path: Path) -> None:
    xy, scores = places(), np.full(JOINTS, 0.5, np.float32)
    path = saved(returning({"pts": xy, "scores": scores}), tmp_path)
    (tmp_path / "net.toml").write_text('family = "joints"\nname = "mine"\ninput = { color = "bgr" }\n')
    made = import_network(path, read_toml(tmp_path / "net.toml"))
    assert made.spec.name == "mine" and made.spec.input.color == "bgr" and made.spec.input.mean == tuple(MEAN)
    assert np.allclose(joints_in_crop(made.model, made.spec)[..., :2], xy, atol=1e-3)
    assert made.recognized is not None
    assert "input.color" not in guessed(made.recognized) and "input.mean" in guessed(made.recognized)


def test_the_size_of_a_spec_decides_what_a_free_graph_computes(tmp_path: Path) -> None:
    xy = places((128, 96))
    path = saved(returning({"pts": xy, "scores": np.ones(JOINTS, np.float32)}, size=("h", "w")), tmp_path)
    model, spec = import_onnx(path, {"family": "joints", "input": {"size": [128, 96]}})
    assert spec.input.size == (128, 96)
    assert np.allclose(joints_in_crop(model, spec)[..., :2], xy, atol=1e-3)


@pytest.mark.parametrize(
    ("family", "why"),
    [("simc", "family = 'simc'; did you mean 'simcc'"), ("heatmaps", "not recognized as 'heatmaps'"), (3, "expected")],
)
def test_a_family_that_does_not_fit(family: object, why: str, tmp_path: Path) -> None:
    path = saved(returning(simcc_vectors(places())), tmp_path)
    with pytest.raises(SpecError, match=why):
        import_onnx(path, {"family": family})


def test_an_unknown_network_is_described_in_one_line(tmp_path: Path) -> None:
    path = saved(returning({"odd": np.zeros((3, 7), np.float32), "simcc_x": maps(4, 3, 2)[..., 0]}), tmp_path)
    with pytest.raises(SpecError) as caught:
        import_onnx(path, None)
    text = str(caught.value)
    assert "\n" not in text
    ports = ("input float32 [batch, 3, 256, 192]", "odd float32 [batch, 3, 7]")
    reasons = ("it has no metadata", "none of pipeline.json", "it is not simcc because it has only one of the outputs")
    assert all(part in text for part in (*ports, *reasons, "--spec"))


def test_a_contract_inside_comes_before_recognition(tmp_path: Path) -> None:
    path = saved(returning(simcc_vectors(places())), tmp_path)
    model, spec = import_onnx(path, None)
    from edgepose.artifacts.spec import embed_spec

    embed_spec(model, replace(spec, name="mine"))
    assert import_onnx(saved(model, tmp_path, "own.onnx"), None)[1].name == "mine"


def test_a_network_that_does_not_run_is_not_recognized(tmp_path: Path) -> None:
    """Its shapes are not stated, and ONNX Runtime refuses its nodes."""
    model = returning(simcc_vectors(places()), shapes={"simcc_x": None, "simcc_y": None})
    model.graph.node[0].op_type = "Unheard"
    with pytest.raises((SpecError, ModelError)):
        import_onnx(saved(model, tmp_path), None)
