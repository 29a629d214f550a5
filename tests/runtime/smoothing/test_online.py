"""The online filter: less jitter, little lag, the same in every scale and frame rate; unseen joints are let alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgepose.errors import UsageError
from edgepose.pose.poses import Poses
from edgepose.pose.skeletons import SKELETONS
from edgepose.runtime.smoothing import Smoother, SmoothingOptions

SKELETON = SKELETONS["lsp14"]
PLACES = np.random.default_rng(4).uniform(0, 1, (14, 2)) * (80, 200)


def person(xy, scores=0.9, track=1, scale=1.0):
    return Poses(
        skeleton=SKELETON,
        xy_image=np.asarray(xy, np.float32)[None],
        scores=np.full((1, 14), scores, np.float32) if np.isscalar(scores) else np.array([scores], np.float32),
        boxes_xyxy=np.array([[0, 0, 80, 200]], np.float32) * np.float32(scale),
        box_scores=np.ones(1, np.float32),
        track_ids=np.array([track], np.int64),
    )


def motion(frames, fps=25.0, speed=0.0, noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    true = PLACES + np.arange(frames)[:, None, None] / fps * np.array([speed, 0])
    return true, true + rng.normal(0, noise, true.shape), np.arange(frames) / fps


def smoothed(raw, times, options=None, scale=1.0):
    smoother = Smoother(options or SmoothingOptions(), SKELETON)
    made = [smoother.update(person(xy, scale=scale), t).xy_image[0] for xy, t in zip(raw, times, strict=True)]
    return np.array(made), smoother.report()


def jitter(xy):
    return float(np.sqrt(np.square(xy[2:] - 2 * xy[1:-1] + xy[:-2]).mean()))


@pytest.mark.parametrize("speed", [0.0, 100.0])
def test_jitter_falls_by_60_percent_and_the_report_says_so(speed):
    _, raw, times = motion(200, speed=speed)
    out, report = smoothed(raw, times)
    assert jitter(out) < 0.4 * jitter(raw)
    assert report.reduction == pytest.approx(1 - jitter(out) / jitter(raw), abs=0.05)
    assert report.joints == 14 * 198


def test_a_person_who_walks_is_less_than_a_frame_behind():
    true, raw, times = motion(200, speed=150.0, noise=0.5)
    out, report = smoothed(raw, times)
    behind_s = float((true - out)[50:, :, 0].mean()) / 150
    assert 0 < behind_s < 0.04
    assert report.lag_ms == pytest.approx(1000 * behind_s, abs=5)


def swinging(frames, fps, noise, seed=1):
    """A person who stands and swings both wrists and ankles, twice in three seconds, at up to 3 heights per second."""
    rng = np.random.default_rng(seed)
    times = np.arange(frames) / fps
    true = np.repeat(PLACES[None], frames, axis=0)
    for joint, phase in ((0, 0.0), (5, 2.0), (6, 1.0), (11, 3.0)):
        true[:, joint] += 140 * np.stack([np.sin(4.2 * times + phase), 0.5 * np.cos(4.2 * times + phase)], axis=1)
    return true, true + rng.normal(0, noise, true.shape), times


@pytest.mark.parametrize("fps", [15, 25, 50])
def test_a_joint_that_turns_fast_stays_near_its_place(fps):
    """The largest error is a tenth of the person's size, which a lag of 30 ms would exceed, and jitter still falls."""
    true, raw, times = swinging(4 * fps, fps, noise=1.0)
    out, _ = smoothed(raw, times)
    assert np.linalg.norm(out - true, axis=2)[fps // 2 :].max() < 12
    assert jitter(out - true) < (0.7 if fps == 15 else 0.5) * jitter(raw - true)


def test_moving_on_at_the_speed_takes_the_lag_away():
    times = np.arange(100) / 25
    raw = np.repeat(PLACES[None], 100, axis=0)
    raw[:, 3, 0] += 150 * times
    behind = []
    for carried in (0.0, 0.7):
        out, _ = smoothed(raw, times, SmoothingOptions(carried=carried))
        behind.append(float((raw - out)[50:, 3, 0].mean()))
    assert 0 < behind[1] < 0.7 * behind[0]


def test_the_scale_of_the_picture_does_not_matter():
    _, raw, times = motion(60, speed=40.0)
    small, _ = smoothed(raw, times)
    large, _ = smoothed(3 * raw, times, scale=3.0)
    np.testing.assert_allclose(large, 3 * small, rtol=1e-4, atol=1e-2)


def test_the_frame_rate_matters_little():
    """After half a second, a step has been followed as far at 50 as at 25 frames per second."""
    reached = []
    for fps in (25, 50):
        raw = np.repeat(PLACES[None], fps, axis=0)
        raw[fps // 2 :, 3] += (4, 0)
        out, _ = smoothed(raw, np.arange(fps) / fps)
        reached.append(out[fps // 2 + fps // 10, 3, 0] - PLACES[3, 0])
    assert reached[0] == pytest.approx(reached[1], rel=0.25)
    assert 0.5 < reached[0] < 4


def test_a_joint_that_was_not_seen_is_let_alone_and_does_not_pull():
    smoother = Smoother(SmoothingOptions(), SKELETON)
    for i in range(20):
        smoother.update(person(PLACES), i / 25)
    wild, scores = PLACES.copy(), np.full(14, 0.9)
    wild[5], scores[5] = (500, 500), 0.1
    out = smoother.update(person(wild, scores), 20 / 25)
    np.testing.assert_allclose(out.xy_image[0, 5], (500, 500))
    np.testing.assert_allclose(out.xy_image[0, 4], PLACES[4], atol=1e-3)
    back = smoother.update(person(PLACES), 21 / 25)
    np.testing.assert_allclose(back.xy_image[0], PLACES, atol=1e-3)


def test_a_joint_that_comes_back_after_long_is_taken_as_it_is():
    smoother = Smoother(SmoothingOptions(forget_s=0.2), SKELETON)
    gone = np.where(np.arange(14) == 5, 0.0, 0.9)
    for i in range(20):
        smoother.update(person(PLACES, 0.9 if i < 5 else gone), i / 25)
    moved = PLACES.copy()
    moved[5] += 30
    np.testing.assert_allclose(smoother.update(person(moved), 20 / 25).xy_image[0, 5], moved[5], atol=1e-3)


def test_people_are_smoothed_alone_and_those_without_identity_not_at_all():
    smoother = Smoother(SmoothingOptions(), SKELETON)
    smoother.update(person(PLACES, track=1), 0.0)
    np.testing.assert_allclose(smoother.update(person(PLACES + 50, track=2), 0.04).xy_image[0], PLACES + 50, atol=1e-3)
    for time_s in (0.08, 0.12):
        shift = PLACES + 100 * time_s
        np.testing.assert_array_equal(
            smoother.update(person(shift, track=-1), time_s).xy_image[0], shift.astype(np.float32)
        )


def test_poses_without_identities_are_refused():
    with pytest.raises(ValueError, match="track"):
        Smoother(SmoothingOptions(), SKELETON).update(replace(person(PLACES), track_ids=None), 0.0)


def test_nobody_is_reported_as_nobody():
    assert "nobody" in Smoother(SmoothingOptions(), SKELETON).report().line()


@pytest.mark.parametrize("given", [{"cutoff_hz": 0}, {"speed_hz": -1}, {"seen": float("nan")}, {"carried": 1.2}])
def test_options_that_cannot_be_meant_are_refused(given):
    with pytest.raises(UsageError, match=next(iter(given))):
        SmoothingOptions(**given)
