"""HRNet: costs of the published table, names of the authors' checkpoints, exchange between resolutions."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from edgepose.errors import UsageError  # noqa: E402
from edgepose.models import create, hrnet  # noqa: E402
from edgepose.models.cost import multiply_adds, parameters  # noqa: E402

# The table of the authors' README (COCO val2017, 17 joints), which divides multiply-adds by 2^30.
PUBLISHED = [
    ("hrnet-w32", (256, 192), 28.5, 7.1),
    pytest.param("hrnet-w32", (384, 288), 28.5, 16.0, marks=pytest.mark.slow),
    pytest.param("hrnet-w48", (256, 192), 63.6, 14.6, marks=pytest.mark.slow),
    pytest.param("hrnet-w48", (384, 288), 63.6, 32.9, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "size", "millions", "gflops"), PUBLISHED)
def test_costs_are_the_published(name: str, size: tuple[int, int], millions: float, gflops: float) -> None:
    with torch.device("meta"):
        model = create(name, 17)
    assert parameters(model) / 1e6 == pytest.approx(millions, rel=0.01)
    assert multiply_adds(model, size) / 2**30 == pytest.approx(gflops, rel=0.01)


def test_the_small_one_costs_what_lite_hrnet_says() -> None:
    """Yu et al., CVPR 2021, tables 1 and 2: 1.3 M and 0.54 GFLOPs (256x192), 1.21 (384x288).

    How they count is not said. Convolutions alone give 0.53 and 1.20; with one operation for each value that
    batch norm, ReLU and upsampling write, both come out to the digit.
    """
    with torch.device("meta"):
        model = create("hrnet-small", 17)
    assert round(parameters(model) / 1e6, 1) == 1.3
    for size, gflops in (((256, 192), 0.54), ((384, 288), 1.21)):
        assert round((multiply_adds(model, size) + _elementwise(model, size)) / 2**30, 2) == gflops
        assert multiply_adds(model, size) / 2**30 == pytest.approx(gflops, rel=0.02)


def _elementwise(model: torch.nn.Module, size: tuple[int, int]) -> int:
    """The values that batch norms, ReLUs and upsamplings write for one image."""
    counts: list[int] = []
    handles = [
        module.register_forward_hook(lambda _module, _inputs, output: counts.append(output.numel()))
        for module in model.modules()
        if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.ReLU, torch.nn.Upsample))
    ]
    with torch.no_grad():
        model.eval()(torch.empty(1, 3, *size, device="meta"))
    for handle in handles:
        handle.remove()
    return sum(counts)


def test_names_are_those_of_the_authors_checkpoints() -> None:
    """A sample of `pose_hrnet_w32_256x192.pth`, one of each kind of module."""
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in create("hrnet-w32", 17).state_dict().items()}
    wanted = {
        "conv1.weight": (64, 3, 3, 3),
        "layer1.0.downsample.1.running_var": (256,),
        "layer1.3.conv3.weight": (256, 64, 1, 1),
        "transition1.0.0.weight": (32, 256, 3, 3),
        "transition1.1.0.0.weight": (64, 256, 3, 3),
        "stage2.0.branches.1.3.bn2.bias": (64,),
        "stage2.0.fuse_layers.0.1.0.weight": (32, 64, 1, 1),
        "stage2.0.fuse_layers.1.0.0.0.weight": (64, 32, 3, 3),
        "transition2.2.0.0.weight": (128, 64, 3, 3),
        "stage3.3.fuse_layers.2.0.0.0.weight": (32, 32, 3, 3),
        "stage3.3.fuse_layers.2.0.1.0.weight": (128, 32, 3, 3),
        "transition3.3.0.0.weight": (256, 128, 3, 3),
        "stage4.2.branches.3.0.conv1.weight": (256, 256, 3, 3),
        "stage4.2.fuse_layers.0.3.1.running_mean": (32,),
        "final_layer.weight": (17, 32, 1, 1),
    }
    assert {name: shapes.get(name) for name in wanted} == wanted
    assert not any(name.startswith(("transition2.0", "transition2.1", "stage4.2.fuse_layers.1")) for name in shapes)


def test_heatmaps_are_at_stride_4_in_both_modes() -> None:
    model = create("hrnet-small", 14)
    images = torch.randn(2, 3, 64, 96)
    assert model.train()(images).shape == model.eval()(images).shape == (2, 14, 16, 24)


def test_an_exchange_by_hand() -> None:
    """Two resolutions without blocks: each is the ReLU of itself plus the other, brought to its size."""
    exchange = hrnet.Exchange([4, 8], 0, last=False).eval()
    high, low = torch.randn(1, 4, 8, 6), torch.randn(1, 8, 4, 3)
    up, down = exchange.fuse_layers[0][1], exchange.fuse_layers[1][0]
    with torch.no_grad():
        found = exchange([high, low])
        grown = up[1](up[0](low)).repeat_interleave(2, 2).repeat_interleave(2, 3)
        shrunk = down[0][1](down[0][0](high))
        torch.testing.assert_close(found[0], (high + grown).relu())
        torch.testing.assert_close(found[1], (shrunk + low).relu())
    assert [tuple(part.shape) for part in found] == [(1, 4, 8, 6), (1, 8, 4, 3)]


def test_every_resolution_reaches_the_heatmaps() -> None:
    model = create("hrnet-small", 14).train()  # batch statistics, or weights this small leave nothing to see
    images = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        before = model(images)
        for level in range(4):
            block = model.stage4[0].branches[level][-1].bn2.weight
            kept = block.clone()
            block.mul_(torch.linspace(0, 2, len(block)))
            assert not torch.allclose(model(images), before, rtol=1e-3, atol=0), level
            block.copy_(kept)
        assert torch.allclose(model(images), before)


def test_constructor_rejects_what_it_cannot_build() -> None:
    with pytest.raises(UsageError, match="joints must be at least 1"):
        create("hrnet-small", 0)
