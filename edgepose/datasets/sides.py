"""Find labels whose left and right look exchanged: in all labels, in one pair of joints, or in a run of people.

One label alone does not show its sides, but many labels do. Most people in photographs face the camera, so their right
side is on the left of the image (in LSP, for two out of three people), and a limb connects joints of the same side (for
nearly everyone). A pair, a limb or a run of people for which the opposite holds more often than chance allows is
reported. Such a report is a hint to look at the labels, not a proof: a film of people seen from behind looks the same.
"""

from __future__ import annotations

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.pose.skeletons import Skeleton

FEWEST = 30  # A test needs at least this number of people.
STRETCH = 100  # number of people in a run
SURE = 4.0  # standard errors from one half; chance alone exceeds this once in 30,000 tests


def swapped_sides(xy: Array, labeled: Array, skeleton: Skeleton) -> list[str]:
    """Report what looks exchanged.

    Args:
        xy: The joints of all people, [N, K, 2] float, image pixels.
        labeled: Which joints are labeled, [N, K] bool.
        skeleton: The skeleton of K joints.

    Returns:
        One sentence per finding.
    """
    n = check_array("xy", xy, ("N", len(skeleton), 2))["N"]
    check_array("labeled", labeled, (n, len(skeleton)), np.bool_)
    crossed = _crossed_limbs(xy, labeled, skeleton)
    if crossed or not skeleton.flips:
        return crossed
    ordered = _ordered(xy, labeled, skeleton)
    return _throughout(ordered) or [*_pairs(ordered, skeleton), *_stretches(ordered)]


def _ordered(xy: Array, labeled: Array, skeleton: Skeleton) -> Array:
    """Return [N, P] float64 for P pairs: 1 if the right joint is further left in the image, 0 if not, or NaN."""
    left, right = ([skeleton.index(pair[side]) for pair in skeleton.flips] for side in (0, 1))
    if skeleton.flips[0][0].startswith("right_"):
        left, right = right, left
    known = labeled[:, left] & labeled[:, right] & (xy[:, left, 0] != xy[:, right, 0])
    return np.where(known, xy[:, right, 0] < xy[:, left, 0], np.nan)


def _score(values: Array) -> tuple[float, int]:
    """Return how many standard errors the share of ones is above one half, and the number of finite values."""
    counted = values[np.isfinite(values)]
    n = len(counted)
    return (float((counted.sum() - n / 2) / np.sqrt(n / 4)) if n else 0.0), n


def _people(ordered: Array) -> Array:
    """Return [N] float64: 1 if most pairs of a person are in order, 0 if most are reversed, NaN if neither."""
    known = np.isfinite(ordered)
    balance = np.where(known, ordered - 0.5, 0).sum(axis=1)
    return np.where(balance == 0, np.nan, balance > 0)


def _throughout(ordered: Array) -> list[str]:
    score, n = _score(_people(ordered))
    if n < FEWEST or score > -SURE:
        return []
    share = float(np.nanmean(_people(ordered)))
    return [
        f"left and right look exchanged throughout: the person's right is on the left of the image for {share:.0%} "
        f"of {n} people, although most people usually face the camera"
    ]


def _pairs(ordered: Array, skeleton: Skeleton) -> list[str]:
    """Return pairs that are reversed for people whose other pairs are in order."""
    found = []
    for column, (a, b) in enumerate(skeleton.flips):
        rest = _people(np.delete(ordered, column, axis=1))
        agrees = np.where(np.isfinite(rest) & np.isfinite(ordered[:, column]), rest == ordered[:, column], np.nan)
        score, n = _score(agrees)
        if n >= FEWEST and score < -SURE:
            found.append(
                f"{a} and {b} look exchanged: they agree with the other pairs for {np.nanmean(agrees):.0%} of {n}"
            )
    return found


def _stretches(ordered: Array) -> list[str]:
    """Return runs of people most of whom are reversed, compared with the share among all people."""
    people = _people(ordered)
    counted = people[np.isfinite(people)]
    usual = float(np.clip(counted.mean(), 0.01, 0.99)) if len(counted) else 0.5
    found = []
    for start in range(0, len(people), STRETCH):
        part = people[start : start + STRETCH]
        n, share = int(np.isfinite(part).sum()), float(np.nansum(part)) / max(1, np.isfinite(part).sum())
        if n >= FEWEST and share < 0.5 and (share - usual) / np.sqrt(usual * (1 - usual) / n) < -SURE:
            end = start + len(part) - 1
            found.append(
                f"left and right look exchanged for most of people {start} to {end}: the order is right for "
                f"{share:.0%} of them and for {usual:.0%} of all people"
            )
    return found


def _crossed_limbs(xy: Array, labeled: Array, skeleton: Skeleton) -> list[str]:
    """Return limbs that are shorter between opposite sides than on one side: one of their joint pairs is exchanged."""
    order, names = skeleton.flip_order(), skeleton.joints
    found = []
    for a, b in skeleton.limb_indices():
        a_other, b_other = order[a], order[b]
        if a_other in (a, b) or b_other == b or a > a_other:
            continue  # This limb has no counterpart on the other side, or the counterpart is tested already.
        both = labeled[:, [a, b, a_other, b_other]].all(axis=1)
        along = _length(xy, a, b) + _length(xy, a_other, b_other)
        across = _length(xy, a, b_other) + _length(xy, a_other, b)
        score, n = _score(np.where(both & (along != across), along < across, np.nan))
        if n >= FEWEST and score < -SURE:
            found.append(
                f"{names[a]} to {names[b]} crosses over in most of {n} people: "
                f"the sides of one of the two joints look exchanged"
            )
    return found


def _length(xy: Array, a: int, b: int) -> Array:
    return np.asarray(np.linalg.norm(xy[:, a] - xy[:, b], axis=-1))
