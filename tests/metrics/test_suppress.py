"""Suppression of duplicates by OKS: by hand, and against a slow loop in the published order."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.metrics.suppress import similarity, suppress

SIGMAS = np.array([0.1, 0.1])


def test_similarity_by_hand() -> None:
    """Mean area 100, sigma 0.1: 2 * 100 * 0.2^2 = 8. Off by 2 px: exp(-4 / 8); by 0: 1; mean 0.8033."""
    got = similarity(np.zeros((2, 2)), np.array([[[0, 2], [0, 0]]], float), 50.0, np.array([150.0]), SIGMAS)
    assert got[0] == pytest.approx((np.exp(-0.5) + 1) / 2)


def test_a_duplicate_falls_and_another_image_is_left_alone() -> None:
    xy = np.array([[[0, 0], [9, 9]], [[0, 0.1], [9, 9]], [[50, 50], [60, 60]], [[0, 0], [9, 9]]], float)
    image = np.array([0, 0, 0, 1])
    kept = suppress(image, xy, np.array([0.5, 0.9, 0.1, 0.2]), np.full(4, 100.0), SIGMAS)
    assert kept.tolist() == [1, 2, 3]


def test_a_chain_falls_only_to_what_stays() -> None:
    """b is like a, c is like b and not like a: b falls, so c stays."""
    xy = np.array([[[0, 0], [0, 0]], [[1, 0], [1, 0]], [[2, 0], [2, 0]]], float)
    near = similarity(xy[0], xy, 100.0, np.full(3, 100.0), SIGMAS)
    assert near[1] > 0.8 > near[2]
    kept = suppress(np.zeros(3, int), xy, np.array([3.0, 2, 1]), np.full(3, 100.0), SIGMAS, 0.8)
    assert kept.tolist() == [0, 2]


def test_no_predictions() -> None:
    assert not len(suppress(np.zeros(0, int), np.zeros((0, 2, 2)), np.zeros(0), np.zeros(0), SIGMAS))


def test_equals_the_slow_twin() -> None:
    random = np.random.default_rng(0)
    image, score = random.integers(0, 4, 60), random.random(60).round(1)
    xy = random.integers(0, 3, (60, 1, 1)) * 30 + random.normal(0, 2, (60, 2, 2))
    xy[5, 0] = np.nan
    area = random.uniform(100, 400, 60)
    assert suppress(image, xy, score, area, SIGMAS).tolist() == _slow(image, xy, score, area)


def _slow(image, xy, score, area):  # type: ignore[no-untyped-def]
    kept = []
    for picture in range(4):
        stays: list[int] = []
        for i in sorted(np.flatnonzero(image == picture), key=lambda i: (-score[i], i)):
            near = []
            for j in stays:
                e = ((xy[i] - xy[j]) ** 2).sum(axis=1) / 0.04 / ((area[i] + area[j]) / 2) / 2
                near.append(np.nan_to_num(np.exp(-e)).mean())
            if all(value <= 0.9 for value in near):
                stays.append(int(i))
        kept += stays
    return kept
