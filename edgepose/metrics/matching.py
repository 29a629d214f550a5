"""Matching of predictions with people by their OKS or by their boxes, as COCO's evaluation does, once per image.

`match` matches each image greedily by score, for all thresholds and area ranges together. `COCOeval` of pycocotools is
the reference, and tests require equality of the results to 1e-9. Its rules, which are repeated here:

- A person that is a crowd, or has no labeled joint, or is outside the area range is ignored: it is no miss when
  unmatched, and no hit when matched. A crowd takes any number of predictions, any other person takes one.
- A prediction prefers a counted person over an ignored one, whatever the similarity. Among equal similarities the
  later person is taken, and among equal scores the earlier prediction is matched first.
- An unmatched prediction whose own area is outside the range is ignored.
- The best 20 predictions of an image are counted; of boxes, the best 100.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.metrics.oks import Found, People, similarities

THRESHOLDS = np.linspace(0.5, 0.95, 10)
MAX_PREDICTIONS = 20
PAIRS = 20_000  # pairs of a prediction and a person that are compared at once, which takes about 20 MB
# Square pixels. The reference's range "small" has no meaning for keypoints.
AREAS: dict[str, tuple[float, float]] = {
    "all": (0.0, 1e10),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}


@dataclass(frozen=True, kw_only=True)
class Matches:
    """The result of `match` for A area ranges as in `AREAS`, T thresholds, and D predictions by falling score.

    Attributes:
        image: [D] int64, the number of each prediction's image.
        right: [A, T, D] bool, matched to a counted person.
        wrong: [A, T, D] bool, matched to nobody. Neither `right` nor `wrong` where the prediction is ignored.
        people: [A, I] float64, the number of counted people of each image.
    """

    image: Array
    right: Array
    wrong: Array
    people: Array


Similar = Callable[[Array, Array], Array]  # prediction and person of P pairs, [P] int each -> their similarity [P]


def _best(found: Found, limit: int) -> Array:
    """Indices of the predictions that are counted: by image, then by falling score, at most `limit` per image."""
    order = np.lexsort((-found.score, found.image))
    image = found.image[order]
    rank = np.arange(len(order)) - np.searchsorted(image, image, side="left")
    return order[rank < limit]


def _beyond(area: Array) -> Array:
    """[A, N] bool: whether an area is outside each range of AREAS."""
    return np.stack([(area < low) | (area > high) for low, high in AREAS.values()])


def _ignored(people: People) -> Array:
    """[A, G] bool: who is neither a hit nor a miss in each range of AREAS."""
    return np.asarray(people.crowd | ~people.labeled.any(axis=1) | _beyond(people.area))


def counted_people(people: People) -> Array:
    """Return [A, G] bool: who is counted in each area range of `AREAS`."""
    return ~_ignored(people)


def _match_image(similar: Array, ignored: Array, crowd: Array) -> tuple[Array, Array]:
    """Match one image greedily for all area ranges and thresholds.

    similar: [D, G] by falling score. ignored: [A, G] bool. crowd: [G] bool.
    The two results are [A, T, D] bool: matched, and matched to an ignored person.
    """
    bars = np.minimum(THRESHOLDS, 1 - 1e-10)[:, None]
    count, people = similar.shape
    free = np.ones((len(ignored), len(THRESHOLDS), people), bool)
    matched = np.zeros((*free.shape[:2], count), bool)
    to_ignored = np.zeros_like(matched)
    for d in range(count):
        able = free & (similar[d] >= bars)
        counted = able & ~ignored[:, None]
        able = np.where(counted.any(axis=-1, keepdims=True), counted, able)
        values = np.where(able, similar[d], -1.0)
        last_best = people - 1 - np.argmax(values[..., ::-1], axis=-1)  # [A, T]
        matched[..., d] = able.any(axis=-1)
        chosen = (np.arange(people) == last_best[..., None]) & matched[..., d, None]
        to_ignored[..., d] = (chosen & ignored[:, None]).any(axis=-1)
        free &= ~chosen | crowd
    return matched, to_ignored


def match(people: People, found: Found, sigmas: Array, images: int) -> Matches:
    """Match every image once, by OKS.

    Args:
        people: The labels.
        found: The predictions.
        sigmas: [K] float.
        images: Number of images I, with and without people.

    Raises:
        ValueError: The shapes do not fit each other.
    """
    check_array("sigmas", sigmas, (people.xy_image.shape[1],))
    check_array("found.xy_image", found.xy_image, ("D", people.xy_image.shape[1], 2))

    def similar(rows: Array, columns: Array) -> Array:
        return similarities(found.xy_image, people, sigmas, rows, columns)

    return match_by(similar, people, found, images, MAX_PREDICTIONS)


def match_by(similar: Similar, people: People, found: Found, images: int, limit: int) -> Matches:
    """Match every image once, by any similarity from 0 to 1.

    Args:
        similar: Returns the similarity of pairs of a prediction and a person.
        people: The labels.
        found: The predictions.
        images: Number of images I, with and without people.
        limit: The number of predictions of an image that are counted, those of the highest score.
    """
    kept = _best(found, limit)
    ignored = _ignored(people)
    matched, to_ignored = _match_images(similar, people, found, kept, ignored)
    out = to_ignored | (~matched & _beyond(found.area[kept])[:, None])
    order = np.argsort(-found.score[kept], kind="stable")
    counts = np.stack([np.bincount(people.image[~row], minlength=images) for row in ignored])
    return Matches(
        image=found.image[kept][order],
        right=(matched & ~out)[..., order],
        wrong=(~matched & ~out)[..., order],
        people=counts.astype(np.float64),
    )


def _match_images(similar: Similar, people: People, found: Found, kept: Array, ignored: Array) -> tuple[Array, Array]:
    """Run `_match_image` for every image; the results [A, T, D] are in the order of `kept`."""
    matched = np.zeros((len(AREAS), len(THRESHOLDS), len(kept)), bool)
    to_ignored = np.zeros_like(matched)
    for groups in _chunks(_groups(found.image[kept], people.image)):
        pairs = [np.meshgrid(kept[rows], mine, indexing="ij") for rows, mine in groups]
        rows_of, columns_of = (np.concatenate([pair[axis].ravel() for pair in pairs]) for axis in (0, 1))
        values = similar(rows_of, columns_of)
        ends = np.cumsum([pair[0].size for pair in pairs])
        for (rows, mine), end, pair in zip(groups, ends, pairs, strict=True):
            part = values[end - pair[0].size : end].reshape(pair[0].shape)
            matched[..., rows], to_ignored[..., rows] = _match_image(part, ignored[:, mine], people.crowd[mine])
    return matched, to_ignored


_Group = tuple[slice, Array]


def _groups(found_image: Array, people_image: Array) -> Iterator[_Group]:
    """For each image with both: the slice of its predictions in sorted found_image, and its people's indices."""
    by_image = np.argsort(people_image, kind="stable")
    images, starts = np.unique(found_image, return_index=True)
    ends = np.append(starts[1:], len(found_image))
    ordered = people_image[by_image]
    first, last = np.searchsorted(ordered, images), np.searchsorted(ordered, images, side="right")
    for i in np.flatnonzero(last > first):
        yield slice(int(starts[i]), int(ends[i])), by_image[first[i] : last[i]]


def _chunks(groups: Iterator[_Group]) -> Iterator[list[_Group]]:
    """Group images up to PAIRS pairs, because a numpy call costs as much as about fifty pairs."""
    chunk: list[_Group] = []
    pairs = 0
    for rows, mine in groups:
        chunk.append((rows, mine))
        pairs += (rows.stop - rows.start) * len(mine)
        if pairs >= PAIRS:
            yield chunk
            chunk, pairs = [], 0
    if chunk:
        yield chunk
