"""OpenPose: costs of the published model, what a stage reads and gives, VGG-19's names."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from edgepose.errors import ModelError, UsageError  # noqa: E402
from edgepose.models import create, openpose  # noqa: E402
from edgepose.models.cost import multiply_adds, parameters  # noqa: E402


def test_costs_are_the_published() -> None:
    """COCO, 18 joints and 19 limbs: `pose_iter_440000.caffemodel` is 209 MB of float32.

    Osokin, "Real-time 2D Multi-Person Pose Estimation on CPU", 2019: 136.1 GFLOPs at 368x368, with a multiply and
    an add as one.
    """
    with torch.device("meta"):
        model = create("openpose", 18, limbs=19)
    assert 4 * parameters(model) / 1e6 == pytest.approx(209, rel=0.01)
    assert multiply_adds(model, (368, 368)) / 1e9 == pytest.approx(136.1, rel=0.01)


def test_parameters_of_the_mpii_model() -> None:
    """15 joints, 14 limbs: `pose_iter_160000.caffemodel` is 206 MB."""
    with torch.device("meta"):
        assert 4 * parameters(create("openpose", 15, limbs=14)) / 1e6 == pytest.approx(206, rel=0.01)


def test_every_stage_speaks_in_training_and_the_last_alone_after() -> None:
    model = create("openpose-small", 14, limbs=13)
    images = torch.randn(2, 3, 64, 48)
    stages = model.train()(images)
    assert [(tuple(maps.shape), tuple(fields.shape)) for maps, fields in stages] == [((2, 15, 8, 6), (2, 26, 8, 6))] * 3
    maps, fields = model.eval()(images)
    assert maps.shape == (2, 14, 8, 6) and fields.shape == (2, 26, 8, 6)


def test_the_exported_are_the_last_stage_s() -> None:
    model = openpose.OpenPose(14, 13, stages=3, width=64, later=(3, 2))  # no batch norm: both modes are one
    images = torch.randn(1, 3, 64, 48)
    maps, fields = model.train()(images)[-1]
    found = model.eval()(images)
    assert torch.equal(found[0], maps[:, :14]) and torch.equal(found[1], fields)


def test_a_stage_reads_features_fields_and_maps() -> None:
    model = openpose.OpenPose(3, 2, stages=2, width=32, later=(3, 2)).eval()
    parts = [torch.randn(1, n, 4, 4) for n in (8, 4, 4)]
    before = model.later[0](torch.cat(parts, 1))
    for i in range(3):
        moved = [part + (i == j) for j, part in enumerate(parts)]
        after = model.later[0](torch.cat(moved, 1))
        assert not any(torch.allclose(a, b) for a, b in zip(before, after, strict=True))


def test_vgg_loads_from_torchvision_s_names(tmp_path: Path) -> None:
    """The layers up to conv4_2 (features.21) are read, the rest of the checkpoint is ignored."""
    trunk = openpose.Trunk(512, norm=False)
    convolutions = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128), 10: (256, 128), 12: (256, 256)}
    convolutions |= {14: (256, 256), 16: (256, 256), 19: (512, 256), 21: (512, 512), 23: (512, 512)}
    state = {f"features.{i}.weight": torch.full((*shape, 3, 3), i / 100) for i, shape in convolutions.items()}
    state |= {f"features.{i}.bias": torch.full((shape[0],), i / 10) for i, shape in convolutions.items()}
    torch.save({**state, "classifier.0.bias": torch.zeros(4)}, tmp_path / "vgg19.pth")
    trunk.load_state(tmp_path / "vgg19.pth")
    assert float(trunk.vgg[21].weight.detach().mean()) == pytest.approx(0.21)
    assert len([name for name in trunk.vgg.state_dict() if name.endswith("weight")]) == 10
    del state["features.5.weight"]
    torch.save(state, tmp_path / "half.pth")
    with pytest.raises(ModelError, match=r"not a torchvision checkpoint of VGG-19: it has no features\.5\.weight"):
        trunk.load_state(tmp_path / "half.pth")
    with pytest.raises(ModelError, match="not a torchvision checkpoint of VGG-19"):
        openpose.Trunk(128, norm=False).load_state(tmp_path / "vgg19.pth")


def test_links_are_needed() -> None:
    with pytest.raises(UsageError, match="predicts part affinity fields; set codec = 'paf' in its recipe"):
        create("openpose-small", 14)
    with pytest.raises(UsageError, match="use a skeleton with limbs"):
        openpose.OpenPose(14, 0)
