"""`inspect` explains what the guard and the search wrote."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgepose._files import write_json
from edgepose.api.inspect import inspect
from edgepose.artifacts.certificate import write_certificate
from edgepose.artifacts.scales import Scales, TensorRange, write_scales
from tests.made_results import certificate


def test_a_certificate_is_explained_in_lines(tmp_path: Path) -> None:
    write_certificate(tmp_path / "guard.json", certificate(3))
    found = inspect(tmp_path / "guard.json")
    assert found["kind"] == "guard" and "kept at 95% confidence" in found["accuracy of int8"][0]
    lines = found["path of the search"]
    assert len(lines) == 3 and "(chosen)" in lines[1] and "pck@0.2 99.80% (99.60% proven)" in lines[1]
    assert "not tested" in lines[2]


def test_an_accuracy_that_cannot_be_kept_has_no_chosen_candidate(tmp_path: Path) -> None:
    write_certificate(tmp_path / "guard.json", replace(certificate(1), answer="cannot be kept", chosen=None))
    found = inspect(tmp_path / "guard.json")
    assert "cannot be kept" in found["accuracy of int8"][0] and "(chosen)" not in found["path of the search"][0]


def test_results_of_a_run_are_counted(tmp_path: Path) -> None:
    people = [{"image_id": 0, "track_id": 3}, {"image_id": 1, "track_id": 3}, {"image_id": 1, "track_id": None}]
    write_json(tmp_path / "poses.json", {"format": 1, "images": [{"id": i} for i in range(4)], "annotations": people})
    assert inspect(tmp_path / "poses.json") == {"kind": "COCO JSON", "frames": 4, "people": 3, "tracks": 1}
    write_json(tmp_path / "people.json", people)
    assert inspect(tmp_path / "people.json") == {"kind": "COCO results", "people": 3}


def test_scales_are_counted(tmp_path: Path) -> None:
    scales = Scales(
        onnx_sha256="0" * 64, preprocessing_sha256="1" * 64, image_list_sha256="2" * 64, method="minmax", images=40,
        tensors={"x": TensorRange(min=-1.0, max=1.0, scale=1 / 127)},
        keep_float={"a": "search: 2.0% of the error of all units", "b": "residual"}, int8_ends=("stem", "head"),
    )  # fmt: skip
    write_scales(tmp_path / "scales.json", scales)
    assert inspect(tmp_path / "scales.json")["in short"] == [
        "kept in float: 2 nodes, 1 of them by the search",
        "first and last layers in int8: stem, head",
        "equalized: 0 tensors",
        "no bias is corrected",
        "ranges: 1 tensors, observed on 40 people by minmax",
    ]
