"""The pyramid: shapes, gradients, size, and that coarse and fine features reach the heatmaps."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from edgepose.errors import UsageError  # noqa: E402
from edgepose.models import create  # noqa: E402
from edgepose.models.cost import parameters  # noqa: E402
from edgepose.models.efficientnet_lite import EfficientNetLite0, freeze_early  # noqa: E402
from edgepose.models.pyramid import TAPS, Pyramid  # noqa: E402


def test_heatmaps_are_at_stride_4() -> None:
    model = create("pyramid-lite0", joints=17).eval()
    with torch.no_grad():
        assert model(torch.randn(2, 3, 64, 96)).shape == (2, 17, 16, 24)
    with pytest.raises(UsageError, match="joints must be at least 1"):
        Pyramid(0, (8, 8, 8, 8))


def test_it_is_small_enough_for_a_board() -> None:
    with torch.device("meta"):
        assert parameters(create("pyramid-lite0", joints=17)) <= 8_000_000


@pytest.mark.parametrize("frozen", [0, 3, 6])
def test_gradients_reach_every_parameter_that_is_not_frozen(frozen: int) -> None:
    model = create("pyramid-lite0", joints=14).train()
    freeze_early(model, frozen)
    heatmaps = model(torch.randn(4, 3, 64, 64))
    (heatmaps * torch.randn_like(heatmaps)).sum().backward()
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    assert [name for name, p in trained if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("frozen", [0, 3, 12])
@pytest.mark.parametrize("training", [False, True])
def test_taps_are_the_last_features_of_each_stride(frozen: int, training: bool) -> None:
    trunk = EfficientNetLite0()
    trunk.frozen_blocks = frozen
    trunk.train(training)
    kept = trunk.features(torch.randn(2, 3, 64, 96), TAPS)
    assert [tuple(part.shape[1:]) for part in kept] == [(24, 16, 24), (40, 8, 12), (112, 4, 6), (320, 2, 3)]


def test_the_last_features_are_those_of_the_trunk() -> None:
    trunk, images = EfficientNetLite0().eval(), torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(trunk.features(images, TAPS)[-1], trunk(images))
