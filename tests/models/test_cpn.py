"""Cascaded Pyramid Network: costs of the published table, what training gives, resizing by half pixels."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from edgepose.errors import UsageError  # noqa: E402
from edgepose.models import cpn, create, resnet  # noqa: E402
from edgepose.models.cost import multiply_adds, parameters  # noqa: E402


def test_costs_are_the_published() -> None:
    """Sun et al., CVPR 2019, table 1: CPN on ResNet-50 has 27.0 M and 6.20 GFLOPs (of 2^30) at 256x192."""
    with torch.device("meta"):
        model = create("cpn-r50", 17)
    assert parameters(model) / 1e6 == pytest.approx(27.0, rel=0.01)
    assert multiply_adds(model, (256, 192)) / 2**30 == pytest.approx(6.20, rel=0.01)


def test_the_deeper_one_differs_by_its_trunk() -> None:
    with torch.device("meta"):
        r50, r101 = (parameters(create(name, 17)) for name in ("cpn-r50", "cpn-r101"))
        assert r101 - r50 == parameters(resnet.resnet101()) - parameters(resnet.resnet50())


def test_training_gives_five_stacks_of_maps_the_refined_last() -> None:
    model = create("cpn-small", 14)
    images = torch.randn(2, 3, 64, 96)
    assert [tuple(stage.shape) for stage in model.train()(images)] == [(2, 14, 16, 24)] * 5
    model.eval()
    refined = model(images)
    features = model.globalnet(model.trunk.pyramid(images))
    assert torch.equal(refined, model.refinenet(features))
    assert [tuple(level.shape[1:]) for level in features] == [(64, 2, 3), (64, 4, 6), (64, 8, 12), (64, 16, 24)]


def test_each_level_adds_what_is_below_it() -> None:
    model = create("cpn-small", 14).eval()
    pyramid = list(model.trunk.pyramid(torch.randn(1, 3, 64, 64)))
    before = model.globalnet(tuple(pyramid))
    pyramid[3] = pyramid[3] + 1
    after = model.globalnet(tuple(pyramid))
    assert not any(torch.allclose(a, b) for a, b in zip(before, after, strict=True))
    pyramid[0] = pyramid[0] + 1
    assert torch.equal(model.globalnet(tuple(pyramid))[0], after[0])


def test_a_merge_before_upsampling_is_the_paper_s_merge_after() -> None:
    merge = create("cpn-small", 14).eval().globalnet.merges[0]
    x = torch.randn(1, 64, 4, 3)
    with torch.no_grad():
        ours = cpn._resized(merge(x), torch.empty(1, 1, 8, 6))
        theirs = merge(functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_resizing_keeps_places() -> None:
    """A ramp of pixel positions, enlarged, holds the positions of the half-pixel rule (away from the border)."""
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    large = cpn._resized(ramp, torch.empty(1, 1, 32, 32))[0, 0, 0]
    wanted = (torch.arange(32.0) + 0.5) / 4 - 0.5
    torch.testing.assert_close(large[2:-2], wanted[2:-2])
    assert cpn._resized(ramp, ramp) is ramp


def test_constructor_rejects_what_it_cannot_build() -> None:
    with pytest.raises(UsageError, match="joints must be at least 1"):
        create("cpn-small", 0)
