"""synthetic:N: the same pictures whoever asks, boxes as in LSP, nothing rendered before it is wanted."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.datasets import synthetic
from edgepose.datasets.samples import counted, refuse_outside
from edgepose.datasets.synthetic import SIZE, SyntheticPeople
from edgepose.errors import UsageError
from edgepose.pose.skeletons import SKELETONS


@pytest.fixture
def rendered(monkeypatch):
    """The numbers of the pictures that were rendered, in order; the cache is empty before and after."""
    numbers, render = [], synthetic.render_still

    def spy(seed, number, size):
        numbers.append(number)
        return render(seed, number, size)

    synthetic._scene.cache_clear()
    monkeypatch.setattr(synthetic, "render_still", spy)
    yield numbers
    synthetic._scene.cache_clear()


def test_labels_are_the_renderers(rendered):
    data = SyntheticPeople(4, seed=3)
    sample, scene = data[2], synthetic.render_still(3, 2, SIZE)
    assert data.skeleton is SKELETONS["lsp14"]
    assert data.name == "synthetic:4:3"
    assert len(data) == len(data.image_ids) == 4
    assert np.array_equal(sample.read(), scene.image)
    assert np.array_equal(sample.labeled, scene.labeled[0])
    assert np.array_equal(sample.occluded, scene.occluded[0])
    xy = scene.joints_xy_image[0][scene.labeled[0]]
    assert np.array_equal(sample.xy_image[sample.labeled], xy)
    assert np.allclose(sample.box_xyxy, [*xy.min(axis=0), *xy.max(axis=0)])
    assert sample.area == pytest.approx(np.prod(np.ptp(xy, axis=0)), rel=1e-5)
    refuse_outside(sample, SIZE)


def test_same_by_seed_and_in_any_order(rendered):
    forward, backward = SyntheticPeople(3, seed=1), SyntheticPeople(5, seed=1)
    pictures = [forward[i].read() for i in range(3)]
    synthetic._scene.cache_clear()
    for i in (2, 0, 1):
        assert np.array_equal(backward[i].read(), pictures[i])
        assert np.array_equal(backward[i].xy_image, forward[i].xy_image)
    assert not np.array_equal(SyntheticPeople(3, seed=2)[0].read(), pictures[0])
    assert not np.array_equal(pictures[1], pictures[0])


def test_rendered_once_and_when_wanted(rendered):
    data = SyntheticPeople(1000)
    assert len(data) == 1000
    assert counted(data) == list(range(1000))
    assert rendered == []
    sample = data[7]
    sample.read()
    data[7].read()
    assert rendered == [7]


def test_a_picture_is_the_readers_own(rendered):
    sample = SyntheticPeople(1)[0]
    sample.read()[:] = 0
    assert sample.read().any()


def test_bounds():
    data = SyntheticPeople(2)
    with pytest.raises(IndexError):
        data[2]
    for count, seed in ((0, 0), (3, -1)):
        with pytest.raises(UsageError, match=f"synthetic:{count}:{seed}"):
            SyntheticPeople(count, seed)
