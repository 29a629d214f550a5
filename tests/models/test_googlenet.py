"""GoogLeNet trunk: torchvision's counts and names, and images of more channels."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from edgepose.errors import ModelError  # noqa: E402
from edgepose.models.cost import multiply_adds, parameters  # noqa: E402
from edgepose.models.googlenet import GoogLeNet  # noqa: E402


def test_costs_are_torchvisions_without_the_classifier() -> None:
    """`GoogLeNet_Weights`: num_params 6624904, 1.498 GFLOPS at 224x224."""
    with torch.device("meta"):
        trunk = GoogLeNet()
    classifier = 1024 * 1000 + 1000
    assert parameters(trunk) == 6_624_904 - classifier
    assert (multiply_adds(trunk, (224, 224)) + 1024 * 1000) / 1e9 == pytest.approx(1.498, rel=0.01)


def test_features_are_at_stride_32() -> None:
    with torch.no_grad():
        assert GoogLeNet(5).eval()(torch.randn(1, 5, 64, 96)).shape == (1, 1024, 2, 3)


def test_names_are_torchvisions() -> None:
    with torch.device("meta"):
        names = set(GoogLeNet().state_dict())
    assert {
        "conv1.conv.weight",
        "conv3.bn.running_var",
        "inception3a.branch1.conv.weight",
        "inception4e.branch2.1.bn.bias",
        "inception5b.branch3.0.conv.weight",
        "inception5b.branch4.1.conv.weight",
    } <= names


def test_a_checkpoint_fills_a_trunk_of_more_channels(tmp_path: Path) -> None:
    source, target = GoogLeNet().eval(), GoogLeNet(17).eval()
    more = {"fc.weight": torch.zeros(1000, 1024), "fc.bias": torch.zeros(1000), "aux1.conv.conv.weight": torch.zeros(1)}
    torch.save({**source.state_dict(), **more}, tmp_path / "googlenet.pth")
    target.load_state(tmp_path / "googlenet.pth")
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(source(images), target(torch.cat([images, torch.randn(1, 14, 64, 64)], 1)))
    torch.save({"conv1.conv.weight": torch.zeros(2, 3, 7, 7)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match="not a torchvision checkpoint of GoogLeNet"):
        target.load_state(tmp_path / "other.pth")
