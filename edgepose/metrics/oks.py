"""OKS and COCO's keypoint AP and AR, in numpy, built so that a bootstrap over images is cheap.

Lin et al., "Microsoft COCO", ECCV 2014, and the keypoint task's page: the object keypoint similarity of a
prediction to a person is the mean over labeled joints of exp(-d^2 / (2 s^2 (2 sigma)^2)), with s^2 the
person's area. pycocotools' `COCOeval` is the reference; tests hold the two to 1e-9.

Three steps, so that the costly one runs once:
1. `oks`        the similarities of one image, [D, G];
2. `match`      each image once, greedily by score, for all thresholds and area ranges together;
3. `curves`     precision and recall from the matches and a weight per image: a weight of 2 counts the image
                as two images. A bootstrap is this step a thousand times.

What the reference does and this repeats:
- a person that is a crowd, or has no labeled joint, or is outside the area range is ignored: no miss when
  unmatched, no hit when matched; a crowd takes any number of predictions, any other person one;
- to a person with no labeled joint the distance is that to the box grown to three times its sides;
- a prediction prefers a counted person over an ignored one, whatever the similarity; between equal
  similarities the later person wins, between equal scores the earlier prediction goes first;
- an unmatched prediction whose own area is outside the range is ignored;
- an image's best 20 predictions count.

Beyond it: a joint that was not predicted (NaN) is infinitely far. Where the reference prints -1 (nobody in
the range), the value is NaN. Copies of one image that holds equal scores are ordered prediction by
prediction, not copy by copy: only a weighted result can tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array, check_array

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MAX_PREDICTIONS = 20
PAIRS = 20_000  # of predictions and people compared in one go: some 20 MB
CELLS = 200_000  # of draws and predictions looked at in one go: a few MB, which stays in the cache
SEEN = 0.2  # joints above this count in a person's score, the rescoring that Xiao et al. (ECCV 2018) use
# square pixels; the reference's "small" has no meaning for keypoints
AREAS: dict[str, tuple[float, float]] = {
    "all": (0.0, 1e10),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}


def person_scores(joint_scores: Array) -> Array:
    """[N]: how sure a person is, the mean of the joint scores [N, K] above 0.2; 0 when none is."""
    seen = joint_scores > SEEN
    total = np.where(seen, joint_scores, 0).sum(axis=1)
    return np.asarray(total / np.maximum(seen.sum(axis=1), 1))


@dataclass(frozen=True, kw_only=True)
class People:
    """The labels: G people. `image` counts images from 0; boxes are used where no joint is labeled."""

    image: Array  # [G] int64
    xy_image: Array  # [G, K, 2] float
    labeled: Array  # [G, K] bool
    boxes_xyxy: Array  # [G, 4] float
    area: Array  # [G] float, s^2 in square pixels
    crowd: Array  # [G] bool

    def __post_init__(self) -> None:
        sizes = check_array("xy_image", self.xy_image, ("G", "K", 2))
        g = sizes["G"]
        check_array("labeled", self.labeled, (g, sizes["K"]), np.bool_)
        check_array("boxes_xyxy", self.boxes_xyxy, (g, 4))
        check_array("crowd", self.crowd, (g,), np.bool_)
        for name in ("image", "area"):
            check_array(name, getattr(self, name), (g,))


@dataclass(frozen=True, kw_only=True)
class Found:
    """The predictions: D people. `area` decides area ranges only; `extent_px2` gives the reference's."""

    image: Array  # [D] int64
    xy_image: Array  # [D, K, 2] float, NaN where a joint was not predicted
    score: Array  # [D] float
    area: Array  # [D] float

    def __post_init__(self) -> None:
        d = check_array("xy_image", self.xy_image, ("D", "K", 2))["D"]
        for name in ("image", "score", "area"):
            check_array(name, getattr(self, name), (d,))


@dataclass(frozen=True, kw_only=True)
class Matches:
    """What `match` found: A area ranges as in AREAS, T thresholds, D predictions by falling score."""

    image: Array  # [D] int64
    right: Array  # [A, T, D] bool: matched to a counted person
    wrong: Array  # [A, T, D] bool: matched to nobody; neither where ignored
    people: Array  # [A, I] float64: counted people of each image


@dataclass(frozen=True, kw_only=True)
class Summary:
    """COCO's ten numbers, each [B] float64 for B rows of weights; NaN where nobody is in the range."""

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
    """[D] float64: the area of the box around the predicted joints [D, K, 2], 0 without one; as loadRes."""
    seen = np.asarray(np.isfinite(xy_image).all(axis=-1, keepdims=True))
    low = np.where(seen, xy_image, np.inf).min(axis=1)
    high = np.where(seen, xy_image, -np.inf).max(axis=1)
    return np.where(seen.any(axis=(1, 2)), (high - low).prod(axis=1), 0.0)


def oks(found_xy: Array, people: People, sigmas: Array) -> Array:
    """[D, G] float64: similarity of predictions [D, K, 2] to people, 0..1; sigmas [K]."""
    d = check_array("found_xy", found_xy, ("D", people.xy_image.shape[1], 2))["D"]
    g = len(people.image)
    rows, columns = np.repeat(np.arange(d), g), np.tile(np.arange(g), d)
    return _similar(found_xy, people, sigmas, rows, columns).reshape(d, g)


def _similar(found_xy: Array, people: People, sigmas: Array, rows: Array, columns: Array) -> Array:
    """[P] float64: similarity of prediction rows[i] to person columns[i], P pairs of any images."""
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
    """[P, K, 2]: how far the joints [P, K, 2] are outside boxes [P, 4] grown by their own size on every side."""
    low, high = boxes_xyxy[:, None, :2], boxes_xyxy[:, None, 2:]  # [P, 1, 2]
    side = high - low
    return np.asarray(np.maximum(low - side - found_xy, 0) + np.maximum(found_xy - high - side, 0))


def _best(found: Found) -> Array:
    """Indices of the predictions that count: by image, then falling score, at most 20 an image."""
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
    """Greedy matching of one image for all ranges and thresholds.

    similar: [D, G] by falling score. ignored: [A, G] bool. crowd: [G] bool.
    Returns [A, T, D] bool each: matched, and matched to an ignored person.
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
    """Match every image once. `images` is how many there are, with and without people."""
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
    """`_match_image` for every image, [A, T, D] each, in the order of `kept`."""
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
    """For each image with both, where its predictions stand in sorted found_image, and its people's indices."""
    by_image = np.argsort(people_image, kind="stable")
    images, starts = np.unique(found_image, return_index=True)
    ends = np.append(starts[1:], len(found_image))
    ordered = people_image[by_image]
    first, last = np.searchsorted(ordered, images), np.searchsorted(ordered, images, side="right")
    for i in np.flatnonzero(last > first):
        yield slice(int(starts[i]), int(ends[i])), by_image[first[i] : last[i]]


def _chunks(groups: Iterator[_Group]) -> Iterator[list[_Group]]:
    """A few images at a time, up to PAIRS pairs: a call of numpy costs as much as fifty of them."""
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
    weights: Array | None = None,  # [B, I] float, how many copies of each image; None = one of each
    area: str = "all",
) -> tuple[Array, Array]:
    """Average precision and recall at each threshold: [B, T] float64 each, NaN where nobody is counted."""
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
    """[B] each: precision averaged over RECALLS, last recall; NaN where people [B] is 0.

    right, image: [D], the counted predictions by falling score; weights [B, I]. Precision and recall are looked
    at where a prediction is right: between two of those recall stands and precision falls.
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
    """The row of `Matches` that a field of Summary is of: ap_large -> that of large."""
    return next((row for row, area in enumerate(AREAS) if field.endswith(f"_{area}")), 0)


def summary(matches: Matches, weights: Array | None = None) -> Summary:
    """COCO's ten numbers for each row of weights [B, I]; without weights B is 1."""
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
