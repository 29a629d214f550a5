"""Decode the outputs of a network on the CPU: the dispatch by the codec of the contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec
from edgepose.codecs import heatmap, paf, pictorial, regression, simcc
from edgepose.kernels import heatmap_peak, paf_peaks, paf_score, regress_to_image, simcc_peak
from edgepose.pose.geometry import box_of_joints, compose_affine, grid_affine

Outputs = list[Array]  # the decoded outputs, in the order of the contract


class People(NamedTuple):
    """The people that a network found by itself.

    Attributes:
        xy_image: Joints in image pixels, [P, K, 2] float32.
        scores: Their scores, [P, K] float32; 0 where a joint was not found.
        boxes_xyxy: The boxes of the joints found, [P, 4] float32.
        box_scores: The scores of the people, [P] float32.
    """

    xy_image: Array
    scores: Array
    boxes_xyxy: Array
    box_scores: Array


def finds_people(spec: ModelSpec) -> bool:
    """Return whether a network finds people in a whole frame by itself, without bounding boxes."""
    return spec.codec.type == "paf"


def check_flip_test(spec: ModelSpec) -> None:
    """Raise SpecError where the outputs of the mirrored image cannot be merged: a limb has no mirror image."""
    if spec.codec.type == "paf":
        paf.mirrored_limbs(np.array(spec.skeleton.limb_indices()), spec.skeleton.flip_order())


def decode(spec: ModelSpec, plain: Outputs, flipped: Outputs | None, inverse: Array) -> Array | People:
    """Decode outputs to joints or people.

    Args:
        spec: The contract.
        plain: The outputs that `outputs_of` returns for N crops or frames.
        flipped: The outputs for the mirrored crops in a flip test, or None.
        inverse: The matrices crop -> image, [N, 2, 3].

    Returns:
        Joints, [N, K, 3] float32 of x, y in image pixels and score; `People` where the network finds them itself.

    Raises:
        ModelError: The network overflowed, or finds more joints than the capacity of the contract.
    """
    return DECODERS[spec.codec.type](spec, plain, flipped, inverse)


def _decode_heatmap(spec: ModelSpec, plain: Outputs, flipped: Outputs | None, inverse: Array) -> Array:
    mirrored = None if flipped is None else (flipped[0], spec.skeleton.flip_order())
    if spec.codec.pictorial is not None:
        maps = plain[0] if mirrored is None else heatmap.merge_flip(plain[0], *mirrored)
        return pictorial.joints_in_image(maps, inverse, spec.input.size, spec.codec)
    return heatmap_peak(plain[0], inverse, spec.input.size, spec.codec.decode, sigma=spec.codec.sigma, flipped=mirrored)


def _decode_simcc(spec: ModelSpec, plain: Outputs, flipped: Outputs | None, inverse: Array) -> Array:
    x, y = plain
    if flipped is not None:
        order, split = spec.skeleton.flip_order(), spec.codec.split
        x, y = simcc.merge_flip((x, y), (flipped[0], flipped[1]), order, split)
    return simcc_peak(x, y, inverse, spec.codec.split)


def _decode_regression(spec: ModelSpec, plain: Outputs, flipped: Outputs | None, inverse: Array) -> Array:
    coords = plain[0]
    if flipped is not None:
        coords = regression.merge_flip(coords, flipped[0], spec.skeleton.flip_order(), spec.codec.range)
    return regress_to_image(coords, inverse, spec.input.size, spec.codec.range)


def _decode_paf(spec: ModelSpec, plain: Outputs, flipped: Outputs | None, inverse: Array) -> People:
    codec, limbs = spec.codec, np.array(spec.skeleton.limb_indices())
    maps, fields = _maps(plain, spec, limbs)
    if flipped is not None:
        mirrored = _maps(flipped, spec, limbs)
        maps, fields = paf.merge_flip((maps, fields), mirrored, limbs, spec.skeleton.flip_order())
    peaks, counts = paf_peaks(maps, codec.peak_threshold, codec.capacity)
    scores = paf_score(fields, peaks, counts, limbs, codec.limb_samples, codec.limb_threshold, codec.limb_ratio)
    to_image = compose_affine(inverse[0], grid_affine((maps.shape[1], maps.shape[2]), spec.input.size))
    xy_image, found, sure = paf.people_in_image(peaks, counts, scores, limbs, to_image, codec)
    boxes = [box_of_joints(xy, score > 0) for xy, score in zip(xy_image, found, strict=True)]
    return People(xy_image, found, np.array(boxes, np.float32).reshape(-1, 4), sure)


def _maps(outputs: Outputs, spec: ModelSpec, limbs: Array) -> tuple[Array, Array]:
    """Return (maps [K, h, w] without a background map, fields [L, 2, h, w])."""
    maps, fields = outputs
    return maps[0, : len(spec.skeleton)], fields.reshape(len(limbs), 2, *fields.shape[2:])


DECODERS: dict[str, Callable[[ModelSpec, Outputs, Outputs | None, Array], Array | People]] = {
    "heatmap": _decode_heatmap,
    "simcc": _decode_simcc,
    "regression": _decode_regression,
    "paf": _decode_paf,
}
