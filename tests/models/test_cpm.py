"""Convolutional Pose Machines: stages, the center map, costs against published ones."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from edgepose.errors import UsageError  # noqa: E402
from edgepose.models import cpm, create  # noqa: E402
from edgepose.models.cost import multiply_adds, parameters  # noqa: E402


def test_costs_are_the_published() -> None:
    """Zhang et al., "Fast Human Pose Estimation", CVPR 2019, table 4 (LSP): 31 M parameters, 351 GFLOPs.

    They count a multiply and an add as two; 368x368, 14 joints.
    """
    with torch.device("meta"):
        model = create("cpm", 14)
    assert round(parameters(model) / 1e6) == 31
    assert 2 * multiply_adds(model, (368, 368)) / 1e9 == pytest.approx(351, rel=0.01)


def test_parameters_are_those_of_the_authors_layers() -> None:
    """Layer by layer as `training/genProto.py` lists them for 14 joints: (inputs, outputs, kernel)."""
    image = [(3, 128, 9), (128, 128, 9), (128, 128, 9)]
    first = [*image, (128, 32, 5), (32, 512, 9), (512, 512, 1), (512, 15, 1)]
    stage = [(128, 32, 5), (32 + 15 + 1, 128, 11), (128, 128, 11), (128, 128, 11), (128, 128, 1), (128, 15, 1)]
    layers = [*first, *image, *stage * 5]
    with torch.device("meta"):
        assert parameters(create("cpm", 14)) == sum(i * o * k * k + o for i, o, k in layers)


def test_every_stage_speaks_in_training_and_the_last_alone_after() -> None:
    model = create("cpm-small", 14)
    images = torch.randn(2, 3, 64, 48)
    assert [tuple(stage.shape) for stage in model.train()(images)] == [(2, 15, 8, 6)] * 3
    assert model.eval()(images).shape == (2, 14, 8, 6)


def test_the_exported_maps_are_the_joints_of_the_last_stage() -> None:
    model = cpm.ConvolutionalPoseMachine(14, stages=3, width=8, wide=8, kernel=3, late_kernel=3)  # no batch norm
    images = torch.randn(2, 3, 64, 48)
    last = model.train()(images)[-1]
    assert torch.equal(model.eval()(images), last[:, :14])


def test_the_center_map_is_a_gaussian_in_the_middle() -> None:
    """21 pixels of 368: in a map of 46 cells one sigma is 2.625 cells."""
    found = cpm.center_map(torch.zeros(2, 7, 46, 46))
    assert found.shape == (1, 1, 46, 46)
    y, x = torch.meshgrid(torch.arange(46.0), torch.arange(46.0), indexing="ij")
    wanted = torch.exp(-((x - 22.5) ** 2 + (y - 22.5) ** 2) / (2 * 2.625**2))
    torch.testing.assert_close(found[0, 0], wanted)
    wide = cpm.center_map(torch.zeros(1, 1, 8, 6))[0, 0]
    assert torch.equal(wide, wide.flip(0)) and torch.equal(wide, wide.flip(1))


def test_later_stages_read_the_center_map() -> None:
    """Shifted off the middle it changes what they say: the layer that reads it does."""
    model = create("cpm-small", 14).eval()
    images = torch.randn(1, 3, 64, 48)
    seen: list[torch.Tensor] = []
    model.later[0].register_forward_hook(lambda module, inputs, output: seen.extend(inputs))
    model(images)
    features, beliefs, center = seen
    assert torch.equal(center, cpm.center_map(features))
    here, there = (model.later[0](features, beliefs, part) for part in (center, center.roll(2, dims=3)))
    assert not torch.allclose(here, there)


def test_later_stages_read_the_beliefs_before() -> None:
    model = create("cpm-small", 14).eval()
    features = torch.randn(1, 32, 8, 6)
    center = cpm.center_map(features)
    here, there = (model.later[1](features, torch.full((1, 15, 8, 6), value), center) for value in (0.0, 1.0))
    assert not torch.allclose(here, there)


def test_constructor_rejects_what_it_cannot_build() -> None:
    with pytest.raises(UsageError, match="joints must be at least 1 and stages at least 2"):
        cpm.ConvolutionalPoseMachine(14, stages=1)
