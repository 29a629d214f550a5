"""The model that ships: its size, its contract, its scales, and what INT8 keeps of it on photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from edgepose._files import sha256_file
from edgepose.api.build import build
from edgepose.api.evaluate import EvaluateOptions, evaluate
from edgepose.artifacts.scales import check_fresh, read_scales
from edgepose.artifacts.spec import embedded_spec
from edgepose.errors import UsageError
from edgepose.zoo import ZOO, zoo_model, zoo_scales

FLOOR = 0.995  # what INT8 must keep of every metric


@pytest.mark.parametrize("name", ZOO)
def test_the_file_is_small_and_carries_its_contract(name: str) -> None:
    path = zoo_model(name)
    model = onnx.load(str(path))
    spec = embedded_spec(model, name)
    assert path.stat().st_size <= 25e6
    assert sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer) <= 8e6
    assert spec.input.size == (256, 192)
    assert spec.skeleton.name == "lsp14"
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param


@pytest.mark.parametrize("name", ZOO)
def test_the_scales_belong_to_the_file(name: str) -> None:
    path = zoo_model(name)
    scales = read_scales(zoo_scales(name))
    check_fresh(scales, sha256_file(path), embedded_spec(onnx.load(str(path)), name))
    assert 32 <= scales.images <= 512


def test_unknown_name() -> None:
    with pytest.raises(UsageError, match="did you mean 'lite'"):
        zoo_model("light")


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    return build("lite", out=tmp_path_factory.mktemp("zoo")).engines


def test_photographs_nobody_trained_on(engines: tuple[Path, ...], data_root: Path) -> None:
    """A hundred of them: far too few for a claim, enough to see a wrong flip, a half pixel or a collapsed layer."""
    result = evaluate(engines, data=f"lsp:{data_root / 'lsp'}:val", options=EvaluateOptions(n_boot=100))
    first, second = (engine.metrics["pck@0.2"].interval.value for engine in result.engines)
    assert first > 0.65
    assert second > 0.98 * first


@pytest.mark.slow
def test_int8_keeps_every_metric_on_lsp_test(engines: tuple[Path, ...], data_root: Path) -> None:
    result = evaluate(engines, data=f"lsp:{data_root / 'lsp'}:test")
    kept = {name: its.kept.interval.value for name, its in result.engines[1].retention.items()}
    wanted = ("pck@0.2", "pck@0.1", "pcp@0.5", "pdj@0.2", "oks_ap")
    assert {name: kept[name] for name in wanted if kept[name] < FLOOR} == {}
