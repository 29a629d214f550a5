"""Part affinity fields against the definition, cell by cell; maps of several people; nobody."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgepose.codecs import heatmap
from edgepose.codecs.paf_targets import WIDTH, encode_fields, encode_maps

SIZE = (12, 10)


def slow_fields(xy, labelled, links, size, width):
    """Equations 8 and 9, one cell, one link and one person at a time."""
    fields = np.zeros((2 * len(links), *size))
    for link, (a, b) in enumerate(links):
        for y in range(size[0]):
            for x in range(size[1]):
                vectors = []
                for person, known in zip(xy, labelled, strict=True):
                    if not (known[a] and known[b]) or (person[a] == person[b]).all():
                        continue
                    length = np.linalg.norm(person[b] - person[a])
                    v = (person[b] - person[a]) / length
                    p = np.array([x, y]) - person[a]
                    if 0 <= v @ p <= length and abs(v @ [-p[1], p[0]]) <= width:
                        vectors.append(v)
                if vectors:
                    fields[2 * link : 2 * link + 2, y, x] = np.mean(vectors, axis=0)
    return fields


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 4))
def test_fields_are_the_definition(seed, people):
    rng = np.random.default_rng(seed)
    xy = rng.uniform(-3, 13, (people, 4, 2))
    labelled = rng.random((people, 4)) < 0.8
    links = ((0, 1), (2, 1), (3, 0))
    wanted = slow_fields(xy, labelled, links, SIZE, WIDTH)
    assert np.allclose(encode_fields(xy, labelled, links, SIZE), wanted, atol=1e-6)


def test_a_link_by_hand():
    """From (2, 5) to (6, 5): three rows of five cells, all pointing right."""
    xy = np.array([[[2.0, 5.0], [6.0, 5.0]]])
    x, y = encode_fields(xy, np.ones((1, 2), bool), ((0, 1),), SIZE)
    wanted = np.zeros(SIZE)
    wanted[4:7, 2:7] = 1
    assert np.array_equal(x, wanted) and not y.any()
    back = encode_fields(xy, np.ones((1, 2), bool), ((1, 0),), SIZE)
    assert np.array_equal(back[0], -wanted)


def test_crossing_links_are_averaged():
    xy = np.array([[[2.0, 5.0], [8.0, 5.0]], [[5.0, 2.0], [5.0, 8.0]]])
    x, y = encode_fields(xy, np.ones((2, 2), bool), ((0, 1),), SIZE)
    assert (x[5, 5], y[5, 5]) == (0.5, 0.5)
    assert (x[5, 3], y[5, 3]) == (1, 0)


def test_no_trace_of_what_is_not_known():
    xy = np.array([[[2.0, 5.0], [2.0, 5.0], [np.nan, 5.0]]])
    known = np.ones((1, 3), bool)
    assert not encode_fields(xy, known, ((0, 1), (0, 2)), SIZE).any()


def test_maps_are_the_highest_of_all():
    rng = np.random.default_rng(0)
    xy, labelled = rng.uniform(0, 9, (3, 4, 2)), rng.random((3, 4)) < 0.7
    each = [heatmap.encode(xy[p], labelled[p], SIZE, 1.5) for p in range(3)]
    assert np.array_equal(encode_maps(xy, labelled, SIZE, 1.5), np.max(each, axis=0))


def test_nobody():
    xy, labelled = np.zeros((0, 4, 2)), np.zeros((0, 4), bool)
    assert encode_maps(xy, labelled, SIZE, 1.5).shape == (4, *SIZE)
    assert encode_fields(xy, labelled, ((0, 1),), SIZE).shape == (2, *SIZE)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"labelled: expected shape \[2, 4\], got \[2, 3\]"):
        encode_maps(np.zeros((2, 4, 2)), np.ones((2, 3), bool), SIZE, 1.5)
