"""Smoothing of recordings: scipy's filter, no lag, gaps filled, uneven times, identities apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import butter, filtfilt

import edgepose
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import SKELETONS
from edgepose.runtime.smoothing.offline import butterworth, hermite

SKELETON = SKELETONS["lsp14"]
CORRECTION = (2**0.5 - 1) ** 0.25


def frames_of(xy, scores=None, ids=(1,)):
    n = len(ids)
    return [
        Poses(
            skeleton=SKELETON,
            xy_image=np.repeat(points[None], n, axis=0).astype(np.float32),
            scores=np.full((n, 14), 0.9, np.float32) if scores is None else scores[i][None].astype(np.float32),
            boxes_xyxy=np.tile(np.array([0, 0, 80, 200], np.float32), (n, 1)),
            box_scores=np.ones(n, np.float32),
            track_ids=np.array(ids, np.int64),
        )
        for i, points in enumerate(xy)
    ]


def swing(times, hz=1.0):
    points = np.zeros((len(times), 14, 2))
    points[..., 0] = 100 + 20 * np.sin(2 * np.pi * hz * np.asarray(times))[:, None] + np.arange(14)
    points[..., 1] = 50 + np.arange(14) * 10
    return points


@pytest.mark.parametrize("cutoff", [3.0, 6.0])
def test_it_is_scipys_filter_away_from_the_ends(cutoff):
    values = np.random.default_rng(0).normal(0, 1, (400, 2)).cumsum(axis=0)
    b, a = butter(2, cutoff / CORRECTION, fs=100)
    np.testing.assert_allclose(
        butterworth(values, cutoff, 100)[60:-60], filtfilt(b, a, values, axis=0)[60:-60], atol=1e-3
    )


def test_half_of_the_power_is_left_at_the_cutoff():
    times = np.arange(1000) / 100
    wave = np.sin(2 * np.pi * 5 * times)[:, None]
    out = butterworth(wave, 5.0, 100)[200:-200]
    assert np.abs(out).max() == pytest.approx(2**-0.5, abs=0.01)


def test_a_motion_below_the_cutoff_is_kept_without_lag_and_noise_is_removed():
    times = np.arange(100) / 50
    true = swing(times)
    noisy = true + np.random.default_rng(1).normal(0, 1, true.shape)
    out = np.array([one.xy_image[0] for one in edgepose.smooth(frames_of(noisy), times.tolist())])
    assert np.sqrt(np.square(out - true).mean()) < 0.6 * np.sqrt(np.square(noisy - true).mean())
    clean = np.array([one.xy_image[0] for one in edgepose.smooth(frames_of(true), times.tolist())])
    assert np.abs(clean - true)[5:-5].max() < 0.3


def test_an_even_motion_is_not_bent_at_the_ends():
    times = np.arange(30) / 30
    true = swing(times, hz=0)
    true[..., 0] += 100 * times[:, None]
    out = np.array([one.xy_image[0] for one in edgepose.smooth(frames_of(true), times.tolist())])
    np.testing.assert_allclose(out, true, atol=0.01)


def test_a_short_gap_is_filled_and_a_long_one_is_let_alone():
    times = np.arange(100) / 50
    true = swing(times)
    broken, scores = true.copy(), np.full((100, 14), 0.9)
    broken[20:25, 3], scores[20:25, 3] = 0, 0  # 0.1 s
    broken[60:90, 4], scores[60:90, 4] = 0, 0  # 0.6 s
    out = edgepose.smooth(frames_of(broken, scores), times.tolist())
    filled = np.array([one.xy_image[0, 3] for one in out])
    np.testing.assert_allclose(filled[20:25], true[20:25, 3], atol=1.0)
    assert [one.scores[0, 3] for one in out[20:25]] == pytest.approx([0.9] * 5)
    assert all((one.xy_image[0, 4] == 0).all() and one.scores[0, 4] == 0 for one in out[60:90])
    np.testing.assert_allclose([one.xy_image[0, 4] for one in out[30:58]], true[30:58, 4], atol=1.0)


def test_uneven_times_are_right():
    rng = np.random.default_rng(2)
    times = np.cumsum(rng.choice([0.02, 0.04, 0.06], 120))
    true = swing(times)
    out = np.array([one.xy_image[0] for one in edgepose.smooth(frames_of(true), times.tolist())])
    assert np.abs(out - true)[8:-8].max() < 1.0


def test_identities_are_smoothed_apart_and_unknown_people_are_unchanged():
    times = (np.arange(40) / 20).tolist()
    frames = frames_of(swing(times, hz=4), ids=(1, 2, -1))
    out = edgepose.smooth(frames, times, cutoff_hz=2.0)
    assert np.ptp([one.xy_image[0, 0, 0] for one in out[10:-10]]) < 20
    np.testing.assert_array_equal([one.xy_image[2] for one in out], [one.xy_image[2] for one in frames])


def test_the_given_poses_are_not_changed():
    times = np.arange(30) / 30
    frames = frames_of(swing(times, hz=5))
    before = [one.xy_image.copy() for one in frames]
    edgepose.smooth(frames, times.tolist(), cutoff_hz=1.0)
    np.testing.assert_array_equal(before, [one.xy_image for one in frames])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_few_frames_are_given_back(count):
    frames = frames_of(swing(np.arange(count)))
    out = edgepose.smooth(frames, [float(i) for i in range(count)])
    np.testing.assert_array_equal([one.xy_image for one in out], [one.xy_image for one in frames])


def test_what_cannot_be_smoothed_is_refused():
    frames = frames_of(swing(np.arange(3)))
    with pytest.raises(ValueError, match="one time for each"):
        edgepose.smooth(frames, [0.0, 1.0])
    with pytest.raises(ValueError, match="rise"):
        edgepose.smooth(frames, [0.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="cutoff_hz"):
        edgepose.smooth(frames, [0.0, 1.0, 2.0], cutoff_hz=0)
    crowd = [replace(one, track_ids=None) for one in frames_of(swing(np.arange(3)), ids=(1, 2))]
    with pytest.raises(ValueError, match="track them first"):
        edgepose.smooth(crowd, [0.0, 1.0, 2.0])


def test_hermite_is_exact_for_a_straight_line():
    times = np.array([0.0, 1, 2, 5, 6])
    line = np.stack([3 * times, 1 - times], axis=1)
    np.testing.assert_allclose(hermite(times, line, np.array([3.0, 4.5])), [[9, -2], [13.5, -3.5]])
