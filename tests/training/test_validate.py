"""Validation: a network that knows the answer scores 1, and data without a torso is refused at once."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from edgepose.artifacts.spec import ModelSpec  # noqa: E402
from edgepose.datasets.samples import SampleList  # noqa: E402
from edgepose.datasets.targets import HeatmapTarget  # noqa: E402
from edgepose.datasets.torch_feed import TrainingItems  # noqa: E402
from edgepose.errors import UsageError  # noqa: E402
from edgepose.training.objectives import HeatmapObjective  # noqa: E402
from edgepose.training.validate import check_validation, validate  # noqa: E402

CPU = torch.device("cpu")


class Knowing(nn.Module):
    """Answers the n-th crop with the n-th target."""

    def __init__(self, targets: Tensor) -> None:
        super().__init__()
        self.targets, self.at = targets, 0

    def forward(self, crops: Tensor) -> Tensor:
        self.at += len(crops)
        return self.targets[self.at - len(crops) : self.at]


def objective(spec: ModelSpec) -> HeatmapObjective:
    target = HeatmapTarget(stride=4, sigma=2.0, decode=spec.codec.refine)
    return HeatmapObjective(target=target, codec=spec.codec)


def pck(model: nn.Module, data: list[SampleList], spec: ModelSpec, size: tuple[int, int], at: float = 0.2) -> float:
    return validate(model, data, spec, size, objective(spec), CPU, 0, threshold=at)


def targets(tiny: ModuleType, data: list[SampleList], size: tuple[int, int], spec: ModelSpec | None = None) -> Tensor:
    spec = spec or tiny.COMPARED.spec()
    items = TrainingItems(data, spec, size, objective(spec).target, 0, 0, None)
    return torch.stack([torch.from_numpy(items[i][1]) for i in range(len(items))])


@pytest.mark.parametrize("size", [(64, 64), (96, 64)])
def test_the_right_heatmaps_score_1(tiny: ModuleType, size: tuple[int, int]) -> None:
    """40 people in two data sets: more than a batch, the last one short."""
    data = [tiny.people(5, 25), tiny.people(6, 15)]
    model = Knowing(targets(tiny, data, size)).train()
    assert pck(model, data, tiny.COMPARED.spec(), size) == 1.0
    assert model.training


def test_validation_decodes_on_the_grid_of_the_targets(tiny: ModuleType) -> None:
    """By the pixels of another grid, joints far from the middle are off by more than a narrow threshold."""
    data, spec = [tiny.people(5, 20)], tiny.COMPARED.spec()
    udp, dark = (replace(spec, codec=replace(spec.codec, refine=method)) for method in ("udp", "dark"))
    maps = targets(tiny, data, (64, 64), udp)
    assert pck(Knowing(maps), data, udp, (64, 64), 0.04) == 1.0
    assert pck(Knowing(maps), data, dark, (64, 64), 0.04) < 0.9


def test_half_of_the_joints_wrong_score_a_half(tiny: ModuleType) -> None:
    data = [tiny.people(5, 10)]
    maps = targets(tiny, data, (64, 64))
    maps[:, ::2] = 0
    maps[:, ::2, 0, 0] = 1  # a corner no joint is near to
    assert pck(Knowing(maps), data, tiny.COMPARED.spec(), (64, 64)) == 0.5


def test_nobody_with_a_torso_is_refused(tiny: ModuleType) -> None:
    known = np.ones(14, bool)
    known[tiny.SKELETON.index("right_hip")] = False
    data = tiny.people(5)
    bare = replace(data, samples=tuple(replace(sample, labeled=known) for sample in data.samples))
    with pytest.raises(UsageError, match="nobody in drawn:5 has a labeled torso"):
        check_validation([bare], tiny.COMPARED.spec())
    with pytest.raises(UsageError, match="nobody in drawn:5"):
        check_validation([replace(data, samples=())], tiny.COMPARED.spec())
    check_validation([bare, data], tiny.COMPARED.spec())
    check_validation([], tiny.COMPARED.spec())
