"""ResNet trunks: shapes, gradients, torchvision's names, parameter counts and checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from edgepose.errors import ModelError  # noqa: E402
from edgepose.models.resnet import VARIANTS, resnet18, resnet50  # noqa: E402

# torchvision's documented `num_params`, classifier included
TORCHVISION_PARAMETERS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
}


@pytest.mark.parametrize("name", VARIANTS)
def test_parameter_counts_are_torchvisions_without_the_classifier(name: str) -> None:
    with torch.device("meta"):
        trunk = VARIANTS[name]()
    classifier = trunk.out_channels * 1000 + 1000
    assert sum(p.numel() for p in trunk.parameters()) == TORCHVISION_PARAMETERS[name] - classifier


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_features_are_at_stride_32(name: str) -> None:
    trunk = VARIANTS[name]().eval()
    with torch.no_grad():
        assert trunk(torch.randn(2, 3, 64, 96)).shape == (2, trunk.out_channels, 2, 3)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_gradients_reach_every_parameter(name: str) -> None:
    trunk = VARIANTS[name]().train()
    trunk(torch.randn(2, 3, 64, 64)).square().mean().backward()
    assert [n for n, p in trunk.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_names_are_torchvisions() -> None:
    names = set(resnet50().state_dict())
    assert {
        "conv1.weight",
        "bn1.running_mean",
        "layer1.0.conv3.weight",
        "layer1.0.downsample.0.weight",
        "layer1.0.downsample.1.num_batches_tracked",
        "layer4.2.bn3.bias",
    } <= names
    assert "layer1.0.downsample.0.weight" not in resnet18().state_dict()  # same shape: the identity


def test_bottlenecks_stride_in_the_3x3() -> None:
    block = resnet50().layer2[0]
    assert (block.conv1.stride, block.conv2.stride) == ((1, 1), (2, 2))


def test_load_state_ignores_the_classifier(tmp_path: Path) -> None:
    source, target = resnet18().eval(), resnet18().eval()
    classifier = nn.Linear(512, 1000)
    fc = {f"fc.{name}": value for name, value in classifier.state_dict().items()}
    torch.save({**source.state_dict(), **fc}, tmp_path / "resnet18.pth")
    target.load_state(tmp_path / "resnet18.pth")
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(source(x), target(x))


def test_load_state_refuses_another_depth_and_another_thing(tmp_path: Path) -> None:
    torch.save(resnet18().state_dict(), tmp_path / "resnet18.pth")
    with pytest.raises(ModelError, match="not a torchvision checkpoint of this depth"):
        resnet50().load_state(tmp_path / "resnet18.pth")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(ModelError, match="got list"):
        resnet18().load_state(tmp_path / "list.pth")
    (tmp_path / "text.pth").write_text("not a checkpoint")
    with pytest.raises(ModelError, match="text"):
        resnet18().load_state(tmp_path / "text.pth")
    with pytest.raises(ModelError, match="absent"):
        resnet18().load_state(tmp_path / "absent.pth")
