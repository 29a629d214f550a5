"""Crop people out of an image as the contract of a network describes it.

Calibration, evaluation, training and deployment call these functions, so that a network sees the same pixels in all
of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.kernels.image import warp_normalize
from edgepose.kernels.options import options_of
from edgepose.pose.geometry import Size, crop_affine, invert_affine, letterbox_affine

if TYPE_CHECKING:
    from edgepose.artifacts.spec import ModelSpec


def crop_matrices(boxes_xyxy: Array, spec: ModelSpec) -> Array:
    """Return the matrices that map an image to the crops of its people.

    Args:
        boxes_xyxy: Bounding boxes, [N, 4] float, in image pixels.
        spec: The contract. `input.size` and, of `crop`, `padding`, `place` and `resize` decide the crop.

    Returns:
        The matrices image -> crop, [N, 2, 3] float64.

    Raises:
        ValueError: The boxes have another shape or are not finite.
    """
    check_array("boxes_xyxy", boxes_xyxy, ("N", 4))
    matrices = [_crop_matrix(box, spec) for box in boxes_xyxy]
    return np.stack(matrices) if matrices else np.zeros((0, 2, 3))


def _crop_matrix(box_xyxy: Array, spec: ModelSpec) -> Array:
    """Return the matrix image -> crop of one box, [2, 3]."""
    crop = spec.crop
    if (crop.place, crop.resize) == ("center", "exact"):
        return crop_affine(box_xyxy, spec.input.size, padding=crop.padding)
    low, high = np.asarray(box_xyxy[:2], np.float64), np.asarray(box_xyxy[2:], np.float64)
    margin = (crop.padding - 1) / 2 * (high - low)
    grown = np.concatenate([low - margin, high + margin])
    return letterbox_affine(grown, spec.input.size, place=crop.place, resize=crop.resize)


def frame_box(size: Size) -> Array:
    """Return the bounding box of a whole frame.

    Args:
        size: The (height, width) of the frame in pixels.

    Returns:
        One box from edge to edge, [1, 4] float32 xyxy.
    """
    height, width = size
    return np.array([[-0.5, -0.5, width - 0.5, height - 0.5]], np.float32)


def crops_at(image: Array, matrices: Array, spec: ModelSpec, threads: int = 1) -> Array:
    """Cut crops out of an image and convert their pixels to the input of the network.

    Args:
        image: The image, [H, W, 3] uint8 BGR.
        matrices: The matrices image -> crop, [N, 2, 3] float.
        spec: The contract.
        threads: CPU threads to use; 0 is one for each core.

    Returns:
        The input of the network, [N, 3, h, w] float32, or in the layout and dtype of the contract.
    """
    return warp_normalize(image, matrices, spec.input, options_of(spec, threads))


def cut(image: Array, boxes_xyxy: Array, spec: ModelSpec, threads: int = 1) -> tuple[Array, Array]:
    """Cut the people of an image out of it.

    Args:
        image: The image, [H, W, 3] uint8 BGR.
        boxes_xyxy: Bounding boxes, [N, 4] float, in image pixels.
        spec: The contract.
        threads: CPU threads to use; 0 is one for each core.

    Returns:
        A pair: the input of the network, [N, 3, h, w] float32, or in the layout and dtype of the contract, and the
        matrices crop -> image, [N, 2, 3] float64.
    """
    matrices = crop_matrices(boxes_xyxy, spec)
    return crops_at(image, matrices, spec, threads), invert_affine(matrices)
