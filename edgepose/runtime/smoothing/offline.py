"""Smooth recorded poses without delay: a Butterworth low-pass filter that runs forward and backward over time.

It is the filter of biomechanics (Winter, "Biomechanics and Motor Control of Human Movement", 2009, section 3.4): second
order, run in both directions, with the cutoff frequency corrected for the two passes. Short gaps of a joint are filled
by cubic Hermite interpolation before. Frames at uneven times are filtered on an even grid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgepose._checks import Array
from edgepose.pose.poses import Poses

PASSES = 2
SHORTEST = 6  # samples that are filtered; fewer are given back as they are
MOST_SAMPLES = 4  # of the even grid, for each frame


def smooth(
    poses: Sequence[Poses],
    times_s: Sequence[float],
    *,
    cutoff_hz: float = 6.0,
    longest_gap_s: float = 0.3,
    seen: float = 0.2,
) -> list[Poses]:
    """Smooth the joints of a recording, without lag, and fill short gaps.

    Args:
        poses: The people of each frame, in order. With `track_ids`, each identity is smoothed alone, and people without
            one (-1) stay as they are. Without `track_ids`, no frame may have more than one person.
        times_s: The time of each frame in seconds, rising.
        cutoff_hz: Motion above this frequency is removed. 6 Hz is usual for walking, 10 Hz for sports.
        longest_gap_s: The longest time without a joint that is filled. Longer gaps split the motion into two.
        seen: Joints of a lower score are gaps.

    Returns:
        The poses of each frame. A joint that was filled in has the lower score of both ends of its gap. Joints in
        longer gaps are unchanged. People are not added: in a frame that misses a person, the person stays missing.

    Raises:
        ValueError: The numbers of frames and times differ, times do not rise, or people have no identities.

    Examples:
        >>> frames = list(pose.stream("walk.mp4", options=StreamOptions(track=True)))
        >>> smoothed = edgepose.smooth([frame.poses for frame in frames], [frame.time_s for frame in frames])
    """
    times = np.asarray(times_s, np.float64)
    _check(poses, times, cutoff_hz, longest_gap_s)
    made = [(one.xy_image.copy(), one.scores.copy()) for one in poses]
    for places in _places(poses).values():
        frames = np.array([frame for frame, _ in places])
        xy = np.stack([poses[frame].xy_image[row] for frame, row in places]).astype(np.float64)
        scores = np.stack([poses[frame].scores[row] for frame, row in places])
        for joint in range(xy.shape[1]):
            shown = (scores[:, joint] >= seen) & (scores[:, joint] > 0)
            _smooth_joint(times[frames], xy[:, joint], scores[:, joint], shown, cutoff_hz, longest_gap_s)
        for (frame, row), joints, its in zip(places, xy, scores, strict=True):
            made[frame][0][row], made[frame][1][row] = joints, its
    return [replace(one, xy_image=xy, scores=scores) for one, (xy, scores) in zip(poses, made, strict=True)]


def _check(poses: Sequence[Poses], times: Array, cutoff_hz: float, longest_gap_s: float) -> None:
    if len(poses) != len(times):
        raise ValueError(f"times_s: expected one time for each of {len(poses)} frames, got {len(times)}")
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise ValueError("times_s: expected times in seconds that rise from frame to frame")
    if not cutoff_hz > 0 or not math.isfinite(cutoff_hz):
        raise ValueError(f"cutoff_hz: expected a number above 0, got {cutoff_hz}")
    if not longest_gap_s >= 0:
        raise ValueError(f"longest_gap_s: expected a number of at least 0, got {longest_gap_s}")


def _places(poses: Sequence[Poses]) -> dict[int, list[tuple[int, int]]]:
    """Return where each identity is: pairs of frame and row."""
    found: dict[int, list[tuple[int, int]]] = {}
    for frame, one in enumerate(poses):
        if one.track_ids is None and len(one) > 1:
            raise ValueError(f"poses: frame {frame} has {len(one)} people without track_ids; track them first")
        ids = [0] * len(one) if one.track_ids is None else one.track_ids.tolist()
        for row, person in enumerate(ids):
            if person >= 0:
                found.setdefault(person, []).append((frame, row))
    return found


def _smooth_joint(times: Array, xy: Array, scores: Array, shown: Array, cutoff_hz: float, longest_gap_s: float) -> None:
    """Smooth one joint, xy [F, 2] and scores [F], in place."""
    known = np.flatnonzero(shown)
    if not len(known):
        return
    # A gap in time counts as well, such as frames without the person.
    cuts = np.flatnonzero(np.diff(times[known]) > longest_gap_s + _usual_step(times)) + 1
    for part in np.split(known, cuts):
        inside = np.arange(part[0], part[-1] + 1)
        filled = np.setdiff1d(inside, part)
        if len(filled):
            xy[filled] = hermite(times[part], xy[part], times[filled])
            after = np.searchsorted(part, filled)
            scores[filled] = np.minimum(scores[part[after - 1]], scores[part[after]])
        if len(inside) >= SHORTEST:
            xy[inside] = _filtered(times[inside], xy[inside], cutoff_hz)


def _usual_step(times: Array) -> float:
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0


def _filtered(times: Array, xy: Array, cutoff_hz: float) -> Array:
    """Filter values at any times on an even grid, and return them at the times."""
    steps = np.diff(times)
    step = float(np.median(steps))
    if np.abs(steps - step).max() < 0.01 * step:
        return butterworth(xy, cutoff_hz, 1 / step)
    number = min(round((times[-1] - times[0]) / steps.min()), MOST_SAMPLES * len(times)) + 1
    grid = np.linspace(times[0], times[-1], number)
    even = np.stack([np.interp(grid, times, column) for column in xy.T], axis=1)
    smoothed = butterworth(even, cutoff_hz, (number - 1) / (times[-1] - times[0]))
    return np.stack([np.interp(times, grid, column) for column in smoothed.T], axis=1)


def butterworth(values: Array, cutoff_hz: float, rate_hz: float) -> Array:
    """Filter forward and backward by a Butterworth low-pass filter of second order.

    Args:
        values: [F, C] float, evenly sampled over time.
        cutoff_hz: Frequency at which both passes together leave half of the power.
        rate_hz: Samples per second.

    Returns:
        [F, C] float64. Values are unchanged where the cutoff is so near to half of the rate that nothing is to filter.
    """
    corrected = cutoff_hz / (2 ** (1 / PASSES) - 1) ** 0.25
    if corrected >= 0.45 * rate_hz:
        return np.asarray(values, np.float64)
    wide = math.tan(math.pi * corrected / rate_hz)
    scale = 1 / (1 + math.sqrt(2) * wide + wide**2)
    gain = wide**2 * scale
    back = (2 * (wide**2 - 1) * scale, (1 - math.sqrt(2) * wide + wide**2) * scale)
    pad = min(len(values) - 1, max(6, round(rate_hz / corrected * 2)))
    # Mirrored about the end points, so that a motion that goes on does not bend at the ends.
    out = np.concatenate([2 * values[0] - values[pad:0:-1], values, 2 * values[-1] - values[-2 : -pad - 2 : -1]])
    for _ in range(PASSES):
        out = _pass(out, gain, back)[::-1]
    return out[pad : pad + len(values)]


def _pass(values: Array, gain: float, back: tuple[float, float]) -> Array:
    out = np.empty_like(values, np.float64)
    x1 = x2 = y1 = y2 = values[0]  # the filter has rested at the first value
    for i, x in enumerate(values):
        y = gain * (x + 2 * x1 + x2) - back[0] * y1 - back[1] * y2
        out[i] = y
        x1, x2, y1, y2 = x, x1, y, y1
    return out


def hermite(times: Array, values: Array, wanted: Array) -> Array:
    """Interpolate by cubic Hermite curves, whose slopes are those of the neighbors.

    Args:
        times: [F] float, rising.
        values: [F, C] float.
        wanted: [W] float, within `times`.

    Returns:
        [W, C] float64.
    """
    if len(times) < 3:
        return np.stack([np.interp(wanted, times, column) for column in values.T], axis=1)
    slope = np.gradient(values, times, axis=0)
    after = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1)
    width = (times[after] - times[after - 1])[:, None]
    t = (wanted - times[after - 1])[:, None] / width
    first = (1 + 2 * t) * (1 - t) ** 2 * values[after - 1] + t**2 * (3 - 2 * t) * values[after]
    return np.asarray(first + width * t * (1 - t) * ((1 - t) * slope[after - 1] - t * slope[after]))
