"""Efficient Object Localization: banks, the fine look, and the spatial model against its equation."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from edgepose.errors import UsageError  # noqa: E402
from edgepose.models import create, eol  # noqa: E402
from edgepose.models.places import peaks  # noqa: E402


def test_both_resolutions_reach_the_coarse_maps() -> None:
    model = create("eol-coarse-small", 14).eval()
    torch.nn.init.normal_(model.coarse.predict.weight, std=0.1)
    images = torch.randn(1, 3, 64, 48)
    with torch.no_grad():
        before = model(images)
        assert before.shape == (1, 14, 8, 6)
        for bank in (model.coarse.whole, model.coarse.halved):
            weight = bank.early[0][0].weight
            kept = weight.clone()
            weight.neg_()
            assert not torch.allclose(model(images), before)
            weight.copy_(kept)


def test_whole_maps_are_dropped() -> None:
    """SpatialDropout: a channel is dropped everywhere or nowhere."""
    layer = create("eol-coarse-small", 14).coarse.head[0].train()
    layer.p = 0.5
    dropped = layer(torch.ones(1, 64, 4, 4))[0].flatten(1)
    assert ((dropped == 0).all(dim=1) | (dropped != 0).all(dim=1)).all()
    assert 0 < int((dropped == 0).all(dim=1).sum()) < 64


def slow_spatial(model: eol.SpatialModel, maps: torch.Tensor) -> torch.Tensor:
    """NIPS 2014, section 3.2, joint by joint: exp of the sum of the logs of the messages."""
    prior, background = functional.softplus(model.prior), functional.softplus(model.background)
    better = []
    for a in range(model.joints):
        total = torch.zeros_like(maps[:, 0])
        for v in range(model.joints):
            kernel = prior[v, a][None, None]
            message = functional.conv2d(maps[:, v : v + 1].relu(), kernel, padding=model.reach)[:, 0]
            total = total + torch.log(message + background[v, a])
        better.append(total.exp())
    return torch.stack(better, dim=1)


def test_the_spatial_model_is_its_equation() -> None:
    model = eol.SpatialModel(4, 3)
    torch.nn.init.normal_(model.prior)
    torch.nn.init.normal_(model.background)
    maps = torch.randn(2, 4, 8, 6)
    torch.testing.assert_close(model(maps), slow_spatial(model, maps), rtol=1e-4, atol=1e-5)


def test_the_spatial_model_begins_as_the_identity() -> None:
    maps = torch.rand(1, 14, 8, 6)
    with torch.no_grad():
        assert (eol.SpatialModel(14, 5)(maps) - maps).abs().max() < 0.06


def test_another_joint_can_veto() -> None:
    """Joint 1 is always four cells right of joint 0: its second peak, elsewhere, is taken away."""
    model = eol.SpatialModel(2, 5)
    with torch.no_grad():
        model.prior[0, 1] = -20.0
        model.prior[0, 1, 5, 5 - 4] = 1.0  # a convolution in torch is a correlation: v lies 4 to the left
        model.background[0, 1] = -5.0
        maps = torch.zeros(1, 2, 8, 12)
        maps[0, 0, 3, 2] = 1
        maps[0, 1, 3, 6], maps[0, 1, 6, 10] = 0.8, 1.0
        better = model(maps)
    assert divmod(int(maps[0, 1].argmax()), 12) == (6, 10)
    assert divmod(int(better[0, 1].argmax()), 12) == (3, 6)


def test_in_training_maps_before_and_behind_the_spatial_model_are_learnt() -> None:
    model = create("eol-spatial-small", 14)
    images = torch.randn(2, 3, 64, 48)
    before, behind = model.train()(images)
    assert before.shape == behind.shape == (2, 14, 8, 6)
    assert not torch.equal(before, behind)
    assert model.eval()(images).shape == (2, 14, 8, 6)
    assert create("eol-coarse-small", 14).train()(images).shape == (2, 14, 8, 6)


def test_the_fine_network_moves_the_coarse_peak() -> None:
    """Coordinates are the coarse peak plus what the fine map says; the score is the coarse peak's height."""
    model = create("eol-small", 14).eval()
    torch.nn.init.normal_(model.coarse.predict.weight, std=0.1)
    torch.nn.init.normal_(model.predict.weight, std=0.1)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        found = model(images)
        maps, features = model.coarse(images)
        center, score = peaks(maps)
        extent = torch.tensor([[[36 / 64, 36 / 64]]])
        offset, _ = peaks(model._look(features, center, extent))
    torch.testing.assert_close(found, torch.cat([center + offset * extent, score[..., None]], 2))
    away = (found[..., :2] - center).abs()
    assert 0 < away.max() <= 18 / 64  # at most half a fine map


def test_in_training_it_looks_near_the_truth() -> None:
    model = create("eol-small", 14).train()
    truth = torch.rand(64, 14, 2) - 0.5
    maps, fine, center = model(torch.randn(64, 3, 32, 32), truth)
    assert maps.shape == (64, 14, 4, 4) and fine.shape == (64, 14, eol.FINE, eol.FINE)
    cell = 1 / 4  # a coarse cell, as a share of the crop
    assert float((center - truth).std()) == pytest.approx(eol.DRIFT * cell, rel=0.1)


def test_each_joint_has_a_last_layer_of_its_own() -> None:
    model = create("eol-small", 14)
    assert model.predict.weight.shape == (14, model.fine[0].out_channels, 1, 1)
    assert model.predict.groups == 14


def test_constructor_rejects_what_it_cannot_build() -> None:
    for name in ("eol-small", "eol-coarse-small"):
        with pytest.raises(UsageError, match="joints must be at least 1"):
            create(name, 0)
