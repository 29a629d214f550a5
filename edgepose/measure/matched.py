"""Match the people that a network finds with those that another network found, or with labeled people.

A network that finds people by itself returns them in any order and number. `same_people` pairs the people of two such
networks, so that their joints can be compared one by one: a person whom the other network did not find has moved with
all joints, and so has a person whom only the other network found. `on_labels` gives every labeled person the joints of
the person who was found there, so that metrics of one prediction per person can be measured; a person who was not found
has no joints, which counts as wrong.

People are the same by their OKS (`edgepose.metrics.oks`), or by the overlap of the boxes around their joints where the
skeleton has no OKS sigmas.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.measure.predictions import Detected
from edgepose.metrics import oks
from edgepose.metrics.labels import Labels
from edgepose.metrics.metric import Predicted
from edgepose.pose.skeletons import Skeleton

ALIKE = 0.2  # OKS of two poses that may be of one person; two people side by side are below it
OVERLAPPING = 0.3  # intersection over union of their boxes, where there is no OKS


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """People that one network found in some images.

    Attributes:
        image: [D] int64, the number of each person's image.
        xy: [D, K, 2] float, joints in pixels of the image or of the canvas; NaN where a joint was not found.
        scores: [D, K] float, of the joints.
        person_scores: [D] float.
    """

    image: Array
    xy: Array
    scores: Array
    person_scores: Array

    @classmethod
    def of(cls, found: Detected) -> Crowd:
        """Return the people that a network found by itself."""
        return cls(image=found.image, xy=found.xy_image, scores=found.scores, person_scores=found.box_scores)


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """The people of two networks, a row for each person; `measure.displacement` compares them.

    Attributes:
        image: [P] int64.
        expected: [P, K, 2] float, joints of the float network, or of the other one for a person that only it found.
        found: [P, K, 2] float, joints of the other network; NaN for a person that only one of them found.
        scores: [P, K] float, the scores of `expected`.
    """

    image: Array
    expected: Array
    found: Array
    scores: Array


def same_people(first: Crowd, second: Crowd, skeleton: Skeleton, counted_from: float) -> Pairs:
    """Pair the people of two networks.

    Both are given with people below the score that counts, so that a person near that score is not lost and found by
    chance: a person of either network who is above it is looked for among all people of the other.

    Args:
        first: The people of the float network.
        second: Those of the network to compare.
        skeleton: The K joints.
        counted_from: The score from which a person counts.

    Returns:
        The people of the float network that count, then those that count and only the other network found.
    """
    partner = paired(first, second, skeleton)
    counts = first.person_scores > counted_from
    found = np.full(first.xy.shape, np.nan)
    has = partner >= 0
    found[has] = second.xy[partner[has]]
    extra = second.person_scores > counted_from
    extra[partner[has]] = False
    return Pairs(
        image=np.concatenate([first.image[counts], second.image[extra]]),
        expected=np.concatenate([first.xy[counts], second.xy[extra]]).astype(np.float64),
        found=np.concatenate([found[counts], np.full((int(extra.sum()), *found.shape[1:]), np.nan)]),
        scores=np.concatenate([first.scores[counts], second.scores[extra]]).astype(np.float64),
    )


def paired(first: Crowd, second: Crowd, skeleton: Skeleton) -> Array:
    """Return the person of `second` that is each person of `first`, [D] int64; -1 for nobody.

    The most similar pair of an image is taken first, and each person once.
    """
    joints = len(skeleton)
    for name, crowd in (("first.xy", first), ("second.xy", second)):
        check_array(name, crowd.xy, ("D", joints, 2))
    partner = np.full(len(first.image), -1, np.int64)
    for image in np.intersect1d(first.image, second.image).tolist():
        mine, theirs = np.flatnonzero(first.image == image), np.flatnonzero(second.image == image)
        similar = _similar(first.xy[mine], second.xy[theirs], skeleton)
        for a, b in _greedy(similar):
            partner[mine[a]] = theirs[b]
    return partner


def on_labels(found: Predicted, labels: Labels) -> Predicted:
    """Return one prediction for each counted person: the joints of the person who was found there, or NaN.

    Of the people who were found, those with a high score choose first.

    Args:
        found: The people that a network found by itself, over the C compared joints.
        labels: The labels.
    """
    assert found.box_scores is not None
    xy, labeled = labels.compared_joints()
    image = labels.people.image[labels.counted]
    expected = np.where(labeled[..., None], xy, np.nan)
    taken = np.full((labels.n, xy.shape[1], 2), np.nan)
    scores = np.zeros((labels.n, found.scores.shape[1]))
    free = np.ones(labels.n, bool)
    for one in np.argsort(-found.box_scores, kind="stable").tolist():
        rows = np.flatnonzero((image == found.image[one]) & free)
        if not rows.size:
            continue
        similar = _similar(expected[rows], found.xy_image[one][None], labels.compared_skeleton)[:, 0]
        best = int(similar.argmax())
        if similar[best] > 0:
            row = rows[best]
            taken[row], scores[row], free[row] = found.xy_image[one], found.scores[one], False
    return Predicted(xy_image=taken, scores=scores, image=image)


def _greedy(similar: Array) -> list[tuple[int, int]]:
    """Pair rows with columns, the most similar first; 0 is no pair."""
    left = similar.copy()
    pairs = []
    while left.size and left.max() > 0:
        a, b = np.unravel_index(int(left.argmax()), left.shape)
        pairs.append((int(a), int(b)))
        left[a], left[:, b] = 0, 0
    return pairs


def _similar(first: Array, second: Array, skeleton: Skeleton) -> Array:
    """Return how similar people [A, K, 2] and [B, K, 2] are, [A, B] from 0 to 1; 0 where they cannot be the same."""
    overlap = _overlap(_boxes(first), _boxes(second))
    if not skeleton.sigmas:
        return np.where(overlap >= OVERLAPPING, overlap, 0.0)
    known = np.asarray(np.isfinite(first).all(axis=2))
    people = oks.People(
        image=np.zeros(len(first), np.int64),
        xy_image=np.nan_to_num(first),
        labeled=known,
        boxes_xyxy=_boxes(first),
        area=oks.extent_px2(first),
        crowd=np.zeros(len(first), bool),
    )
    near = oks.oks(second, people, np.array(skeleton.sigmas)).T
    near[~known.any(axis=1)] = 0
    return np.where(near >= ALIKE, near, 0.0)


def _boxes(xy: Array) -> Array:
    """Return the boxes around the joints of people [A, K, 2], [A, 4]; of no size where nothing was found."""
    known = np.asarray(np.isfinite(xy).all(axis=2, keepdims=True))
    low = np.where(known, xy, np.inf).min(axis=1, initial=np.inf)
    high = np.where(known, xy, -np.inf).max(axis=1, initial=-np.inf)
    nothing = ~known.any(axis=(1, 2))
    low[nothing], high[nothing] = 0, 0
    return np.concatenate([low, high], axis=1)


def _overlap(first: Array, second: Array) -> Array:
    """Return the intersection over union of boxes [A, 4] and [B, 4], [A, B]."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = (high - low).clip(0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    both = areas[0][:, None] + areas[1][None] - shared
    return np.asarray(np.divide(shared, both, out=np.zeros(shared.shape), where=both > 0))
