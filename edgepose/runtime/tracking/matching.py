"""Which person of a frame continues which track."""

from __future__ import annotations

import numpy as np

from edgepose._checks import Array
from edgepose.codecs.assignment import assign


def match(similarity: Array, least: float) -> Array:
    """Match people with tracks, so that the sum of (similarity - least) over the pairs is as large as possible.

    Most people are alike to one track only, and it to nobody else. The assignment problem is solved only for groups of
    people who compete for tracks, which gives the same result.

    Args:
        similarity: [P, T] float, finite.
        least: Similarity that a pair must reach.

    Returns:
        [P] int64, the track of each person, -1 for none.
    """
    people, tracks = similarity.shape
    found = np.full(people, -1, np.int64)
    if not people or not tracks:
        return found
    possible = similarity >= least
    rows, columns = np.nonzero(possible)
    if len(set(columns.tolist())) < len(columns) or len(set(rows.tolist())) < len(rows):
        best = np.where(possible, similarity, -np.inf).argmax(axis=1)
        rows = np.unique(rows)
        columns = best[rows]
    if len(set(columns.tolist())) == len(columns):  # everyone's best track is another one
        found[rows] = columns
        return found
    for group, candidates in _groups(possible):
        if len(group) == 1:
            found[group[0]] = best[group[0]]
        else:
            part = np.ix_(group, candidates)
            found[group] = _solve(similarity[part], possible[part], least, np.array(candidates))
    return found


def _solve(similarity: Array, possible: Array, least: float, columns: Array) -> Array:
    """Solve one group. Every person has a column of its own for "none", whose gain is 0."""
    people, tracks = similarity.shape
    gain = np.zeros((people, tracks + people))
    gain[:, :tracks] = np.where(possible, similarity - least, -1.0)
    gain[:, tracks:] = np.where(np.eye(people, dtype=bool), 0.0, -1.0)
    taken = assign(-gain)
    matched = (taken < tracks) & possible[np.arange(people), np.minimum(taken, tracks - 1)]
    return np.where(matched, columns[np.minimum(taken, tracks - 1)], -1)


def _groups(possible: Array) -> list[tuple[list[int], list[int]]]:
    """Return the groups of people and tracks that are linked by possible pairs."""
    groups: list[tuple[set[int], set[int]]] = []
    for row, columns in enumerate(possible):
        mine = set(np.flatnonzero(columns).tolist())
        if not mine:
            continue
        rows = {row}
        apart = []
        for group in groups:
            if group[1] & mine:
                rows |= group[0]
                mine |= group[1]
            else:
                apart.append(group)
        groups = [*apart, (rows, mine)]
    return [(sorted(rows), sorted(columns)) for rows, columns in groups]
