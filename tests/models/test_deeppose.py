"""DeepPose: the paper's layers, what it gives, and the one size it takes."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from edgepose.errors import UsageError  # noqa: E402
from edgepose.models import create  # noqa: E402
from edgepose.models.cost import parameters  # noqa: E402


def test_parameters_are_those_of_the_papers_layers() -> None:
    """Section 3.1, layer by layer, with two numbers of batch norm a channel for what stands there.

    The paper says "about 40M" of them, which is one of its layers: the first hidden one has 37.7 M of 58.4.
    """
    convolutions = [(3, 96, 11), (96, 256, 5), (256, 384, 3), (384, 384, 3), (384, 256, 3)]
    hidden = [(6 * 6 * 256, 4096), (4096, 4096), (4096, 28)]
    wanted = sum(i * o * k * k + 2 * o for i, o, k in convolutions) + sum(i * o + o for i, o in hidden)
    with torch.device("meta"):
        assert parameters(create("deeppose", 14)) == wanted
    assert wanted / 1e6 == pytest.approx(58.4, rel=0.001)
    assert round(hidden[0][0] * hidden[0][1] / 1e6, 1) == 37.7


def test_features_have_the_papers_sizes() -> None:
    with torch.device("meta"):
        model = create("deeppose", 14)
        x, sizes = torch.empty(1, 3, 220, 220), []
        for layer in model.trunk:
            x = layer(x)
            sizes.append(tuple(x.shape[1:]))
    assert sizes[0] == (96, 55, 55)
    assert {(256, 27, 27), (384, 13, 13), (256, 13, 13)} <= set(sizes)
    assert sizes[-1] == (256, 6, 6)


def test_everybody_begins_in_the_middle() -> None:
    model = create("deeppose-small", 14).eval()
    found = model(torch.randn(3, 3, 128, 96))
    assert found.shape == (3, 14, 2)
    assert found.abs().max() < 0.1


def test_another_size_is_refused() -> None:
    with pytest.raises(UsageError, match="DeepPose: 256x192 gives features of 15x11, its hidden layers need 7x5"):
        create("deeppose-small", 14)(torch.zeros(1, 3, 256, 192))
    with pytest.raises(UsageError, match="joints must be at least 1"):
        create("deeppose-small", 0)
