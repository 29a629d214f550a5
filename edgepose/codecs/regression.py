"""Regressed coordinates: two numbers per joint. The written definition, in plain numpy.

DeepPose (Toshev & Szegedy, CVPR 2014, section 3.1) normalizes by the person's box: the box's center is 0,
its edges are -0.5 and 0.5 ('centered'). Later regressors count from the crop's corner instead, 0 to 1
('unit'). A crop of W pixels spans [-0.5, W - 0.5] (pose/geometry.py), so u is the crop coordinate
(u + 0.5) * W - 0.5 or u * W - 0.5. A joint outside the crop has a u outside the range, which is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.artifacts.tables import choose
from edgepose.codecs.codec import Axis, Codec
from edgepose.codecs.overflow import refuse_overflow
from edgepose.errors import SpecError, nearest
from edgepose.pose.geometry import Size, apply_affine

if TYPE_CHECKING:
    from edgepose.artifacts.spec import InputSpec, ModelSpec
    from edgepose.kernels.cuda import DeviceArray, Launch
    from edgepose.pose.skeletons import Skeleton

# range -> u of the crop's left and top edges
RANGES = {"centered": -0.5, "unit": 0.0}


def encode(xy_crop: Array, crop_size: Size, range: str = "centered") -> Array:
    """Return coordinates as the network gives them.

    Args:
        xy_crop: [..., K, 2] float, crop pixels.
        crop_size: (height, width) of the crop.
        range: The contract's `range`.

    Returns:
        [..., K, 2] float32.
    """
    return np.asarray((np.asarray(xy_crop, np.float64) + 0.5) / crop_size[::-1] + low(range), np.float32)


def decode(
    coords: Array,  # [N, K, 2] float32 or float16, or [N, K, 3] with a score
    crop_size: Size,
    range: str = "centered",
) -> tuple[Array, Array]:
    """Convert regressed coordinates to crop pixels.

    Args:
        coords: [N, K, 2] float, or [N, K, 3] with a score.
        crop_size: (height, width) of the crop.
        range: The contract's `range`.

    Returns:
        xy_crop [N, K, 2] float32, and scores [N, K] float32, which are 1 where the network gives none.

    Raises:
        SpecError: If the range is unknown.
        ModelError: If a number is NaN or infinity.
    """
    edge, channels = low(range), 3 if np.shape(coords)[-1:] == (3,) else 2
    check_array("coords", coords, ("N", "K", channels))
    refuse_overflow(coords, "coordinates")
    xy_crop = (coords[..., :2].astype(np.float64) - edge) * crop_size[::-1] - 0.5
    scores = coords[..., 2] if channels == 3 else np.ones(coords.shape[:2])
    return xy_crop.astype(np.float32), scores.astype(np.float32)


def decode_to_image(
    coords: Array,  # [N, K, 2] or [N, K, 3]
    inverse: Array,  # [N, 2, 3] float, crop -> image
    crop_size: Size,
    range: str = "centered",
) -> tuple[Array, Array]:
    """Convert regressed coordinates to image pixels.

    Args:
        coords: [N, K, 2] float, or [N, K, 3] with a score.
        inverse: [N, 2, 3] float, crop -> image.
        crop_size: (height, width) of the crop.
        range: The contract's `range`.

    Returns:
        xy_image [N, K, 2] float32 and scores [N, K] float32.

    Raises:
        SpecError: As `decode`.
        ModelError: As `decode`.
    """
    check_array("inverse", inverse, (len(coords), 2, 3))
    xy_crop, scores = decode(coords, crop_size, range)
    return apply_affine(np.asarray(inverse, np.float64), xy_crop).astype(np.float32), scores


def merge_flip(coords: Array, flipped: Array, flip_order: Sequence[int], range: str = "centered") -> Array:
    """Average coordinates with those of the mirrored crops, mirrored back; scores are averaged too.

    The mirror of u is -u for range 'centered' and 1 - u for 'unit'.

    Args:
        coords: [N, K, 2] or [N, K, 3] float.
        flipped: The same for crops mirrored by x -> W - 1 - x.
        flip_order: `Skeleton.flip_order()`.
        range: The contract's `range`.

    Returns:
        The mean, float32, in the shape of `coords`.
    """
    check_array("flipped", flipped, coords.shape)
    back = flipped[:, list(flip_order)].astype(np.float32)
    back[..., 0] = np.float32(2 * low(range) + 1) - back[..., 0]
    return np.asarray((coords.astype(np.float32) + back) * np.float32(0.5))


def low(range: str) -> float:
    """Return the coordinate of a crop's left and top edges.

    Args:
        range: The contract's `range`.

    Raises:
        SpecError: If the range is unknown.
    """
    if range not in RANGES:
        raise SpecError(f"codec.range = {range!r}{nearest(range, RANGES)}")
    return RANGES[range]


@dataclass(frozen=True, kw_only=True)
class RegressionCodec(Codec):
    """Two coordinates per joint, and a score where the network gives one.

    Attributes:
        range: What the coordinates count in: 'centered' is -0.5 to 0.5 over the crop, 'unit' is 0 to 1.
    """

    name: ClassVar[str] = "regression"
    decodes: ClassVar[tuple[str, ...]] = ("coordinates",)
    output_names: ClassVar[tuple[str, ...]] = ("coordinates",)

    range: str = "centered"

    def check(self, skeleton: Skeleton, input: InputSpec, outputs: Sequence[str], where: str) -> None:
        """Check the parameters against the rest of the contract, see `Codec.check`."""
        super().check(skeleton, input, outputs, where)
        choose(self.range, RANGES, "codec.range", where)

    def shapes(self, skeleton: Skeleton, input: InputSpec) -> tuple[tuple[Axis, ...], ...]:
        """Return the shapes of the decoded outputs for one image, see `Codec.shapes`."""
        return (((len(skeleton),), (2, 3)),)

    def decode(
        self, outputs: Sequence[Array], flipped: Sequence[Array] | None, inverse: Array, contract: ModelSpec
    ) -> Array:
        """Turn outputs into joints in the image, see `Codec.decode`."""
        from edgepose.kernels import regress_to_image

        (coords,) = outputs if flipped is None else self.merge_flip(outputs, flipped, contract)
        return regress_to_image(coords, inverse, contract.input.size, self.range)

    def merge_flip(self, outputs: Sequence[Array], flipped: Sequence[Array], contract: ModelSpec) -> tuple[Array, ...]:
        """Average the outputs with those for the mirrored crops, see `Codec.merge_flip`."""
        return (merge_flip(outputs[0], flipped[0], contract.skeleton.flip_order(), self.range),)

    def device_problem(self, flip_test: bool) -> str | None:
        """Say why outputs cannot be decoded on the device, see `Codec.device_problem`."""
        return "a flip test of codec 'regression' is merged on the CPU" if flip_test else None

    def device_affines(self, inverse: Array, map_size: Size, contract: ModelSpec) -> Array:
        """Return the matrices for `device_decoder`, see `Codec.device_affines`."""
        from edgepose.kernels import cuda

        return cuda.regress_affines(inverse, contract.input.size, self.range)

    def device_decoder(
        self,
        outputs: Sequence[DeviceArray],
        flipped: tuple[Sequence[DeviceArray], DeviceArray] | None,
        affines: DeviceArray,
        joints: DeviceArray,
    ) -> Launch:
        """Return the kernel launch that decodes on the device, see `Codec.device_decoder`."""
        from edgepose.kernels import cuda

        return cuda.regress_to_image(outputs[0], affines, joints)
