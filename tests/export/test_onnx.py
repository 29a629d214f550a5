"""Export of torch networks: folded, named, free in its batch, contract inside, and never unverified."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from edgepose.artifacts.spec import PARENT_KEY, ModelSpec, embedded_spec, get_metadata, spec_from_dict
from edgepose.errors import ModelError, ParityError, SpecError, UsageError
from edgepose.export.onnx import export, to_onnx
from edgepose.models import create


class Tiny(nn.Module):
    """[B, 3, 32, 24] -> [B, 14, 16, 12]: conv, depthwise and grouped deconvolution, each with batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 4, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6(True))
        self.depthwise = nn.Sequential(nn.Conv2d(16, 16, 3, 1, 1, groups=16), nn.BatchNorm2d(16))
        self.up = nn.Sequential(
            nn.ConvTranspose2d(16, 16, 4, 2, 1, groups=4, bias=False), nn.BatchNorm2d(16), nn.ReLU(True)
        )
        self.final = nn.Conv2d(16, 14, 1)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        found: Tensor = self.final(self.up(x + self.depthwise(x)))
        return found


def with_statistics(module: nn.Module) -> nn.Module:
    """Batch norm as after training: statistics that a wrong fold would show."""
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -0.5, 0.5)
            nn.init.uniform_(part.running_var, 0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 2)
            nn.init.uniform_(part.bias, -0.5, 0.5)
    return module


@pytest.fixture
def tiny() -> nn.Module:
    return with_statistics(Tiny())


@pytest.fixture
def crops() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(3, 3, 32, 24)).astype(np.float32)


def test_export_writes_a_verified_graph_with_its_contract(
    tiny: nn.Module, tiny_spec: ModelSpec, crops: np.ndarray, tmp_path: Path
) -> None:
    parity = export(tiny, tiny_spec, tmp_path / "model.onnx", crops, parent_sha256="ab")
    assert parity.max_abs_error < 1e-4 * parity.scale
    assert (parity.n, parity.batches) == (3, (1, 3))
    model = onnx.load(tmp_path / "model.onnx")
    assert embedded_spec(model, "model") == tiny_spec
    assert get_metadata(model, PARENT_KEY) == "ab"


def test_the_graph_is_folded_named_and_free_in_its_batch(tiny: nn.Module, tiny_spec: ModelSpec) -> None:
    model = to_onnx(tiny, tiny_spec)
    assert [node.op_type for node in model.graph.node] == [
        *("Conv", "Clip", "Conv", "Add", "ConvTranspose", "Relu", "Conv"),
    ]
    assert model.graph.node[0].name == "/stem/stem.0/Conv"
    (image,), (heatmaps,) = model.graph.input, model.graph.output
    assert (image.name, heatmaps.name) == ("input", "heatmaps")
    for value, rest in ((image, [3, 32, 24]), (heatmaps, [14, 16, 12])):
        axes = value.type.tensor_type.shape.dim
        assert (axes[0].dim_param, [axis.dim_value for axis in axes[1:]]) == ("batch", rest)


def test_the_module_is_left_as_it_was(tiny: nn.Module, tiny_spec: ModelSpec) -> None:
    tiny.train()
    before = {name: value.clone() for name, value in tiny.state_dict().items()}
    to_onnx(tiny, tiny_spec)
    assert tiny.training
    for name, value in tiny.state_dict().items():
        assert torch.equal(value, before[name])


def test_simplebaseline_lite(tmp_path: Path) -> None:
    spec = spec_from_dict({"name": "lite", "skeleton": "lsp14", "input": {"size": [64, 64]}}, "test")
    module = with_statistics(create("simplebaseline-lite", joints=14))
    crops = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
    export(module, spec, tmp_path / "lite.onnx", crops)
    operators = {node.op_type for node in onnx.load(tmp_path / "lite.onnx").graph.node}
    assert operators == {"Conv", "Clip", "Add", "ConvTranspose", "Relu"}


class Random(nn.Module):
    """Adds noise: no export can be equal to it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 14, 1)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.conv(images)
        return found + torch.rand_like(found)


def test_an_unequal_graph_is_an_error_and_leaves_no_file(
    tiny_spec: ModelSpec, crops: np.ndarray, tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").write_bytes(b"old")
    with pytest.raises(ParityError, match="does not compute the same as the checkpoint"):
        export(Random(), tiny_spec, tmp_path / "model.onnx", crops, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert (tmp_path / "model.onnx").read_bytes() == b"old"


class Baked(nn.Module):
    """Divides by a batch size that a trace bakes in."""

    def forward(self, images: Tensor) -> Tensor:
        return images / float(len(images))


def test_a_branch_that_a_trace_bakes_in_is_found(tiny_spec: ModelSpec, crops: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ParityError):
        export(Baked(), tiny_spec, tmp_path / "model.onnx", crops)


class Sorting(nn.Module):
    """An operator no opset has."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.linalg.eigvals(images[:, :, :3, :3]).real


def test_what_torch_cannot_export_is_a_model_error(tiny_spec: ModelSpec) -> None:
    with pytest.raises(ModelError, match="torch cannot export Sorting") as caught:
        to_onnx(Sorting(), tiny_spec)
    assert "\n" not in str(caught.value)


def test_outputs_that_the_spec_does_not_name(tiny: nn.Module) -> None:
    value = {"name": "tiny", "skeleton": "lsp14", "input": {"size": [32, 24]}, "outputs": ["a", "b"]}
    with pytest.raises((SpecError, ModelError)):
        to_onnx(tiny, spec_from_dict(value, "test"))


def test_an_existing_file_is_kept_unless_asked(
    tiny: nn.Module, tiny_spec: ModelSpec, crops: np.ndarray, tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").write_bytes(b"old")
    with pytest.raises(UsageError, match="--overwrite"):
        export(tiny, tiny_spec, tmp_path / "model.onnx", crops)
