"""A complete codec in one file, for tests: a joint is the center of mass of its heatmap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from edgepose._checks import Array
from edgepose.artifacts.spec import InputSpec, ModelSpec
from edgepose.codecs.codec import Axis, Codec
from edgepose.pose.geometry import apply_affine, grid_affine
from edgepose.pose.skeletons import Skeleton


@dataclass(frozen=True, kw_only=True)
class CentroidCodec(Codec):
    """The center of mass of each heatmap."""

    name: ClassVar[str] = "centroid"
    decodes: ClassVar[tuple[str, ...]] = ("masses",)
    output_names: ClassVar[tuple[str, ...]] = ("masses",)

    power: Annotated[float, Meta(gt=0)] = 1.0

    def shapes(self, skeleton: Skeleton, input: InputSpec) -> tuple[tuple[Axis, ...], ...]:
        return (((len(skeleton),), "h", "w"),)

    def decode(
        self, outputs: Sequence[Array], flipped: Sequence[Array] | None, inverse: Array, contract: ModelSpec
    ) -> Array:
        (maps,) = outputs if flipped is None else self.merge_flip(outputs, flipped, contract)
        return centroids(maps**self.power, inverse, contract)

    def merge_flip(self, outputs: Sequence[Array], flipped: Sequence[Array], contract: ModelSpec) -> tuple[Array, ...]:
        back = flipped[0][:, list(contract.skeleton.flip_order()), :, ::-1]
        return ((outputs[0] + back) / 2,)


def centroids(maps: Array, inverse: Array, contract: ModelSpec) -> Array:
    """[N, K, 3] float32 of maps [N, K, h, w]."""
    total = maps.sum(axis=(2, 3))
    x = (maps.sum(axis=2) @ np.arange(maps.shape[3])) / total
    y = (maps.sum(axis=3) @ np.arange(maps.shape[2])) / total
    to_crop = grid_affine((maps.shape[2], maps.shape[3]), contract.input.size)
    xy = apply_affine(inverse, apply_affine(to_crop, np.stack([x, y], axis=-1)))
    return np.concatenate([xy, maps.max(axis=(2, 3))[..., None]], axis=2).astype(np.float32)
