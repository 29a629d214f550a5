"""The losses of regressors: what each asks of its network, and that the truth costs nothing."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from edgepose.models.eol import FINE, FINE_STRIDE  # noqa: E402
from edgepose.models.ief import IterativeErrorFeedback  # noqa: E402
from edgepose.models.places import render  # noqa: E402
from edgepose.models.resnet import BasicBlock, ResNet  # noqa: E402
from edgepose.training.regressors import FINE_SHARE, FINE_SIGMA, REGRESSION_LOSSES, WHOLE_FROM, RegressionBatch  # noqa: E402

CROPS = torch.zeros(2, 3, 64, 48)
TRUTH = torch.rand(2, 5, 2, generator=torch.Generator().manual_seed(0)) - 0.5
WEIGHT = torch.ones(2, 5)


class Answers(nn.Module):
    """Gives what it was told to, and keeps what it was given."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer
        self.given: tuple[Any, ...] = ()

    def forward(self, *given: Any) -> Any:
        self.given = given
        return self.answer


def batch(truth: Tensor = TRUTH, weight: Tensor = WEIGHT) -> RegressionBatch:
    return RegressionBatch(crops=CROPS[: len(truth)], truth=truth, weight=weight, sigma=1.5, progress=0.25)


def loss(name: str, network: nn.Module) -> float:
    return float(REGRESSION_LOSSES[name](network, batch()))


def test_l2() -> None:
    off = TRUTH + torch.tensor([0.3, 0.4])
    network = Answers(off)
    assert loss("l2", network) == pytest.approx(0.25, rel=1e-5)
    assert len(network.given) == 1
    assert loss("l2", Answers(TRUTH)) == 0


def test_cascade_sums_its_stages() -> None:
    network = Answers((TRUTH + torch.tensor([0.3, 0.4]), TRUTH + torch.tensor([0.0, 0.1])))
    assert loss("cascade", network) == pytest.approx(0.25 + 0.01, rel=1e-4)
    assert all(torch.equal(a, b) for a, b in zip(network.given, (CROPS, TRUTH, WEIGHT), strict=True))


def test_path_is_about_corrections() -> None:
    wanted = torch.zeros(2, 4, 5, 2)
    network = Answers((wanted + 0.1, wanted))
    assert loss("path", network) == pytest.approx(4 * 0.02, rel=1e-4)
    assert network.given[3:] == (0.25,), "the network learns so many steps as that share of the training allows"


def test_own_path_is_learnt_on_the_networks_own_guesses() -> None:
    wanted = torch.zeros(2, 4, 5, 2)
    network = Answers((wanted + 0.1, wanted))
    assert loss("own_path", network) == pytest.approx(4 * 0.02, rel=1e-4)
    assert network.given[3:] == (0.25, False)


def test_paths_are_whole_when_the_last_step_is_learnt() -> None:
    network = IterativeErrorFeedback(ResNet(BasicBlock, (1, 1, 1, 1), planes=4, channels=3 + 5), 5)
    for name, share in WHOLE_FROM.items():
        assert name in REGRESSION_LOSSES
        before, after = (network.train()(CROPS, TRUTH, WEIGHT, share + moved)[0].shape[1] for moved in (-0.01, 0.01))
        assert (before, after) == (network.steps - 1, network.steps)


def near(center: Tensor) -> Tensor:
    return (TRUTH - center) / torch.tensor([FINE * FINE_STRIDE / 48, FINE * FINE_STRIDE / 64])


def test_refined_wants_both_maps() -> None:
    center = TRUTH + 0.02
    coarse = render(TRUTH, (8, 6), 1.5)
    fine = render(near(center), (FINE, FINE), FINE_SIGMA)
    assert loss("refined", Answers((coarse, fine, center))) == pytest.approx(0, abs=1e-12)
    assert loss("refined", Answers((coarse + 2, fine, center))) == pytest.approx(4, rel=1e-4)
    assert loss("refined", Answers((coarse, fine + 2, center))) == pytest.approx(4 * FINE_SHARE, rel=1e-4)


def test_refined_leaves_out_what_no_map_can_show() -> None:
    """A joint outside the crop counts in neither map; one outside its fine map in the coarse one alone."""
    truth = torch.zeros(1, 2, 2)
    truth[0, 0, 0] = 0.6
    center = truth.clone()
    center[0, 1, 0] = 0.45  # 22 pixels off; a fine map reaches 18
    coarse, fine = torch.full((1, 2, 8, 6), 5.0), torch.full((1, 2, FINE, FINE), 5.0)
    coarse[0, 1] = render(truth, (8, 6), 1.5)[0, 1]
    network = Answers((coarse, fine, center))
    assert float(REGRESSION_LOSSES["refined"](network, batch(truth, torch.ones(1, 2)))) == 0


@pytest.mark.parametrize("name", REGRESSION_LOSSES)
def test_an_unlabeled_joint_gets_no_gradient(name: str) -> None:
    weight = WEIGHT.clone()
    weight[:, 2] = 0
    answer = {
        "l2": TRUTH + 0.1,
        "cascade": (TRUTH + 0.1,),
        "path": (torch.full((2, 4, 5, 2), 0.1), torch.zeros(2, 4, 5, 2)),
        "own_path": (torch.full((2, 4, 5, 2), 0.1), torch.zeros(2, 4, 5, 2)),
        "refined": (torch.full((2, 5, 8, 6), 0.5), torch.full((2, 5, FINE, FINE), 0.5), TRUTH + 0.01),
    }[name]
    parts = answer if isinstance(answer, tuple) else (answer,)
    learnt = parts[0].requires_grad_()
    REGRESSION_LOSSES[name](Answers(answer), batch(weight=weight)).backward()
    assert learnt.grad is not None
    joints = learnt.grad.movedim(1 if name == "refined" else -2, 0)
    assert [bool(part.any()) for part in joints] == [True, True, False, True, True]
