"""The bootstrap: against a slow loop that really draws people, and cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgepose.metrics.retention import (
    Resampled,
    interval,
    pooled,
    resampled_mean,
    resampled_means,
    resamples,
    retention,
)


def _hits(n: int, k: int, seed: int) -> np.ndarray:  # type: ignore[type-arg]
    random = np.random.default_rng(seed)
    hits = (random.random((n, k)) < 0.7).astype(float)
    hits[random.random((n, k)) < 0.2] = np.nan
    return hits


def test_resamples_are_counts_of_people_and_repeat() -> None:
    weights = resamples(7, n_boot=50, seed=3)
    assert weights.shape == (50, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert (weights >= 0).all()
    np.testing.assert_array_equal(weights, resamples(7, n_boot=50, seed=3))
    assert (weights != resamples(7, n_boot=50, seed=4)).any()


def test_pooled_by_hand() -> None:
    """Counted entries 1, 0, 1, 1 of six: 3 / 4."""
    assert pooled(np.array([[1, 0, np.nan], [1, 1, np.nan]])) == 0.75
    assert np.isnan(pooled(np.full((2, 2), np.nan)))


def test_equals_a_loop_that_draws_people() -> None:
    hits = _hits(30, 5, 0)
    weights = resamples(30, n_boot=40, seed=1)
    fast = resampled_mean(hits, weights)
    people = [np.repeat(np.arange(30), row.astype(int)) for row in weights]
    slow = [np.nanmean(np.concatenate([hits[i] for i in drawn])) for drawn in people]
    np.testing.assert_allclose(fast.values, slow, rtol=0, atol=1e-12)
    assert fast.value == pytest.approx(np.nanmean(hits))
    got = interval(fast)
    assert (got.low, got.high) == pytest.approx(tuple(np.percentile(slow, [2.5, 97.5])))


def test_retention_equals_a_loop_on_the_same_people() -> None:
    a, b = _hits(30, 5, 0), _hits(30, 5, 5)
    weights = resamples(30, n_boot=40, seed=1)
    got = retention(resampled_mean(a, weights), resampled_mean(b, weights), 150).interval
    people = [np.repeat(np.arange(30), row.astype(int)) for row in weights]
    slow = [np.nanmean(b[drawn]) / np.nanmean(a[drawn]) for drawn in people]
    assert got.value == pytest.approx(np.nanmean(b) / np.nanmean(a))
    assert (got.low, got.high) == pytest.approx(tuple(np.percentile(slow, [2.5, 97.5])))


def test_parts_equal_the_columns_one_by_one() -> None:
    hits = _hits(30, 4, 3)
    hits[:, 3] = np.nan
    weights = resamples(30, n_boot=40, seed=1)
    parts = resampled_means(hits, weights)
    for k, part in enumerate(parts):
        alone = resampled_mean(hits[:, [k]], weights)
        np.testing.assert_equal(part.value, alone.value)
        np.testing.assert_allclose(part.values, alone.values)
    assert np.isnan(parts[3].value)


def test_the_detectable_loss_is_seen_in_about_four_of_five_test_sets() -> None:
    """Engine b truly loses each of a's hits with probability q, and wins as many misses back but for a deficit.

    q and the deficit are such that the true loss is what `detectable` says of a typical set of 600 people: then the
    interval excludes 1 in 80 % of sets. 300 sets: between 70 and 90 %.
    """
    random = np.random.default_rng(0)
    weights = resamples(600, n_boot=400)

    def pair(lost: float, won: float) -> tuple[Resampled, Resampled]:
        a = (random.random((600, 1)) < 0.6).astype(float)
        b = np.where(a == 1, random.random((600, 1)) >= lost, random.random((600, 1)) < won).astype(float)
        return resampled_mean(a, weights), resampled_mean(b, weights)

    detectable = np.median([retention(*pair(0.1, 0.1), 600).detectable for _ in range(40)])
    won = (0.06 - detectable * 0.6) / 0.4  # hits lost 0.6 * 0.1, won back 0.4 * won
    seen = [retention(*pair(0.1, won), 600).interval.high < 1 for _ in range(300)]
    assert 0.7 <= np.mean(seen) <= 0.9


def test_fewer_than_four_people_never_show() -> None:
    """Three of 1,000 people lose their hit: the interval still holds 1. Five: it does not. The floor is four."""
    a = np.ones((1000, 1))
    weights = resamples(1000, n_boot=4000)
    for lost, shown in ((3, False), (5, True)):
        b = a.copy()
        b[:lost] = 0
        kept = retention(resampled_mean(a, weights), resampled_mean(b, weights), 1000)
        assert (kept.interval.high < 1) is shown
        assert kept.detectable >= 4 / 1000
    same = retention(resampled_mean(a, weights), resampled_mean(a, weights), 1000)
    assert same.detectable == 4 / 1000


def test_an_interval_holds_its_value() -> None:
    """Draws all above the value, as AP's may be: the interval reaches down to it."""
    made = interval(Resampled(value=0.5, values=np.linspace(0.6, 0.7, 101)))
    assert (made.low, made.high) == (0.5, pytest.approx(0.6975))


def test_pairing_narrows_the_interval() -> None:
    """b misses 2 of a's hits: the ratio is far surer than either value, and never above 1."""
    a = (np.random.default_rng(0).random((400, 1)) < 0.7).astype(float)
    b = a.copy()
    b[np.flatnonzero(a)[:2]] = 0
    weights = resamples(400, n_boot=500)
    kept = retention(resampled_mean(a, weights), resampled_mean(b, weights), 400).interval
    alone = interval(resampled_mean(b, weights))
    assert kept.value == pytest.approx(1 - 2 / a.sum())
    assert kept.low < kept.value < kept.high <= 1
    assert kept.high - kept.low < (alone.high - alone.low) / 3


def test_the_interval_covers_the_truth_about_19_times_in_20() -> None:
    """200 test sets of 300 coins with p = 0.6: the 95 % interval holds 0.6 in 90 to 99 % of them."""
    random = np.random.default_rng(0)
    weights = resamples(300, n_boot=300)
    held = 0
    for _ in range(200):
        got = interval(resampled_mean((random.random((300, 1)) < 0.6).astype(float), weights))
        held += got.low <= 0.6 <= got.high
    assert 180 <= held <= 198


def test_an_engine_against_itself_keeps_everything() -> None:
    metric = resampled_mean(_hits(20, 3, 0), resamples(20, n_boot=100))
    kept = retention(metric, metric, 60).interval
    assert (kept.value, kept.low, kept.high) == (1, 1, 1)


def test_draws_where_nothing_counts_are_left_out() -> None:
    """Only the first of two people counts: a draw of the second alone has no value."""
    hits = np.array([[1.0], [np.nan]])
    weights = np.array([[2.0, 0], [1, 1], [0, 2]])
    metric = resampled_mean(hits, weights)
    np.testing.assert_array_equal(metric.values, [1, 1, np.nan])
    assert interval(metric).low == 1


def test_nothing_counted_and_nothing_to_keep_are_errors() -> None:
    nothing = Resampled(value=float("nan"), values=np.array([np.nan]))
    zero = Resampled(value=0.0, values=np.zeros(3))
    with pytest.raises(ValueError, match="expected a counted entry"):
        interval(nothing)
    with pytest.raises(ValueError, match="above 0"):
        retention(zero, zero, 3)
    with pytest.raises(ValueError, match="at least one person"):
        resamples(0)
    with pytest.raises(ValueError, match=r"other\.values: expected shape"):
        retention(Resampled(value=1.0, values=np.ones(3)), Resampled(value=1.0, values=np.ones(4)), 3)


def test_real_values_have_an_interval_that_covers_the_truth() -> None:
    """200 test sets of 300 errors from an exponential distribution of mean 8: the interval holds 8 in 90 to 99 %."""
    random = np.random.default_rng(0)
    weights = resamples(300, n_boot=300)
    held = 0
    for _ in range(200):
        got = interval(resampled_mean(random.exponential(8, (300, 1)), weights))
        held += got.low <= 8 <= got.high
    assert 180 <= held <= 198


def test_retention_of_an_error_is_the_first_over_the_other() -> None:
    """Errors of 2 and 4 px: half is kept. The floor is four people, each off by as much as the mean."""
    weights = resamples(100, n_boot=50)
    small, large = (resampled_mean(np.full((100, 1), value), weights) for value in (2.0, 4.0))
    kept = retention(small, large, 100, lower_is_better=True, bounded=False)
    assert (kept.interval.value, kept.interval.low, kept.interval.high) == (0.5, 0.5, 0.5)
    assert kept.detectable == 4 / 100
    assert retention(large, small, 100, lower_is_better=True, bounded=False).interval.value == 2
    with pytest.raises(ValueError, match="above 0"):
        retention(small, resampled_mean(np.zeros((100, 1)), weights), 100, lower_is_better=True)
