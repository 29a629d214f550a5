"""Networks that INT8 once failed on, or was silent about: quantized as they should be, or with a warning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgepose.api.build import BuildResult, build
from edgepose.api.request import BuildOptions
from edgepose.backends.engine import open_engine
from edgepose.backends.session import OpenOptions
from edgepose.errors import ModelError

# Without the guard: these tests are about what is quantized, and the guard would leave most of it in float.
INT8 = BuildOptions(precisions=("fp32", "int8"), backends=("onnxruntime",), calib_limit=32, no_guard=True)


def made(cases: Path, data_root: Path, out: Path, name: str, spec: str = "heat", **given: object) -> BuildResult:
    folder = cases / "onnx"
    options = replace(INT8, spec=folder / f"{spec}.toml", calib=f"lsp:{data_root / 'lsp'}:train", **given)  # type: ignore[arg-type]
    return build(folder / f"{name}.onnx", out=out, options=options)


def warnings(result: BuildResult) -> list[str]:
    """The warnings about quantization; what depends on the CPU is left out."""
    return [line for line in result.notes if line.startswith("int8: ")]


def decibels(result: BuildResult) -> float:
    """The signal-to-noise ratio of the INT8 engine against the FP32 engine on noise."""
    images = np.random.default_rng(0).normal(size=(2, 3, 128, 96)).astype(np.float32)
    found = {}
    for folder in result.engines:
        session, manifest = open_engine(folder, OpenOptions(threads=1))
        with session:
            found[manifest.precision] = session.run({"input": images})["heatmaps"]
    noise = np.square(found["int8"] - found["fp32"]).mean()
    return float(10 * np.log10(np.square(found["fp32"]).mean() / noise))


@pytest.mark.parametrize(("name", "factor"), [("deconv_bn_spread30", 34), ("deconv_depthwise", 168)])
def test_deconvolutions_with_uneven_channels(
    cases: Path, data_root: Path, tmp_path: Path, name: str, factor: int
) -> None:
    one = made(cases, data_root, tmp_path / "one", name, quantize={"deconv_weights": "per_tensor"})
    (line,) = warnings(one)
    assert f"/ConvTranspose_23 by a factor of {factor}" in line and "--deconv-weights per_channel" in line
    assert line in one.manifests[one.engines[1]].notes
    each = made(cases, data_root, tmp_path / "each", name)
    assert warnings(each) == []
    assert decibels(each) > decibels(one) + 1.5


def test_a_channel_that_sets_the_range(cases: Path, data_root: Path, tmp_path: Path) -> None:
    minmax = {"method": "minmax"}
    (line,) = warnings(made(cases, data_root, tmp_path, "activation_outlier_channel", quantize=minmax))
    assert "'relu_14' reaches" in line and "in channel 3" in line and "--keep-float '/Conv_16'" in line


def test_dead_activations(cases: Path, data_root: Path, tmp_path: Path) -> None:
    result = made(cases, data_root, tmp_path, "dead_activations")
    (line,) = warnings(result)
    assert "2 tensors were zero" in line and "'relu_12', 'relu_19'" in line
    assert decibels(result) > 20


def test_the_newest_opset(cases: Path, data_root: Path, tmp_path: Path) -> None:
    result = made(cases, data_root, tmp_path, "opset_newest")
    assert warnings(result) == [] and decibels(result) > 20


def test_an_exact_name_with_brackets(cases: Path, data_root: Path, tmp_path: Path) -> None:
    name = "backbone.layers[6].conv"
    result = made(cases, data_root, tmp_path, "bracket_names", quantize={"keep_float": (name,)})
    assert name in result.kept_float


def test_a_plain_network_has_no_warning(cases: Path, data_root: Path, tmp_path: Path) -> None:
    result = made(cases, data_root, tmp_path, "plain")
    assert warnings(result) == []
    manifest = result.manifests[result.engines[1]]
    assert manifest.int8_in_graph == pytest.approx(0.86, abs=0.01)
    assert any("INT8 in name only" in line for line in manifest.notes)  # ONNX Runtime computes it in float anywhere


@pytest.mark.parametrize(
    ("name", "operator"), [("weights_behind_transpose", "Transpose"), ("fp16_weights_cast", "Cast")]
)
def test_weights_that_are_computed_are_quantized_or_named(
    cases: Path, data_root: Path, tmp_path: Path, name: str, operator: str
) -> None:
    """An import that folds constants quantizes them."""
    try:
        result = made(cases, data_root, tmp_path, name)
    except ModelError as error:
        assert f"weights of 7 of 7 layers are computed by {operator}" in str(error)
    else:
        assert result.manifests[result.engines[1]].int8_in_graph == pytest.approx(0.86, abs=0.01)
