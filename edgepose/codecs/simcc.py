"""SimCC: two vectors per joint, one for each axis of the crop. The written definition, in plain numpy.

Li et al., "SimCC: a Simple Coordinate Classification Perspective for Human Pose Estimation", ECCV 2022,
section 3; RTMPose (Jiang et al., 2023) has this head. Every crop pixel is cut into `split` bins, and bin i
stands for the crop coordinate i / split, so a crop W wide has W * split bins.

The definition decoded here is mmpose's (`get_simcc_maximum`): the highest bin on each axis, the score the
lower of the two maxima. rtmlib uses their mean as the score, and both move a joint whose score is not above 0 to
(-1, -1); here the joint stays where its vectors have their maxima, with its score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from msgspec import Meta

from edgepose._checks import Array, check_array
from edgepose.codecs import heatmap
from edgepose.codecs.codec import Axis, Codec
from edgepose.codecs.overflow import refuse_overflow
from edgepose.codecs.refine import bell
from edgepose.errors import SpecError
from edgepose.pose.geometry import Size, apply_affine

if TYPE_CHECKING:
    from edgepose.artifacts.spec import InputSpec, ModelSpec
    from edgepose.kernels.cuda import DeviceArray, Launch
    from edgepose.pose.skeletons import Skeleton


def bins(size: Size, split: float) -> Size:
    """Return the numbers of bins (y, x) of a crop.

    Args:
        size: (height, width) of the crop.
        split: The number of bins per crop pixel.
    """
    return round(size[0] * split), round(size[1] * split)


def encode(
    xy_crop: Array,  # [..., K, 2] float
    labeled: Array,  # [..., K] bool
    size: Size,
    split: float,
    sigma: float,
) -> tuple[Array, Array]:
    """Draw a Gaussian of peak 1 at each joint, on each axis.

    The center of a Gaussian is continuous, where the paper rounds it to a bin.

    Args:
        xy_crop: [..., K, 2] float, crop pixels.
        labeled: [..., K] bool.
        size: (height, width) of the crop.
        split: The number of bins per crop pixel.
        sigma: The standard deviation, bins.

    Returns:
        x [..., K, Wx] and y [..., K, Wy], float32. Both are zero where the joint is not labeled, not finite, or more
        than 3 sigma outside.
    """
    height, width = bins(size, split)
    xy_bins = np.asarray(xy_crop) * split
    seen = heatmap.visible(xy_bins, labeled, (height, width), sigma)
    center = np.where(seen[..., None], xy_bins, 0.0).astype(np.float32)
    x = bell(np.arange(width, dtype=np.float32), center[..., 0], sigma) * seen[..., None]
    y = bell(np.arange(height, dtype=np.float32), center[..., 1], sigma) * seen[..., None]
    return np.asarray(x), np.asarray(y)


def decode(
    x: Array,  # [N, K, Wx] float32 or float16
    y: Array,  # [N, K, Wy]
    split: float,
) -> tuple[Array, Array]:
    """Find the highest bin on each axis, the lowest index where several are equal.

    Args:
        x: [N, K, Wx] float32 or float16.
        y: [N, K, Wy] float32 or float16.
        split: The number of bins per crop pixel.

    Returns:
        xy_crop [N, K, 2] float32, and scores [N, K] float32, the lower of the two maxima.

    Raises:
        ModelError: If a maximum is NaN or infinity.
    """
    sizes = check_array("x", x, ("N", "K", "Wx"))
    check_array("y", y, (sizes["N"], sizes["K"], "Wy"))
    found = [_highest(vectors) for vectors in (x, y)]
    xy_crop = np.stack([at for at, _ in found], axis=-1) / split
    return xy_crop.astype(np.float32), np.minimum(found[0][1], found[1][1])


def _highest(vectors: Array) -> tuple[Array, Array]:
    """([N, K] index, [N, K] float32 value) of the highest bin. argmax stops at a NaN, so none can hide."""
    vectors = np.asarray(vectors, np.float32)
    at = vectors.argmax(axis=-1)
    peaks = np.take_along_axis(vectors, at[..., None], axis=-1)[..., 0]
    refuse_overflow(peaks, "SimCC vectors")
    return at, peaks


def decode_to_image(
    x: Array,  # [N, K, Wx]
    y: Array,  # [N, K, Wy]
    inverse: Array,  # [N, 2, 3] float, crop -> image
    split: float,
) -> tuple[Array, Array]:
    """Find the joints of SimCC vectors in the image.

    Args:
        x: [N, K, Wx] float32 or float16.
        y: [N, K, Wy] float32 or float16.
        inverse: [N, 2, 3] float, crop -> image.
        split: The number of bins per crop pixel.

    Returns:
        xy_image [N, K, 2] float32 and scores [N, K] float32.

    Raises:
        ModelError: As `decode`.
    """
    check_array("inverse", inverse, (len(x), 2, 3))
    xy_crop, scores = decode(x, y, split)
    return apply_affine(np.asarray(inverse, np.float64), xy_crop).astype(np.float32), scores


def merge_flip(
    vectors: tuple[Array, Array],  # x [N, K, Wx], y [N, K, Wy]
    flipped: tuple[Array, Array],
    flip_order: Sequence[int],
    split: float,
) -> tuple[Array, Array]:
    """Average vectors with those of the mirrored crops, mirrored back.

    Bin i stands for i / split, so its mirror is bin Wx - split - i (the nearest bin where `split` is not a whole
    number). Plain reversal, as in the published code, is off by split - 1 bins. The bins right of the last pixel's
    center have no mirror and are averaged with bin 0.

    Args:
        vectors: x [N, K, Wx] and y [N, K, Wy].
        flipped: The same for crops mirrored by x -> W - 1 - x.
        flip_order: `Skeleton.flip_order()`.
        split: The number of bins per crop pixel.

    Returns:
        x and y, float32.
    """
    for name, mine, other in zip("xy", vectors, flipped, strict=True):
        check_array(f"flipped {name}", other, mine.shape)
    x, y = vectors
    order, width = list(flip_order), x.shape[-1]
    mirror = np.rint(width - split - np.arange(width)).astype(int).clip(0, width - 1)
    return _mean(x, flipped[0][:, order][..., mirror]), _mean(y, flipped[1][:, order])


def _mean(a: Array, b: Array) -> Array:
    return np.asarray((a.astype(np.float32) + b) * np.float32(0.5))


@dataclass(frozen=True, kw_only=True)
class SimccCodec(Codec):
    """Two vectors per joint, one for each axis of the crop.

    Attributes:
        split: The number of bins per crop pixel.
    """

    name: ClassVar[str] = "simcc"
    decodes: ClassVar[tuple[str, ...]] = ("x vectors", "y vectors")
    output_names: ClassVar[tuple[str, ...]] = ("simcc_x", "simcc_y")

    split: Annotated[float, Meta(ge=1)] = 2.0

    def shapes(self, skeleton: Skeleton, input: InputSpec) -> tuple[tuple[Axis, ...], ...]:
        """Return the shapes of the decoded outputs for one image, see `Codec.shapes`."""
        joints, (rows, columns) = len(skeleton), bins(input.size, self.split)
        return ((joints,), (columns,)), ((joints,), (rows,))

    def decode(
        self, outputs: Sequence[Array], flipped: Sequence[Array] | None, inverse: Array, contract: ModelSpec
    ) -> Array:
        """Turn outputs into joints in the image, see `Codec.decode`."""
        from edgepose.kernels import simcc_peak

        x, y = outputs if flipped is None else self.merge_flip(outputs, flipped, contract)
        return simcc_peak(x, y, inverse, self.split)

    def merge_flip(self, outputs: Sequence[Array], flipped: Sequence[Array], contract: ModelSpec) -> tuple[Array, ...]:
        """Average the outputs with those for the mirrored crops, see `Codec.merge_flip`."""
        (x, y), (flipped_x, flipped_y) = outputs, flipped
        return merge_flip((x, y), (flipped_x, flipped_y), contract.skeleton.flip_order(), self.split)

    def check_network(self, outputs: Sequence[Array], contract: ModelSpec, where: str) -> None:
        """Check what a network trained elsewhere returns, see `Codec.check_network`."""
        shapes = [list(output.shape) for output in outputs[:2]]
        joints, (rows, columns) = len(contract.skeleton), bins(contract.input.size, self.split)
        expected = [[1, joints, columns], [1, joints, rows]]
        if shapes != expected and (hint := self._hint(shapes, expected, contract)):
            names = " and ".join(f"{name!r} {shape}" for name, shape in zip(contract.outputs[:2], shapes, strict=True))
            raise SpecError(f"{where}: its outputs {names} are not the x and y vectors {expected}; {hint}")
        super().check_network(outputs, contract, where)

    def _hint(self, shapes: list[list[int]], expected: list[list[int]], contract: ModelSpec) -> str | None:
        """Return what to change in the contract so that the shapes fit, or None where that is not known."""
        if shapes == expected[::-1]:
            return f"exchange them: outputs = {[*contract.outputs[1::-1], *contract.outputs[2:]]}"
        if any(len(shape) != 3 or shape[:2] != wanted[:2] for shape, wanted in zip(shapes, expected, strict=True)):
            return None
        height, width = contract.input.size
        for first, second, also in ((width, height, ""), (height, width, ", and exchange the outputs")):
            split = shapes[0][2] / first
            if split >= 1 and split == shapes[1][2] / second:
                return f"they fit codec.split = {split:g}{also}"
        return None

    def device_problem(self, flip_test: bool) -> str | None:
        """Say why outputs cannot be decoded on the device, see `Codec.device_problem`."""
        return "a flip test of codec 'simcc' is merged on the CPU" if flip_test else None

    def device_affines(self, inverse: Array, map_size: Size, contract: ModelSpec) -> Array:
        """Return the matrices for `device_decoder`, see `Codec.device_affines`."""
        from edgepose.kernels import cuda

        return cuda.simcc_affines(inverse, self.split)

    def device_decoder(
        self,
        outputs: Sequence[DeviceArray],
        flipped: tuple[Sequence[DeviceArray], DeviceArray] | None,
        affines: DeviceArray,
        joints: DeviceArray,
    ) -> Launch:
        """Return the kernel launch that decodes on the device, see `Codec.device_decoder`."""
        from edgepose.kernels import cuda

        return cuda.simcc_peak(outputs[0], outputs[1], affines, joints)
