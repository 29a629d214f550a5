"""Multiply-adds: by hand for single layers, and the same on torch and on the exported graph."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from edgepose.artifacts.spec import spec_from_dict  # noqa: E402
from edgepose.export.onnx import to_onnx  # noqa: E402
from edgepose.graph import cost as graph_cost  # noqa: E402
from edgepose.models import create  # noqa: E402
from edgepose.models.cost import multiply_adds, parameters  # noqa: E402

LAYERS: list[tuple[nn.Module, int]] = [
    (nn.Conv2d(3, 8, 3, 1, 1), 32 * 24 * 8 * 3 * 9),
    (nn.Conv2d(3, 8, 3, 2, 1), 16 * 12 * 8 * 3 * 9),
    (nn.Conv2d(3, 6, 3, 1, 1, groups=3), 32 * 24 * 6 * 9),
    (nn.ConvTranspose2d(3, 8, 4, 2, 1), 32 * 24 * 8 * 3 * 16),
    (nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 24, 10)), 3 * 32 * 24 * 10),
    (nn.Linear(24, 5), 3 * 32 * 24 * 5),  # a matrix product with 3 * 32 rows an image
    (nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)), 0),
]


@pytest.mark.parametrize(("layer", "count"), LAYERS)
def test_layers_by_hand(layer: nn.Module, count: int) -> None:
    assert multiply_adds(layer, (32, 24)) == count


@pytest.mark.parametrize(("layer", "count"), LAYERS[:-1])
def test_the_graph_costs_the_same(layer: nn.Module, count: int) -> None:
    spec = spec_from_dict({"name": "layer", "skeleton": "lsp14", "input": {"size": [32, 24]}}, "test")
    assert graph_cost.multiply_adds(to_onnx(layer, spec)) == count


def test_a_network_and_its_graph() -> None:
    model = create("simplebaseline-lite", joints=14)
    spec = spec_from_dict({"name": "lite", "skeleton": "lsp14", "input": {"size": [64, 96]}}, "test")
    assert graph_cost.multiply_adds(to_onnx(model, spec)) == multiply_adds(model, (64, 96))


def test_the_module_is_left_as_it_was() -> None:
    model = nn.Conv2d(3, 4, 1).train()
    multiply_adds(model, (8, 8))
    assert model.training and model.weight.device.type == "cpu"
    assert parameters(model) == 3 * 4 + 4


def test_weights_that_are_computed_count_too() -> None:
    class Computed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.raw = nn.Parameter(torch.zeros(4, 3, 3, 3))

        def forward(self, images: Tensor) -> Tensor:
            return nn.functional.conv2d(images, nn.functional.softplus(self.raw), padding=1)

    assert multiply_adds(Computed(), (8, 8)) == 8 * 8 * 4 * 3 * 9
