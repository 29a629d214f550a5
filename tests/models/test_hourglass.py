"""Stacked Hourglass: stacks, re-injection, costs against the published and the authors' own code."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from edgepose.errors import UsageError  # noqa: E402
from edgepose.models import create, hourglass  # noqa: E402
from edgepose.models.cost import multiply_adds, parameters  # noqa: E402


@pytest.mark.parametrize(
    ("joints", "size", "gflops"),
    [
        (16, (256, 256), 19.1),
        pytest.param(17, (256, 192), 14.3, marks=pytest.mark.slow),
    ],
)
def test_multiply_adds_are_the_published(joints: int, size: tuple[int, int], gflops: float) -> None:
    """Sun et al., CVPR 2019, tables 5 (MPII) and 1 (COCO), which divide by 2^30."""
    with torch.device("meta"):
        model = create("hourglass-8", joints)
    assert multiply_adds(model, size) / 2**30 == pytest.approx(gflops, rel=0.01)


def authors(stacks: int, joints: int, f: int = 256) -> int:
    """The parameters of `createModel` in the authors' src/models/hg.lua, counted as it is written.

    The 25.1 M that tables quote belong to no network with its 19.1 GFLOPs: this file's has 23.7 M.
    """

    def conv(i: int, o: int, k: int = 1) -> int:
        return i * o * k * k + o

    def residual(i: int, o: int) -> int:
        skip = 0 if i == o else conv(i, o)
        norms = 2 * i + 2 * (o // 2) * 2
        return norms + conv(i, o // 2) + conv(o // 2, o // 2, 3) + conv(o // 2, o) + skip

    one = (4 * 3 + 1) * residual(f, f)  # up1, low1, low3 at four sizes, low2 at the smallest
    stem = conv(3, 64, 7) + 2 * 64 + residual(64, 128) + residual(128, 128) + residual(128, f)
    heads = stacks * (conv(f, f) + 2 * f + conv(f, joints))
    back = (stacks - 1) * (conv(f, f) + conv(joints, f))
    return stem + stacks * one + heads + back


@pytest.mark.parametrize("name", ["hourglass-2", "hourglass-8"])
def test_parameters_are_those_of_the_authors_code(name: str) -> None:
    """Less the biases that batch norm cancels: two in a residual, one in the stem and one before each head."""
    with torch.device("meta"):
        model = create(name, 16)
    stacks = len(model.stacks)
    canceled = 64 + 2 * (64 + 64 + 128) + stacks * (13 * 2 * 128 + 256)
    assert parameters(model) == authors(stacks, 16) - canceled
    assert parameters(model) == pytest.approx(authors(stacks, 16), rel=0.01)


def test_every_stack_speaks_in_training_and_the_last_alone_after() -> None:
    model = create("hourglass-small", 14)
    images = torch.randn(2, 3, 64, 96)
    assert [tuple(stage.shape) for stage in model.train()(images)] == [(2, 14, 16, 24)] * 2
    assert model.eval()(images).shape == (2, 14, 16, 24)


def test_the_second_stack_reads_the_first_ones_maps() -> None:
    """Re-injection: zeroing the way back of the maps changes what the last stack says."""
    model = create("hourglass-small", 14).eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        before = model(images)
        model.stacks[0].heatmaps_back.weight.zero_()
        after = model(images)
    assert not torch.allclose(before, after)
    assert model.stacks[1].heatmaps_back is None


def test_residuals_leave_their_input_alone() -> None:
    """The first ReLU works in place, behind a batch norm: it must not reach the shortcut."""
    block = hourglass.Residual(8, 8).eval()
    x = torch.randn(1, 8, 4, 4)
    before = x.clone()
    with torch.no_grad():
        block(x)
    assert torch.equal(x, before)


def test_a_size_that_does_not_halve_is_refused() -> None:
    with pytest.raises(UsageError, match=r"hourglass: 128x96 is not a multiple of 64; change sizes"):
        hourglass.StackedHourglass(14, stacks=1, width=32)(torch.zeros(1, 3, 128, 96))
    with pytest.raises(UsageError, match="width a multiple of 4"):
        hourglass.StackedHourglass(14, width=30)
