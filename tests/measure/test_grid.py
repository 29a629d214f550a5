"""The grid of heatmaps, measured on mirrored crops: networks that were trained with each rule, and published ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec, read_toml, spec_from_dict
from edgepose.codecs import heatmap
from edgepose.codecs.heatmap import HeatmapCodec
from edgepose.measure.grid import GridMeasurement, measure_grid
from edgepose.measure.plausible import WARNING, Evidence, judge
from edgepose.pose.geometry import apply_affine, invert_affine

IMAGE, PEOPLE = (256, 192), 24
CONTRACT = {"name": "net", "skeleton": "lsp14", "input": {"size": list(IMAGE)}}


def contract(codec: HeatmapCodec) -> ModelSpec:
    return replace(spec_from_dict(CONTRACT, "the test"), codec=codec)


def marked_crops() -> Array:
    """Crops whose number stands in the first pixel, so that a mirrored crop has it in the last of the row."""
    crops = np.zeros((PEOPLE, 3, *IMAGE), np.float32)
    crops[:, 0, 0, 0] = np.arange(1, PEOPLE + 1)
    return crops


def trained_with(codec: HeatmapCodec, spec: ModelSpec, stride: int = 4, noise_px: float = 0.4) -> Callable[..., Array]:
    """A network that finds the same joints in both crops, and draws them where the grid of `codec` puts them."""
    rng = np.random.default_rng(0)
    size = (IMAGE[0] // stride, IMAGE[1] // stride)
    xy = rng.uniform((40, 40), (150, 210), (PEOPLE, 14, 2))
    order = list(spec.skeleton.flip_order())

    def run(crops: Array) -> Array:
        turned = crops[:, 0, 0, 0] == 0
        number = (crops[:, 0, 0, -1] if turned.all() else crops[:, 0, 0, 0]).astype(int) - 1
        seen = xy[number]
        if turned.all():
            seen = seen[:, order]
            seen[..., 0] = IMAGE[1] - 1 - seen[..., 0]
        seen = seen + rng.normal(0, noise_px, seen.shape)
        cells = apply_affine(invert_affine(codec.to_crop(size, IMAGE)), seen)
        return heatmap.encode(cells, np.ones(cells.shape[:2], bool), size, 2.0)

    return run


def measured(trained: HeatmapCodec, given: HeatmapCodec, stride: int = 4) -> GridMeasurement:
    spec = contract(given)
    found = measure_grid(trained_with(trained, spec, stride), spec, marked_crops())
    assert found is not None
    return found


@pytest.mark.parametrize("refine", ["quarter", "dark", "udp", "argmax"])
@pytest.mark.parametrize("rule", ["centers", "stride", "corners"])
def test_the_right_rule_fits(refine: str, rule: str) -> None:
    codec = HeatmapCodec(refine=refine, rule=rule)
    found = measured(codec, codec)
    assert abs(found.offset_px) < 0.15 and found.proposed is None
    assert found.rule == rule and found.line().endswith(f'grid = "{rule}" fits')


@pytest.mark.parametrize(
    ("stride", "trained", "given", "offset", "proposed"),
    [
        (4, {"rule": "stride"}, {}, 1.5, {"rule": "stride"}),
        (8, {"rule": "stride"}, {}, 3.5, {"rule": "stride"}),
        (2, {"rule": "stride"}, {}, 0.5, {"rule": "stride"}),
        (4, {}, {"rule": "stride"}, -1.5, {}),
        (4, {"rule": "stride"}, {"refine": "udp"}, 1.5, {"rule": "stride"}),
        (4, {}, {"offset": 2.0}, 2.0, {}),
        (4, {"rule": "stride"}, {"rule": "stride", "offset": 1.0}, 1.0, {"rule": "stride"}),
    ],
)
def test_a_wrong_rule_leaves_its_offset(
    stride: int, trained: dict[str, str], given: dict[str, str], offset: float, proposed: dict[str, str]
) -> None:
    contract_codec = HeatmapCodec(**given)  # type: ignore[arg-type]
    found = measured(HeatmapCodec(**trained), contract_codec, stride)  # type: ignore[arg-type]
    assert found.offset_px == pytest.approx(offset, abs=0.15)
    assert found.low_px < found.offset_px < found.high_px
    fitting = replace(contract_codec, rule=None, offset=0.0)
    assert found.proposed == replace(fitting, **proposed)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [{}, {"rule": "stride"}])
def test_an_offset_that_fits_no_rule_is_a_number(given: dict[str, str]) -> None:
    found = measured(HeatmapCodec(offset=-0.8), HeatmapCodec(**given))  # type: ignore[arg-type]
    assert found.rule is None and found.proposed is not None
    assert found.proposed.rule is None and found.proposed.offset == pytest.approx(-0.8, abs=0.15)
    assert f"use offset = {found.proposed.offset:g} in codec" in found.line()
    again = measured(HeatmapCodec(offset=-0.8), found.proposed)
    assert again.proposed is None and again.rule is None
    assert again.line().endswith(f'grid = "centers" with offset = {found.proposed.offset:g} fits')


def test_a_finding_says_what_to_write() -> None:
    spec = contract(HeatmapCodec())
    found = measured(HeatmapCodec(rule="stride"), HeatmapCodec())
    (finding,) = judge(Evidence(spec=spec, grid=found))
    assert finding.severity == WARNING
    assert finding.line().startswith('codec.grid: with grid = "centers", a crop and its mirror image agree where x is')
    assert finding.line().endswith('use grid = "stride" in codec')
    assert judge(Evidence(spec=spec, grid=measured(HeatmapCodec(), HeatmapCodec()))) == ()


def test_a_network_that_finds_nothing_twice_is_not_measured() -> None:
    spec, rng = contract(HeatmapCodec()), np.random.default_rng(0)
    assert measure_grid(lambda crops: rng.random((len(crops), 14, 64, 48), np.float32), spec, marked_crops()) is None
    constant = np.zeros((PEOPLE, 14, 64, 48), np.float32)
    assert measure_grid(lambda crops: constant, spec, marked_crops()) is None
    assert measure_grid(lambda crops: np.full_like(constant, np.nan), spec, marked_crops()) is None
    assert measure_grid(lambda crops: constant[:, :5], spec, marked_crops()) is None


def test_only_heatmaps_have_a_grid() -> None:
    spec = spec_from_dict(CONTRACT | {"codec": {"type": "regression"}}, "the test")
    assert measure_grid(lambda crops: crops, spec, marked_crops()) is None


@pytest.mark.parametrize(
    ("name", "grid", "offset", "proposed", "photographs"),
    [
        ("pp_tinypose_256x192", None, 1.5, "stride", True),
        ("pp_tinypose_256x192", None, 1.5, "stride", False),
        ("pp_tinypose_256x192", "stride", 0.0, None, True),
        ("pp_tinypose_256x192_aligned", None, 0.0, None, True),
    ],
)
def test_published_networks(
    data_root: Path, name: str, grid: str | None, offset: float, proposed: str | None, photographs: bool
) -> None:
    pytest.importorskip("onnxruntime")
    from edgepose.api.contract import measured_grid
    from edgepose.export.foreign import import_onnx

    models = data_root.parent / "models"
    if not (models / f"{name}.onnx").is_file():
        pytest.skip(f"no {name}.onnx in {models}")
    table = read_toml(models / f"{name}.toml")
    if grid is not None:
        table["codec"]["grid"] = grid
    model, spec = import_onnx(models / f"{name}.onnx", table)
    found = measured_grid(model, spec, f"lsp:{data_root / 'lsp'}:train" if photographs else None)
    assert found is not None and found.offset_px == pytest.approx(offset, abs=0.15)
    assert (found.proposed and found.proposed.rule) == proposed


def test_the_model_of_the_zoo_fits(data_root: Path) -> None:
    pytest.importorskip("onnxruntime")
    from edgepose.api.contract import check_contract

    report = check_contract("lite", data=f"lsp:{data_root / 'lsp'}:train", people=40)
    assert report.grid is not None and report.grid.proposed is None and abs(report.grid.offset_px) < 0.3
    assert report.lines[-1] == report.grid.line()
