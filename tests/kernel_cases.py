"""Frames, matrices and maps for the tests of edgepose.kernels, ordinary and adversarial.

tests/kernels/cross takes the same ones to programs compiled for other processors.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from edgepose._checks import Array
from edgepose.kernels.image import Frame
from edgepose.pose.geometry import Size


def frame(rng: Generator, size: Size, pixels: str) -> Frame:
    """Noise, the hardest to interpolate: (height, width) pixels as `WarpOptions.pixels` says; NV12 as two planes."""
    height, width = size
    if pixels == "nv12":
        return frame(rng, size, "gray"), frame(rng, (height // 2, width), "gray")
    shape = (height, width) if pixels == "gray" else (height, width, 3)
    return rng.integers(0, 256, shape, dtype=np.uint8)


def planes(image: Frame, pixels: str) -> tuple[Array, Array | None]:
    """The image, or NV12's luma, and its chroma."""
    if isinstance(image, tuple):
        return image
    rows = len(image) * 2 // 3
    return (image[:rows], image[rows:]) if pixels == "nv12" else (image, None)


def matrix(size: Size, crop: Size, *, turn_deg: float, scale: float, shear: float, flip: bool, at: Array) -> Array:
    """[2, 3]: image -> crop. `scale`: crop pixels a pixel; `at`: what its middle shows, as shares of the frame."""
    angle = np.deg2rad(turn_deg)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = linear @ np.array([[1, shear], [0, 1.0]]) * np.array([[-1.0 if flip else 1.0], [1.0]])
    middle, shown = (np.array(crop[::-1]) - 1) / 2, np.asarray(at) * (np.array(size[::-1]) - 1)
    return np.column_stack([linear, middle - linear @ shown])


def random_matrix(rng: Generator, size: Size, crop: Size) -> Array:
    """Any of them: turned, mirrored, sheared, 40 times smaller to 40 times larger, out of the frame as often as in."""
    return matrix(
        size,
        crop,
        turn_deg=rng.uniform(-180, 180) if rng.random() < 0.7 else float(rng.choice([0, 90, 180, 270])),
        scale=float(np.exp(rng.uniform(-3.7, 3.7))) if rng.random() < 0.8 else 1.0,
        shear=rng.normal(0, 0.3) if rng.random() < 0.3 else 0.0,
        flip=rng.random() < 0.3,
        at=rng.uniform(-0.5, 1.5, 2) if rng.random() < 0.7 else rng.uniform(0.3, 0.7, 2),
    )


def inverses(rng: Generator, n: int) -> Array:
    """[N, 2, 3]: crop -> image, of ordinary crops."""
    turn, scale = rng.uniform(-np.pi, np.pi, n), rng.uniform(0.2, 5, n)
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    x, y = rng.uniform(-500, 2000, (2, n))
    return np.stack([np.stack([cos, -sin, x], -1), np.stack([sin, cos, y], -1)], axis=1)


def _blobs(rng: Generator, shape: tuple[int, ...]) -> Array:
    """A Gaussian anywhere in each map, on a little noise: what a network gives."""
    height, width = shape[-2:]
    y, x = np.mgrid[:height, :width]
    middle = rng.uniform(-0.5, 0.5, (*shape[:-2], 2)) + rng.integers(0, (width, height), (*shape[:-2], 2))
    sigma = rng.uniform(1, 3, shape[:-2])[..., None, None]
    away = (x - middle[..., :1, None]) ** 2 + (y - middle[..., 1:, None]) ** 2
    return np.exp(-away / (2 * sigma**2)) + rng.normal(0, 0.003, shape)


# kind -> (rng, shape) -> values; none of them overflowed
MAPS: dict[str, Callable[[Generator, tuple[int, ...]], Array]] = {
    "blobs": _blobs,
    "noise": lambda rng, shape: rng.normal(0, 1, shape),
    "ties": lambda rng, shape: rng.integers(-2, 3, shape),
    "flat": lambda rng, shape: np.full(shape, rng.choice([-3.0, 1e-9, 0.3, 2.0])),
    "zero": lambda rng, shape: np.zeros(shape),
    "signs of zero": lambda rng, shape: rng.choice([0.0, -0.0], shape),
    "negative": lambda rng, shape: -1 - rng.random(shape),
    "subnormal": lambda rng, shape: rng.integers(-9, 10, shape) * float(np.float32(1e-45)),
    "huge": lambda rng, shape: rng.normal(0, 1e37, shape).clip(-3e38, 3e38),
}


def maps(rng: Generator, shape: tuple[int, ...], kind: str, dtype: type = np.float32) -> Array:
    """Maps [..., h, w] of one kind of MAPS; a half has no huge and few subnormal values."""
    values = MAPS[kind](rng, shape)
    return np.clip(values, -6e4, 6e4).astype(dtype) if dtype is np.float16 else values.astype(dtype)


def overflowed(dtype: type) -> dict[str, np.generic]:
    """What is no number: NaN of either sign, and plus infinity."""
    kind = np.dtype(dtype)
    negative = np.copysign(kind.type(np.nan), kind.type(-1))
    return {"nan": kind.type(np.nan), "-nan": negative, "inf": kind.type(np.inf)}
