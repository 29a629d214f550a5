from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from edgepose._files import sha256_json
from edgepose.artifacts.scales import Scales, TensorRange, check_fresh, read_scales, write_scales
from edgepose.artifacts.spec import spec_from_dict
from edgepose.errors import CalibrationError

SPEC = spec_from_dict({"name": "net", "skeleton": "lsp14"}, "test")
SCALES = Scales(
    onnx_sha256="a" * 64,
    preprocessing_sha256=sha256_json(SPEC.preprocessing()),
    image_list_sha256="c" * 64,
    method="percentile",
    parameters={"percentile": 99.99},
    images=100,
    tensors={"x": TensorRange(min=-1.5, max=6.0, scale=0.047244094312191)},
    int8_ends=("/stem",),
)


def test_written_and_read_back(tmp_path):
    write_scales(tmp_path / "scales.json", SCALES)
    assert read_scales(tmp_path / "scales.json") == SCALES


def test_fresh_scales_pass():
    check_fresh(SCALES, "a" * 64, SPEC, "c" * 64)
    check_fresh(SCALES, "a" * 64, SPEC)  # the images are not at hand


@pytest.mark.parametrize(
    "onnx,spec,images,named",
    [
        ("0" * 64, SPEC, "c" * 64, "the ONNX"),
        ("a" * 64, replace(SPEC, crop=replace(SPEC.crop, padding=1.5)), "c" * 64, "the preprocessing"),
        ("a" * 64, replace(SPEC, input=replace(SPEC.input, color="bgr")), None, "the preprocessing"),
        ("a" * 64, SPEC, "0" * 64, "the image list"),
    ],
)
def test_stale_scales_name_the_key_that_differs(onnx, spec, images, named):
    with pytest.raises(CalibrationError, match="run: edgepose calibrate") as caught:
        check_fresh(SCALES, onnx, spec, images)
    for key in ("the ONNX", "the preprocessing", "the image list"):
        assert (key in str(caught.value)) == (key == named)


def test_another_percentile_makes_scales_stale():
    check_fresh(SCALES, "a" * 64, SPEC, None, "percentile", {"percentile": 99.99})
    check_fresh(SCALES, "a" * 64, SPEC, None, "percentile")  # any percentile
    with pytest.raises(CalibrationError, match=r"the percentile \(scales: 99\.99, now: 99\) changed.*--percentile 99$"):
        check_fresh(SCALES, "a" * 64, SPEC, None, "percentile", {"percentile": 99})
    with pytest.raises(CalibrationError, match=r"stale: the method .* changed.*--method mse$"):
        check_fresh(SCALES, "a" * 64, SPEC, None, "mse", {})


def test_what_does_not_touch_the_pixels_does_not_make_scales_stale():
    check_fresh(SCALES, "a" * 64, replace(SPEC, name="other", codec=replace(SPEC.codec, refine="dark")))


@pytest.mark.parametrize(
    "change,words",
    [
        ({"format": 9}, "format is 9"),
        ({"method": None}, r"Expected `str`, got `null` - at `\$\.method`"),
        ({"more": 1}, r"unknown \['more'\]"),
        ({"tensors": {"x": {"min": 0, "max": 1}}}, r"missing required field `scale` - at `\$\.tensors"),
        ({"tensors": {"x": {"min": 0, "max": 1, "scale": -1}}}, "tensors.x"),
        ({"tensors": {"x": {"min": 0, "max": 1, "scale": "wide"}}}, r"Expected `float`, got `str` - at `\$\.tensors"),
        ({"images": "many"}, r"Expected `int`, got `str`"),
    ],
)
def test_damaged_files_are_refused(tmp_path, change, words):
    path = tmp_path / "scales.json"
    path.write_text(json.dumps(SCALES.to_json() | change))
    with pytest.raises(CalibrationError, match=words):
        read_scales(path)


def test_missing_and_broken_files_are_refused(tmp_path):
    with pytest.raises(CalibrationError, match=r"no scales file.*edgepose calibrate"):
        read_scales(tmp_path / "none.json")
    (tmp_path / "cut.json").write_text('{"format": 1, ')
    with pytest.raises(CalibrationError, match="no valid JSON"):
        read_scales(tmp_path / "cut.json")


def test_format_1_is_read(tmp_path):
    value = SCALES.to_json()
    del value["edgepose_version"], value["tensors"]["x"]["statistics"]
    path = tmp_path / "scales.json"
    path.write_text(json.dumps(value | {"format": 1}))
    assert read_scales(path) == SCALES


def test_statistics_are_kept(tmp_path):
    held = replace(SCALES.tensors["x"], statistics={"channel_mean": [0.5, -1.0], "image_max": 3.0})
    write_scales(tmp_path / "scales.json", replace(SCALES, tensors={"x": held}))
    assert read_scales(tmp_path / "scales.json").tensors["x"] == held


@pytest.mark.parametrize("statistic", [math.nan, [1.0, math.inf], "text", {"a": 1}, [[1.0]], None, [1.0, "1"], [{}]])
def test_statistics_that_are_no_finite_numbers_are_refused(tmp_path, statistic):
    value = SCALES.to_json()
    value["tensors"]["x"]["statistics"] = {"channel_max": statistic}
    (tmp_path / "scales.json").write_text(json.dumps(value))
    with pytest.raises(CalibrationError, match=r"scales.json is no scales file: .*x.*channel_max|\$\.tensors"):
        read_scales(tmp_path / "scales.json")


def test_parameters_that_are_not_finite_are_refused(tmp_path):
    (tmp_path / "scales.json").write_text(json.dumps(SCALES.to_json() | {"parameters": {"percentile": math.nan}}))
    with pytest.raises(CalibrationError, match="parameters: expected finite numbers"):
        read_scales(tmp_path / "scales.json")


def test_what_was_read_can_be_written_again(tmp_path):
    write_scales(tmp_path / "a.json", replace(SCALES, parameters={}))
    write_scales(tmp_path / "b.json", read_scales(tmp_path / "a.json"))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@pytest.mark.parametrize("kind", ["equalization", "bias"])
def test_numbers_of_a_pass_that_are_not_finite_are_refused(tmp_path, kind):
    path = tmp_path / "scales.json"
    write_scales(path, SCALES)
    value = json.loads(path.read_text())
    path.write_text(json.dumps(value | {kind: {"conv": [1.0, float("nan")]}}))
    with pytest.raises(CalibrationError, match=f"{kind}.conv: expected finite numbers"):
        read_scales(path)
