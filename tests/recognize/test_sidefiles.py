"""Files beside networks that are damaged, or hold what cannot be right: the error names the file and the field."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from published import MEAN, STD, mmdeploy_folder, places, pose_pipeline, returning, simcc_vectors

from edgepose.errors import SpecError
from edgepose.export.foreign import import_network
from edgepose.recognize.sidefiles import is_side

NAN, INF = float("nan"), float("inf")
Change = Callable[[dict[str, Any]], None]


def transform(pipeline: dict[str, Any], kind: str) -> dict[str, Any]:
    tasks: list[dict[str, Any]] = pipeline["pipeline"]["tasks"]
    found: dict[str, Any] = next(item for item in tasks[0]["transforms"] if item["type"] == kind)
    return found


def normalize(key: str, value: object) -> Change:
    return lambda pipeline: transform(pipeline, "Normalize").update({key: value})


def center(key: str, value: object) -> Change:
    return lambda pipeline: transform(pipeline, "TopDownGetBboxCenterScale").update({key: value})


def task(index: int, key: str, value: object) -> Change:
    return lambda pipeline: pipeline["pipeline"]["tasks"][index].update({key: value})


def without(kind: str, key: str) -> Change:
    def change(pipeline: dict[str, Any]) -> None:
        del transform(pipeline, kind)[key]

    return change


PIPELINES: dict[str, tuple[Change, str]] = {
    **{f"padding {value}": (center("padding", value), r"TopDownGetBboxCenterScale.padding = .*a finite number above 0")
       for value in (INF, NAN, 0, -1.25, "1.25", [1.25], True, 10**400)},
    **{f"mean {value}": (normalize("mean", value), "Normalize.mean = .*3 finite numbers")
       for value in ([1.0, 2.0], [INF, 1, 1], [NAN] * 3, 3, "abc", ["1", "2", "3"], [True] * 3, [*MEAN, 1.0], {})},
    **{f"std {value}": (normalize("std", value), "Normalize.std = .*3 finite numbers above 0")
       for value in ([0.0, 1, 1], [-1.0, 1, 1], [1.0], [INF] * 3, [NAN, 1, 1], None)},
    "no mean": (without("Normalize", "mean"), "Normalize.mean is missing"),
    "no std": (without("Normalize", "std"), "Normalize.std is missing"),
    "to_rgb": (normalize("to_rgb", "yes"), 'Normalize.to_rgb = "yes"; expected true or false'),
    "image_size": (center("image_size", [192]), r"TopDownGetBboxCenterScale.image_size = \[192\]; expected"),
    "use_udp": (lambda p: transform(p, "TopDownAffine").update(use_udp=1), "TopDownAffine.use_udp = 1; expected true"),
    "transforms": (task(0, "transforms", 3), r"pipeline.tasks\[0\].transforms = 3; expected a list of tables"),
    "a transform": (task(0, "transforms", ["Resize"]), r"pipeline.tasks\[0\].transforms\[0\] is \"Resize\"; expected"),
    "a type": (task(0, "transforms", [{"type": 3}]), r"pipeline.tasks\[0\].transforms\[0\].type = 3; expected text"),
    "output_map": (task(1, "output_map", {"a": 3}), r"pipeline.tasks\[1\].output_map.a = 3; expected text"),
    "output_map as a list": (task(1, "output_map", ["a"]), r"pipeline.tasks\[1\].output_map is \[\"a\"\]; expected"),
    "component": (task(2, "component", 3), r"pipeline.tasks\[2\].component = 3; expected text"),
    "params": (task(2, "params", "none"), r"pipeline.tasks\[2\].params is \"none\"; expected a table"),
    "tasks": (lambda p: p["pipeline"].update(tasks=[3]), r"pipeline.tasks\[0\] is 3; expected a table"),
}  # fmt: skip


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_that_cannot_be_right(name: str, tmp_path: Path) -> None:
    change, why = PIPELINES[name]
    pipeline = pose_pipeline()
    change(pipeline)
    folder = mmdeploy_folder(tmp_path / "net", returning(simcc_vectors(places())), pipeline)
    with pytest.raises(SpecError, match=f"pipeline.json: {why}"):
        import_network(folder / "end2end.onnx", None)


@pytest.mark.parametrize("file", ["pipeline.json", "deploy.json", "detail.json"])
@pytest.mark.parametrize("text", [b"{", b"", b"\xff\xfe\x00", b"[" * 100_000, b'{"a": }'])
def test_a_damaged_file_is_named(file: str, text: bytes, tmp_path: Path) -> None:
    folder = mmdeploy_folder(tmp_path / "net", returning(simcc_vectors(places())), pose_pipeline())
    (folder / file).write_bytes(text)
    with pytest.raises(SpecError, match=f"{file} is no valid JSON"):
        import_network(folder / "end2end.onnx", None)


def test_a_deploy_file_whose_models_are_none(tmp_path: Path) -> None:
    folder = mmdeploy_folder(tmp_path / "net", returning(simcc_vectors(places())), pose_pipeline())
    (folder / "deploy.json").write_text('{"models": {"net": "end2end.onnx"}}')
    with pytest.raises(SpecError, match=r"deploy.json: models = .*expected a list of tables"):
        import_network(folder / "end2end.onnx", None)


PROCESSOR = {
    "image_processor_type": "VitPoseImageProcessor",
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "size": {"height": 256, "width": 192},
}


def vitpose(folder: Path, **changed: Any) -> Path:
    import numpy as np

    maps = np.random.default_rng(0).random((17, 64, 48)).astype(np.float32)
    onnx.save(returning({"heatmaps": maps}), folder / "model.onnx")
    value = {key: item for key, item in {**PROCESSOR, **changed}.items() if item is not ...}
    (folder / "preprocessor_config.json").write_text(json.dumps(value))
    return folder / "model.onnx"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"image_std": [0.0, 1, 1]}, "image_std = .*3 finite numbers above 0"),
        ({"image_std": [INF] * 3}, "image_std = .*3 finite numbers above 0"),
        ({"image_mean": [NAN] * 3}, "image_mean = .*3 finite numbers"),
        ({"image_mean": ...}, "image_mean is missing"),
        ({"image_mean": [0.5]}, "image_mean = .*3 finite numbers"),
        ({"rescale_factor": INF}, "rescale_factor = Infinity; expected a finite number above 0"),
        ({"rescale_factor": 0}, "rescale_factor = 0; expected a finite number above 0"),
        ({"do_rescale": "no"}, 'do_rescale = "no"; expected true or false'),
        ({"do_normalize": 1}, "do_normalize = 1; expected true or false"),
        ({"size": {"height": -1, "width": 192}}, "size.height = -1; expected whole pixels"),
        ({"size": {"height": 256}}, "size.width is missing"),
        ({"size": [256, 192]}, r"size is \[256, 192\]; expected a table"),
    ],
)
def test_an_image_processor_that_cannot_be_right(changed: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=f"preprocessor_config.json: {why}"):
        import_network(vitpose(tmp_path, **changed), None)


def test_names_of_joints_that_do_not_fit_are_said(tmp_path: Path) -> None:
    path = vitpose(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"id2label": {"0": "Nose", "1": "L_Eye"}}))
    found = import_network(path, None).recognized
    assert found is not None
    (guess,) = [guess for guess in found.guesses if guess.field == "skeleton"]
    assert "it names 2 joints and has 17" in guess.reason


def test_a_processor_that_says_everything_is_taken(tmp_path: Path) -> None:
    made = import_network(vitpose(tmp_path), None)
    assert made.recognized is not None and made.recognized.family == "huggingface-pose"
    assert made.spec.input.mean == pytest.approx(MEAN) and made.spec.input.std == pytest.approx(STD)


@pytest.mark.parametrize(
    ("value", "fits"),
    [(192, True), (192.0, True), (0, False), (4097, False), (INF, False), (True, False), ("1", False)],
)
def test_sides(value: object, fits: bool) -> None:
    assert is_side(value) == fits
