"""OKS and COCO's keypoint AP and AR in numpy, arranged so that a bootstrap over images is cheap.

Lin et al., "Microsoft COCO", ECCV 2014, and the page of the keypoint task: the object keypoint similarity (OKS) of a
prediction to a person is the mean over labeled joints of exp(-d^2 / (2 s^2 (2 sigma)^2)), with s^2 the person's area.
`COCOeval` of pycocotools is the reference, and tests require equality to 1e-9.

The computation has three steps, so that the expensive ones run once:

1. `oks` computes the similarities of one image, [D, G].
2. `match` matches each image once, greedily by score, for all thresholds and area ranges together.
3. `curves` computes precision and recall from the matches and a weight per image. A weight of 2 counts the image as
   two images, so a bootstrap runs this step a thousand times.

The rules of the reference, which are repeated here:

- A person that is a crowd, or has no labeled joint, or is outside the area range is ignored: it is no miss when
  unmatched, and no hit when matched. A crowd takes any number of predictions, any other person takes one.
- The distance to a person without a labeled joint is that to the box grown to three times its sides.
- A prediction prefers a counted person over an ignored one, whatever the similarity. Among equal similarities the
  later person is taken, and among equal scores the earlier prediction is matched first.
- An unmatched prediction whose own area is outside the range is ignored.
- The best 20 predictions of an image are counted.

Two additions: a joint that was not predicted (NaN) is infinitely far, and the value is NaN where the reference prints
-1 (nobody is in the range). Copies of one image with equal scores are ordered prediction by prediction, not copy by
copy, which only a weighted result can show.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array, check_array

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MAX_PREDICTIONS = 20
PAIRS = 20_000  # pairs of a prediction and a person that are compared at once, which takes about 20 MB
CELLS = 200_000  # draws times predictions that are processed at once: a few MB, which fits into the cache
SEEN = 0.2  # joints above this are part of a person's score, as in the rescoring of Xiao et al. (ECCV 2018)
# Square pixels. The reference's range "small" has no meaning for keypoints.
AREAS: dict[str, tuple[float, float]] = {
    "all": (0.0, 1e10),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}


def person_scores(joint_scores: Array) -> Array:
    """Compute the score of each person: the mean of its joint scores above 0.2.

    Args:
        joint_scores: [N, K] float.

    Returns:
        [N] float64, 0 for a person without such a score.
    """
    seen = joint_scores > SEEN
    total = np.where(seen, joint_scores, 0).sum(axis=1)
    return np.asarray(total / np.maximum(seen.sum(axis=1), 1))


@dataclass(frozen=True, kw_only=True)
class People:
    """The labels of G people.

    Attributes:
        image: [G] int64, the number of each person's image, from 0.
        xy_image: [G, K, 2] float, in pixels.
        labeled: [G, K] bool.
        boxes_xyxy: [G, 4] float, in pixels; used for people without a labeled joint.
        area: [G] float, s^2 in square pixels.
        crowd: [G] bool.
    """

    image: Array
    xy_image: Array
    labeled: Array
    boxes_xyxy: Array
    area: Array
    crowd: Array

    def __post_init__(self) -> None:
        """Check the shapes."""
        sizes = check_array("xy_image", self.xy_image, ("G", "K", 2))
        g = sizes["G"]
        check_array("labeled", self.labeled, (g, sizes["K"]), np.bool_)
        check_array("boxes_xyxy", self.boxes_xyxy, (g, 4))
        check_array("crowd", self.crowd, (g,), np.bool_)
        for name in ("image", "area"):
            check_array(name, getattr(self, name), (g,))


@dataclass(frozen=True, kw_only=True)
class Found:
    """The predictions of D people.

    Attributes:
        image: [D] int64, the number of each prediction's image.
        xy_image: [D, K, 2] float, in pixels; NaN where a joint was not predicted.
        score: [D] float.
        area: [D] float, square pixels; decides area ranges only. `extent_px2` computes it as the reference does.
    """

    image: Array
    xy_image: Array
    score: Array
    area: Array

    def __post_init__(self) -> None:
        """Check the shapes."""
        d = check_array("xy_image", self.xy_image, ("D", "K", 2))["D"]
        for name in ("image", "score", "area"):
            check_array(name, getattr(self, name), (d,))


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


@dataclass(frozen=True, kw_only=True)
class Summary:
    """COCO's ten numbers, each [B] float64 for B rows of weights, NaN where nobody is in the area range."""

    ap: Array
    ap50: Array
    ap75: Array
    ap_medium: Array
    ap_large: Array
    ar: Array
    ar50: Array
    ar75: Array
    ar_medium: Array
    ar_large: Array


def extent_px2(xy_image: Array) -> Array:
    """Compute the area of the box around the predicted joints, as `loadRes` of pycocotools does.

    Args:
        xy_image: [D, K, 2] float, NaN where not predicted.

    Returns:
        [D] float64 square pixels, 0 for a person without a predicted joint.
    """
    seen = np.asarray(np.isfinite(xy_image).all(axis=-1, keepdims=True))
    low = np.where(seen, xy_image, np.inf).min(axis=1)
    high = np.where(seen, xy_image, -np.inf).max(axis=1)
    return np.where(seen.any(axis=(1, 2)), (high - low).prod(axis=1), 0.0)


def oks(found_xy: Array, people: People, sigmas: Array) -> Array:
    """Compute the similarity of every prediction to every person.

    Args:
        found_xy: [D, K, 2] float, in pixels.
        people: G people.
        sigmas: [K] float.

    Returns:
        [D, G] float64 from 0 to 1.
    """
    d = check_array("found_xy", found_xy, ("D", people.xy_image.shape[1], 2))["D"]
    g = len(people.image)
    rows, columns = np.repeat(np.arange(d), g), np.tile(np.arange(g), d)
    return _similar(found_xy, people, sigmas, rows, columns).reshape(d, g)


def _similar(found_xy: Array, people: People, sigmas: Array, rows: Array, columns: Array) -> Array:
    """[P] float64: the similarity of prediction rows[i] to person columns[i], for P pairs."""
    labeled = people.labeled[columns]  # [P, K]
    anyone = np.asarray(labeled.any(axis=1))
    away = found_xy[rows].astype(np.float64) - people.xy_image[columns].astype(np.float64)  # [P, K, 2]
    nobody = np.flatnonzero(~anyone)
    away[nobody] = _outside(found_xy[rows[nobody]], people.boxes_xyxy[columns[nobody]])
    variance = (2 * np.asarray(sigmas, np.float64)) ** 2
    scale = 2 * variance * (people.area[columns, None] + np.spacing(1))  # [P, K]
    near = np.exp(-(away[..., 0] ** 2 + away[..., 1] ** 2) / scale)
    counted = labeled | ~anyone[:, None]
    near = np.where(counted & np.isfinite(near), near, 0.0)
    return np.asarray(near.sum(axis=-1) / counted.sum(axis=-1))


def _outside(found_xy: Array, boxes_xyxy: Array) -> Array:
    """[P, K, 2]: the distance of joints [P, K, 2] outside boxes [P, 4] grown by their own size on every side."""
    low, high = boxes_xyxy[:, None, :2], boxes_xyxy[:, None, 2:]  # [P, 1, 2]
    side = high - low
    return np.asarray(np.maximum(low - side - found_xy, 0) + np.maximum(found_xy - high - side, 0))


def _best(found: Found) -> Array:
    """Indices of the predictions that are counted: by image, then by falling score, at most 20 per image."""
    order = np.lexsort((-found.score, found.image))
    image = found.image[order]
    rank = np.arange(len(order)) - np.searchsorted(image, image, side="left")
    return order[rank < MAX_PREDICTIONS]


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
    """Match every image once.

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
    kept = _best(found)
    ignored = _ignored(people)
    matched, to_ignored = _match_images(people, found, kept, ignored, sigmas)
    out = to_ignored | (~matched & _beyond(found.area[kept])[:, None])
    order = np.argsort(-found.score[kept], kind="stable")
    counts = np.stack([np.bincount(people.image[~row], minlength=images) for row in ignored])
    return Matches(
        image=found.image[kept][order],
        right=(matched & ~out)[..., order],
        wrong=(~matched & ~out)[..., order],
        people=counts.astype(np.float64),
    )


def _match_images(people: People, found: Found, kept: Array, ignored: Array, sigmas: Array) -> tuple[Array, Array]:
    """Run `_match_image` for every image; the results [A, T, D] are in the order of `kept`."""
    matched = np.zeros((len(AREAS), len(THRESHOLDS), len(kept)), bool)
    to_ignored = np.zeros_like(matched)
    for groups in _chunks(_groups(found.image[kept], people.image)):
        pairs = [np.meshgrid(kept[rows], mine, indexing="ij") for rows, mine in groups]
        rows_of, columns_of = (np.concatenate([pair[axis].ravel() for pair in pairs]) for axis in (0, 1))
        similar = _similar(found.xy_image, people, sigmas, rows_of, columns_of)
        ends = np.cumsum([pair[0].size for pair in pairs])
        for (rows, mine), end, pair in zip(groups, ends, pairs, strict=True):
            part = similar[end - pair[0].size : end].reshape(pair[0].shape)
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


def curves(
    matches: Matches,
    weights: Array | None = None,
    area: str = "all",
) -> tuple[Array, Array]:
    """Compute average precision and recall at each threshold.

    Args:
        matches: The matches.
        weights: [B, I] float, how many copies of each image are counted; None for one copy of each.
        area: The area range, a key of `AREAS`.

    Returns:
        (precision [B, T], recall [B, T]) float64, NaN where nobody is counted.
    """
    row = list(AREAS).index(area)
    images = matches.people.shape[1]
    weights = np.ones((1, images)) if weights is None else weights
    check_array("weights", weights, ("B", images))
    precision = np.empty((len(weights), len(THRESHOLDS)))
    recall = np.empty_like(precision)
    people = weights @ matches.people[row]  # [B]
    for t, (right, wrong) in enumerate(zip(matches.right[row], matches.wrong[row], strict=True)):
        counted = np.flatnonzero(right | wrong)  # by falling score
        precision[:, t], recall[:, t] = _curve(right[counted], matches.image[counted], weights, people)
    return precision, recall


def _curve(right: Array, image: Array, weights: Array, people: Array) -> tuple[Array, Array]:
    """Return ([B], [B]): precision averaged over RECALLS, and the last recall; NaN where people [B] is 0.

    right, image: [D], the counted predictions by falling score; weights: [B, I]. Precision and recall are evaluated
    only where a prediction is right: between two of those, recall is constant and precision falls.
    """
    at = np.flatnonzero(right)
    averaged, last = np.zeros(len(weights)), np.zeros(len(weights))
    step = max(1, CELLS // max(1, len(right)))
    for start in range(0, len(weights), step) if len(at) else ():
        rows = slice(start, start + step)
        each = weights[rows][:, image]  # [b, D]
        hits, total = np.cumsum(each[:, at], axis=1), np.cumsum(each, axis=1)[:, at]
        envelope = np.maximum.accumulate((hits / (total + np.spacing(1)))[:, ::-1], axis=1)[:, ::-1]
        envelope = np.pad(envelope, ((0, 0), (0, 1)))  # a recall never reached has precision 0
        recall = np.divide(hits, people[rows, None], out=np.zeros_like(hits), where=people[rows, None] > 0)
        reached = np.stack([np.searchsorted(line, RECALLS, side="left") for line in recall])
        averaged[rows] = np.take_along_axis(envelope, reached, axis=1).mean(axis=1)
        last[rows] = recall[:, -1]
    nobody = people == 0
    averaged[nobody], last[nobody] = np.nan, np.nan
    return averaged, last


def area_row(field: str) -> int:
    """Return the row of `AREAS` that a field of `Summary` belongs to, for example that of "large" for "ap_large"."""
    return next((row for row, area in enumerate(AREAS) if field.endswith(f"_{area}")), 0)


def summary(matches: Matches, weights: Array | None = None) -> Summary:
    """Compute COCO's ten numbers for each row of weights [B, I]. Without weights, B is 1."""
    (ap, ar), (ap_m, ar_m), (ap_l, ar_l) = (curves(matches, weights, area) for area in AREAS)
    at75 = 5
    return Summary(
        ap=ap.mean(axis=1),
        ap50=ap[:, 0],
        ap75=ap[:, at75],
        ap_medium=ap_m.mean(axis=1),
        ap_large=ap_l.mean(axis=1),
        ar=ar.mean(axis=1),
        ar50=ar[:, 0],
        ar75=ar[:, at75],
        ar_medium=ar_m.mean(axis=1),
        ar_large=ar_l.mean(axis=1),
    )
