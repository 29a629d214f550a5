"""Heatmaps: one map per joint, a Gaussian at the joint. The written definition, in plain numpy.

Targets as in SimpleBaseline (Xiao et al., ECCV 2018, section 3), with the center kept continuous instead
of rounded. Decoding takes the highest pixel and refines it: 'quarter' (Newell et al., ECCV 2016, section
3.2), 'dark' (Zhang et al., CVPR 2020, "Distribution-aware coordinate representation", section 3.2), 'udp'
(Huang et al., CVPR 2020, "The devil is in the details", and its published code), or 'argmax' for none.

Coordinates are heatmap pixels with centers at integers. Which crop coordinate one stands for is a convention of the
code that trained the network: `codecs.grids` answers it, for training targets as for decoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from msgspec import Meta

from edgepose._checks import Array, check_array
from edgepose.artifacts.tables import choose
from edgepose.codecs.codec import Axis, Codec
from edgepose.codecs.flips import merge_flip
from edgepose.codecs.grids import GRIDS, check_method, implied_grid, mirror_shift, to_crop
from edgepose.codecs.mistaken import candidates, mistaken
from edgepose.codecs.overflow import refuse_overflow
from edgepose.codecs.refine import REFINEMENTS, bell, starts
from edgepose.codecs.springs import PictorialSpec
from edgepose.errors import ModelError, SpecError
from edgepose.pose.geometry import Size

if TYPE_CHECKING:
    from typing_extensions import Self

    from edgepose.artifacts.spec import InputSpec, ModelSpec
    from edgepose.kernels.cuda import DeviceArray, Launch
    from edgepose.pose.skeletons import Skeleton

REACH = 3.0  # sigmas; a joint further outside the map than this leaves no trace in it


def encode(
    xy_heatmap: Array,  # [..., K, 2] float
    labeled: Array,  # [..., K] bool
    size: Size,
    sigma: float,
) -> Array:
    """Draw a Gaussian of peak 1 at each joint, its center not rounded to a pixel.

    Args:
        xy_heatmap: [..., K, 2] float, heatmap pixels.
        labeled: [..., K] bool.
        size: (height, width) of the heatmaps.
        sigma: The standard deviation, heatmap pixels.

    Returns:
        [..., K, h, w] float32. A map is zero where the joint is not labeled, not finite, or more than 3 sigma outside;
        `visible` masks such joints out of a loss.
    """
    seen = visible(xy_heatmap, labeled, size, sigma)
    center = np.where(seen[..., None], xy_heatmap, 0.0).astype(np.float32)
    across = bell(np.arange(size[1], dtype=np.float32), center[..., 0], sigma)
    down = bell(np.arange(size[0], dtype=np.float32), center[..., 1], sigma) * seen[..., None]
    return np.asarray(down[..., None] * across[..., None, :])


def visible(xy_heatmap: Array, labeled: Array, size: Size, sigma: float) -> Array:
    """Return which joints have a Gaussian that reaches into the map: labeled, and at most 3 sigma outside.

    Args:
        xy_heatmap: [..., K, 2] float, heatmap pixels.
        labeled: [..., K] bool.
        size: (height, width) of the heatmaps.
        sigma: The standard deviation, heatmap pixels.

    Returns:
        [..., K] bool; False for a joint at NaN.
    """
    last = np.array([size[1], size[0]]) - 0.5
    reach = REACH * sigma
    inside = (xy_heatmap >= -0.5 - reach) & (xy_heatmap <= last + reach)  # False for NaN
    return np.asarray(labeled & inside[..., 0] & inside[..., 1], bool)


def decode(heatmaps: Array, method: str = "quarter", *, sigma: float = 2.0) -> tuple[Array, Array]:
    """Find the joints of heatmaps: the highest pixel (the lowest index where several are equal), refined.

    Args:
        heatmaps: [N, K, h, w] float.
        method: How the pixel is refined: 'quarter', 'dark', 'udp' or 'argmax'.
        sigma: The standard deviation that the network was trained with, heatmap pixels; only 'dark' and 'udp' use it.

    Returns:
        xy_heatmap [N, K, 2] float32, and scores [N, K] float32, the values of the highest pixels.

    Raises:
        SpecError: If the method is unknown.
        ModelError: If the highest pixel of a map is NaN or infinity.
    """
    height, width = check_maps(heatmaps)
    check_method(method)
    n, joints = heatmaps.shape[:2]
    maps = np.ascontiguousarray(heatmaps, np.float32).reshape(n * joints, height, width)
    at = maps.reshape(n * joints, height * width).argmax(axis=1)
    scores = maps.ravel()[starts(maps) + at]
    refuse_overflow(scores, "heatmaps")  # argmax stops at a NaN, so none can hide
    y, x = np.divmod(at, width)
    xy = np.empty((n * joints, 2), np.float32)
    xy[:, 0], xy[:, 1] = x, y
    REFINEMENTS[method](maps, x, y, sigma, xy)
    return xy.reshape(n, joints, 2), scores.reshape(n, joints)


def check_maps(heatmaps: Array) -> Size:
    """Check the shape of heatmaps [N, K, h, w].

    Args:
        heatmaps: The heatmaps.

    Returns:
        (height, width) of a map.

    Raises:
        ValueError: If the shape is another, or a map has no pixel.
    """
    if heatmaps.ndim != 4:
        check_array("heatmaps", heatmaps, ("N", "K", "h", "w"))
    height, width = heatmaps.shape[2:]
    if not height * width:
        raise ValueError(f"heatmaps: expected at least one pixel a map, got {list(heatmaps.shape)}")
    return height, width


def decode_to_image(
    heatmaps: Array,  # [N, K, h, w]
    inverse: Array,  # [N, 2, 3] float, crop -> image
    crop_size: Size,
    method: str = "quarter",
    *,
    sigma: float = 2.0,
    grid: str | None = None,
    offset: float = 0.0,
) -> tuple[Array, Array]:
    """Find the joints of heatmaps in the image.

    Args:
        heatmaps: [N, K, h, w] float.
        inverse: [N, 2, 3] float, crop -> image.
        crop_size: (height, width) of the crops.
        method: As in `decode`.
        sigma: As in `decode`.
        grid: The contract's `grid`, see `to_crop`.
        offset: The contract's `offset`, crop pixels.

    Returns:
        xy_image [N, K, 2] float32 and scores [N, K] float32.

    Raises:
        SpecError: As `decode`.
        ModelError: As `decode`.
    """
    check_array("inverse", inverse, (len(heatmaps), 2, 3))
    xy_heatmap, scores = decode(heatmaps, method, sigma=sigma)
    height, width = heatmaps.shape[2:]
    placed = to_crop(method, (height, width), crop_size, grid, offset)
    linear = inverse[:, :, :2] @ placed[:, :2]
    shift = inverse[:, :, :2] @ placed[:, 2] + inverse[:, :, 2]
    xy_image = xy_heatmap @ linear.transpose(0, 2, 1) + shift[:, None]
    return xy_image.astype(np.float32), scores


@dataclass(frozen=True, kw_only=True)
class HeatmapCodec(Codec):
    """One heatmap per joint.

    Attributes:
        refine: `decode` in the contract: how a peak is refined, 'quarter', 'dark', 'udp' or 'argmax'.
        sigma: The standard deviation of the Gaussians that the network was trained with, in heatmap pixels.
        rule: `grid` in the contract: which crop coordinate a heatmap pixel stands for, 'centers', 'stride' or
            'corners' (see `grid`). None is 'corners' for decode 'udp', else 'centers'.
        offset: What is added to x and y of that crop coordinate, in crop pixels: a measured offset that fits no rule.
        pictorial: The tree of springs whose best body chooses the peaks; None lets each heatmap choose its own.
    """

    name: ClassVar[str] = "heatmap"
    decodes: ClassVar[tuple[str, ...]] = ("heatmaps",)
    output_names: ClassVar[tuple[str, ...]] = ("heatmaps",)

    refine: str = field(default="quarter", metadata={"key": "decode"})  # `decode` is the method
    sigma: Annotated[float, Meta(gt=0)] = 2.0
    pictorial: PictorialSpec | None = None
    rule: str | None = field(default=None, metadata={"key": "grid"})  # `grid` is the function
    offset: float = 0.0

    @classmethod
    def read(cls, table: dict[str, Any], where: str) -> Self:
        """Read the parameters from a contract, see `Codec.read`."""
        if table.get("pictorial", ...) is None:
            raise SpecError(f"{where}: codec.pictorial = None; give a table, or leave it out")
        return super().read(table, where)

    def parameters(self) -> dict[str, Any]:
        """Return the parameters as JSON values, without a grid and an offset that change nothing."""
        values = super().parameters()
        # Contracts from before these keys existed keep their hash.
        if values["offset"] == 0:
            del values["offset"]
        if values.get("grid") == implied_grid(self.refine):
            del values["grid"]
        return values

    def to_crop(self, size: Size, crop_size: Size) -> Array:
        """Return the affine map from the pixels of heatmaps to those of the crop, [2, 3] float64.

        Args:
            size: (height, width) of the heatmaps.
            crop_size: (height, width) of the crop.
        """
        return to_crop(self.refine, size, crop_size, self.rule, self.offset)

    def symmetric(self) -> bool:
        """Return whether the maps of mirrored crops lie on the pixels of the others, for every size of the crop."""
        return self.offset == 0 and (self.rule or implied_grid(self.refine)) != "stride"

    def mirror_shift(self, size: Size, crop_size: Size) -> float:
        """Return `mirror_shift` of the grid for heatmaps and crops of these sizes, heatmap pixels."""
        return mirror_shift(self.to_crop(size, crop_size), size[1], crop_size[1])

    def check(self, skeleton: Skeleton, input: InputSpec, outputs: Sequence[str], where: str) -> None:
        """Check the parameters against the rest of the contract, see `Codec.check`."""
        super().check(skeleton, input, outputs, where)
        choose(self.refine, REFINEMENTS, "codec.decode", where)
        if self.rule is not None:
            choose(self.rule, GRIDS, "codec.grid", where)
        if abs(self.offset) > max(input.size):
            raise SpecError(f"{where}: codec.offset = {self.offset:g} is larger than the crop; it counts crop pixels")
        problem = "" if self.pictorial is None else self.pictorial.problem(len(skeleton))
        if problem:
            raise SpecError(f"{where}: codec.pictorial: {problem}")

    def shapes(self, skeleton: Skeleton, input: InputSpec) -> tuple[tuple[Axis, ...], ...]:
        """Return the shapes of the decoded outputs for one image, see `Codec.shapes`."""
        return (((len(skeleton),), "h", "w"),)

    def decode(
        self, outputs: Sequence[Array], flipped: Sequence[Array] | None, inverse: Array, contract: ModelSpec
    ) -> Array:
        """Turn outputs into joints in the image, see `Codec.decode`."""
        from edgepose.kernels import heatmap_peak

        size, order = contract.input.size, contract.skeleton.flip_order()
        if self.pictorial is not None:
            return self._best_bodies(outputs, flipped, inverse, contract)
        maps, mirrored = outputs[0], None if flipped is None else (flipped[0], order)
        if flipped is not None and not self.symmetric():
            (maps,), mirrored = self.merge_flip(outputs, flipped, contract), None
        return heatmap_peak(
            maps, inverse, size, self.refine, sigma=self.sigma, grid=self.rule, offset=self.offset, flipped=mirrored
        )

    def _best_bodies(
        self, outputs: Sequence[Array], flipped: Sequence[Array] | None, inverse: Array, contract: ModelSpec
    ) -> Array:
        from edgepose.codecs import pictorial

        (maps,) = outputs if flipped is None else self.merge_flip(outputs, flipped, contract)
        return pictorial.joints_in_image(maps, inverse, contract.input.size, self)

    def merge_flip(self, outputs: Sequence[Array], flipped: Sequence[Array], contract: ModelSpec) -> tuple[Array, ...]:
        """Average the outputs with those for the mirrored crops, see `Codec.merge_flip`."""
        height, width = outputs[0].shape[2:]
        shift = self.mirror_shift((height, width), contract.input.size)
        return (merge_flip(outputs[0], flipped[0], contract.skeleton.flip_order(), shift),)

    def check_network(self, outputs: Sequence[Array], contract: ModelSpec, where: str) -> None:
        """Check what a network trained elsewhere returns, see `Codec.check_network`."""
        shape, output = list(outputs[0].shape), contract.outputs[0]
        (height, width), joints = contract.input.size, len(contract.skeleton)
        fits = len(shape) == 4 and shape[:2] == [1, joints] and min(shape[2:]) >= 2
        if not fits and (form := mistaken(shape, contract)):
            raise ModelError(f"{where}: its output {output!r} of shape {shape} {form}")
        if len(shape) != 4 or shape[0] != 1 or min(shape[2:]) < 2:
            raise ModelError(
                f"{where} is not a heatmap network: its output {output!r} has shape {shape} for one image, "
                f"expected [1, {joints}, h, w]"
            )
        if shape[1] != joints:
            raise SpecError(
                f"{where} gives {shape[1]} maps ({output!r} is {shape}), but the skeleton "
                f"{contract.skeleton.name!r} has {joints} joints; name the skeleton that it was trained for"
                f"{candidates(shape[1])}"
            )
        if shape[2] * width != shape[3] * height or shape[2] > height:
            turned = shape[3] * width == shape[2] * height and shape[3] <= height
            hint = "; their height and width are exchanged: add a Transpose behind the output" if turned else ""
            raise ModelError(f"{where}: maps of {shape[2:]} do not cover an input of {[height, width]} evenly{hint}")

    def device_problem(self, flip_test: bool) -> str | None:
        """Say why outputs cannot be decoded on the device, see `Codec.device_problem`."""
        if self.pictorial is not None:
            return "the springs of codec 'heatmap' are decoded on the CPU"
        if flip_test and not self.symmetric():
            return "a flip test of maps whose grid is not symmetric is merged on the CPU"
        return None

    def device_affines(self, inverse: Array, map_size: Size, contract: ModelSpec) -> Array:
        """Return the matrices for `device_decoder`, see `Codec.device_affines`."""
        from edgepose.kernels import cuda

        return cuda.heatmap_affines(
            inverse, map_size, contract.input.size, self.refine, grid=self.rule, offset=self.offset
        )

    def device_decoder(
        self,
        outputs: Sequence[DeviceArray],
        flipped: tuple[Sequence[DeviceArray], DeviceArray] | None,
        affines: DeviceArray,
        joints: DeviceArray,
    ) -> Launch:
        """Return the kernel launch that decodes on the device, see `Codec.device_decoder`."""
        from edgepose.kernels import cuda

        mirrored = None if flipped is None else (flipped[0][0], flipped[1])
        return cuda.heatmap_peak(outputs[0], affines, joints, self.refine, sigma=self.sigma, flipped=mirrored)
