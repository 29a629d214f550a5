"""Object keypoint similarity (OKS): how close a predicted pose is to a labeled person, from 0 to 1.

Lin et al., "Microsoft COCO", ECCV 2014, and the page of the keypoint task: the OKS of a prediction to a person is the
mean over labeled joints of exp(-d^2 / (2 s^2 (2 sigma)^2)), with s^2 the person's area. The distance to a person
without a labeled joint is that to the box grown to three times its sides, as in `COCOeval` of pycocotools, which is
the reference. A joint that was not predicted (NaN) is infinitely far.

`edgepose.metrics.matching` matches predictions with people by their OKS, and `edgepose.metrics.precision` computes
average precision and recall from the matches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.pose.poses import person_scores as person_scores


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
    return similarities(found_xy, people, sigmas, rows, columns).reshape(d, g)


def similarities(found_xy: Array, people: People, sigmas: Array, rows: Array, columns: Array) -> Array:
    """Compute the similarity of P pairs of a prediction and a person.

    Args:
        found_xy: [D, K, 2] float, in pixels.
        people: G people.
        sigmas: [K] float.
        rows: [P] int, the prediction of each pair.
        columns: [P] int, the person of each pair.

    Returns:
        [P] float64 from 0 to 1.
    """
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
