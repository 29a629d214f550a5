"""Left and right that look exchanged: in all labels, in one pair of joints, or in a stretch of people.

Nothing in one label says which side is which; many do. Most people in photographs face the camera, so their own
right side is on the left of the picture (in LSP's for two people of three), and a limb runs to the joint of its
own side rather than across (for nearly everybody). A pair, a limb or a stretch for which the opposite holds,
by more than chance allows, is named. That is a hint for a person to look, not a proof: a film of somebody's
back looks just the same.
"""

from __future__ import annotations

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.pose.skeletons import Skeleton

FEWEST = 30  # people; fewer show nothing
STRETCH = 100  # people looked at together
SURE = 4.0  # standard errors away from a half: chance alone does that once in 30,000 times


def swapped_sides(xy: Array, labeled: Array, skeleton: Skeleton) -> list[str]:
    """What looks exchanged in joints [N, K, 2], labeled [N, K] bool, a sentence each; [] where nothing does."""
    n = check_array("xy", xy, ("N", len(skeleton), 2))["N"]
    check_array("labeled", labeled, (n, len(skeleton)), np.bool_)
    crossed = _crossed_limbs(xy, labeled, skeleton)
    if crossed or not skeleton.flips:
        return crossed
    ordered = _ordered(xy, labeled, skeleton)
    return _throughout(ordered) or [*_pairs(ordered, skeleton), *_stretches(ordered)]


def _ordered(xy: Array, labeled: Array, skeleton: Skeleton) -> Array:
    """[N, P] float64 for P pairs: 1 where the right joint is on the left of the picture, 0 the other way, or NaN."""
    left, right = ([skeleton.index(pair[side]) for pair in skeleton.flips] for side in (0, 1))
    if skeleton.flips[0][0].startswith("right_"):
        left, right = right, left
    known = labeled[:, left] & labeled[:, right] & (xy[:, left, 0] != xy[:, right, 0])
    return np.where(known, xy[:, right, 0] < xy[:, left, 0], np.nan)


def _score(values: Array) -> tuple[float, int]:
    """(how many standard errors the share of ones is above a half, how many values there are), NaN left out."""
    counted = values[np.isfinite(values)]
    n = len(counted)
    return (float((counted.sum() - n / 2) / np.sqrt(n / 4)) if n else 0.0), n


def _people(ordered: Array) -> Array:
    """[N] float64: 1 for people most of whose pairs are in order, 0 for those with most reversed, NaN undecided."""
    known = np.isfinite(ordered)
    balance = np.where(known, ordered - 0.5, 0).sum(axis=1)
    return np.where(balance == 0, np.nan, balance > 0)


def _throughout(ordered: Array) -> list[str]:
    score, n = _score(_people(ordered))
    if n < FEWEST or score > -SURE:
        return []
    share = float(np.nanmean(_people(ordered)))
    return [
        f"left and right look exchanged throughout: the person's right is on the left of the picture for {share:.0%} "
        f"of {n} people, where people who face the camera would make it most"
    ]


def _pairs(ordered: Array, skeleton: Skeleton) -> list[str]:
    """Pairs that are reversed where the rest of the same people is in order."""
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
    """Runs of people most of whom are reversed, against the share among all."""
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
                f"left and right look exchanged for most of people {start} to {end}: in order for {share:.0%}, "
                f"for {usual:.0%} of everybody"
            )
    return found


def _crossed_limbs(xy: Array, labeled: Array, skeleton: Skeleton) -> list[str]:
    """Limbs that are shorter across than along: one of their two pairs is exchanged."""
    order, names = skeleton.flip_order(), skeleton.joints
    found = []
    for a, b in skeleton.limb_indices():
        a_other, b_other = order[a], order[b]
        if a_other in (a, b) or b_other == b or a > a_other:
            continue  # no two limbs, or the same two seen from the other side
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
