"""Backgrounds, floor shadows, occluders, and the effects of lens and sensor, for rendered scenes.

The code uses numpy and OpenCV, mostly on 8-bit images. Colors are BGR.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Color = tuple[float, float, float]


def _color(
    rng: np.random.Generator, low: float = 20, high: float = 235, saturation: float = 0.5
) -> NDArray[np.float64]:
    """Return a random BGR color [3] in 0..255, mostly with low saturation, as in real photographs."""
    color: NDArray[np.float64] = rng.uniform(low, high) + saturation * rng.uniform(-1, 1) * rng.uniform(-90, 90, 3)
    return np.clip(color, 0, 255)


def _clouds(rng: np.random.Generator, size: tuple[int, int], rough: float, stretch: float = 1.0) -> NDArray[np.float32]:
    """Return noise of several octaves [H, W], with mean 0 and values of about -1..1.

    `rough` is the weight of the fine octaves; `stretch` stretches the noise horizontally.
    """
    height, width = size
    out = np.zeros(size, np.float32)
    for cells, weight in ((4, 1.0), (11, 0.7), (30, rough * 0.6), (84, rough * 0.5)):
        grid = rng.random((cells, max(2, int(cells * width / height / stretch))), np.float32)
        grid -= 0.5
        grid *= 2.0 * weight
        out += cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR)
    return out


def _wash(
    rng: np.random.Generator,
    size: tuple[int, int],
    colors: tuple[NDArray[np.float64], NDArray[np.float64]],
    rough: float,
    depth: float,
    stretch: float = 1.0,
) -> Bytes:
    """Return a vertical gradient from the first color to the second, [H, W, 3], with noise of `depth` levels."""
    ramp = np.linspace(0.0, 1.0, size[0])[:, None]
    rows = ((1 - ramp) * colors[0] + ramp * colors[1]).astype(np.float32)
    levels = (_clouds(rng, size, rough, stretch) * np.float32(depth))[..., None] + rows[:, None, :]
    return np.clip(levels, 0, 255, out=levels).astype(np.uint8)


def _clutter(rng: np.random.Generator, image: Bytes, count: int, scale: float) -> None:
    """Draw `count` random shapes of about `scale` pixels in place: boxes, posts, bars, discs, polygons, windows."""
    height, width = image.shape[:2]
    for _ in range(count):
        sort, color = rng.integers(0, 6), tuple(float(v) for v in _color(rng, saturation=0.6))
        x, y = int(rng.integers(-20, width + 20)), int(rng.integers(-20, height + 20))
        w, h = (int(v) for v in rng.uniform(0.2, 1.2, 2) * scale)
        if sort == 0:
            cv2.rectangle(image, (x, y), (x + w, y + h), color, -1)
        elif sort == 1:  # a post or tree trunk, shaded like a cylinder
            for i in range(max(2, w // 5)):
                shade = tuple(c * (0.55 + 0.45 * np.sin(np.pi * (i + 0.5) / max(2, w // 5))) for c in color)
                cv2.line(image, (x + i, y - 2 * h), (x + i, y + 2 * h), shade, 1)
        elif sort == 2:
            cv2.line(
                image,
                (x, y),
                (x + int(rng.normal(0, scale)), y + int(rng.normal(0, scale))),
                color,
                int(rng.integers(1, 7)),
                cv2.LINE_AA,
            )
        elif sort == 3:
            cv2.ellipse(
                image,
                (x, y),
                (max(1, w // 2), max(1, h // 2)),
                float(rng.uniform(0, 180)),
                0,
                360,
                color,
                -1,
                cv2.LINE_AA,
            )
        elif sort == 4:
            corners = np.array([x, y]) + rng.normal(0, 0.5 * scale, (int(rng.integers(3, 7)), 2))
            cv2.fillPoly(image, [corners.astype(np.int32)], color, cv2.LINE_AA)
        else:
            step = max(5, int(scale * rng.uniform(0.08, 0.25)))
            for wx in range(x, min(x + w, width), step):
                for wy in range(y, min(y + h, height), step):
                    cv2.rectangle(image, (wx, wy), (wx + step // 2, wy + step // 2), color, -1)


def _soften(image: Bytes, sigma: float) -> Bytes:
    """Blur an image with a Gaussian; a wide Gaussian is computed at reduced size, which is faster."""
    if sigma < 0.3:
        return image
    if sigma < 1.5:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)
    height, width = image.shape[:2]
    part = 2 if sigma < 3.0 else 4
    small = cv2.resize(image, (max(2, width // part), max(2, height // part)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / part)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _floor(rng: np.random.Generator, size: tuple[int, int], vanish_y: float) -> Bytes:
    """Return a floor of grass, earth, boards or a marked field, [H, W, 3], with lines that converge at `vanish_y`."""
    height, width = size
    grass = np.array([52.0, 105.0, 84.0]) * rng.uniform(0.5, 1.5) + rng.normal(0, 12, 3)
    ground = grass if rng.random() < 0.28 else _color(rng, 40, 210, 0.4)
    floor = _wash(rng, size, (0.85 * ground, ground), rng.uniform(0.3, 2.0), rng.uniform(4, 22), 2.0)
    if rng.random() < 0.35:
        vanish = (int(rng.uniform(0, width)), int(np.clip(vanish_y, -8000, 8000)))
        color = tuple(float(v) for v in np.clip(ground * rng.uniform(0.5, 1.6), 0, 255))
        for x in np.linspace(-2 * width, 3 * width, int(rng.integers(6, 26))):
            cv2.line(floor, vanish, (int(x), height), color, 1, cv2.LINE_AA)
    return floor


def backdrop(
    rng: np.random.Generator,
    size: tuple[int, int],  # (height, width)
    horizon: tuple[float, float],  # y of the floor's far edge at the image's left and right side
) -> Bytes:
    """Create a background: distant scenery, blurred clutter, and the floor under the figures.

    Everything but the nearest clutter is rendered at half size, because it is out of focus and this is four times
    faster.

    Args:
        rng: The source of randomness.
        size: The (height, width) of the image, pixels.
        horizon: The y coordinate of the floor's far edge at the left and right border of the image, pixels.

    Returns:
        [H, W, 3] uint8 BGR.
    """
    half = (size[0] // 2, size[1] // 2)
    colors = (_color(rng, 90, 240), _color(rng, 50, 220))
    image = _wash(rng, half, colors, rng.uniform(0.2, 1.6), rng.uniform(4, 34))
    _clutter(rng, image, int(rng.integers(2, 22)), 0.45 * half[0])
    image = _soften(image, float(rng.uniform(0.0, 3.0)))
    left, right = (y / 2 for y in horizon)
    edge = np.array([[0, left], [half[1], right], [half[1], 8 * half[0]], [0, 8 * half[0]]])
    mask = np.zeros(half, np.uint8)
    cv2.fillPoly(mask, [edge.clip(-32000, 32000).astype(np.int32)], 255)
    cv2.copyTo(_floor(rng, half, min(left, right)), mask, image)
    image = _soften(image, float(rng.choice([0.0, 0.0, 1.0, 2.0])))
    image = np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
    _clutter(rng, image, int(rng.integers(0, 7)), 0.2 * size[0])
    return image


def _grain(rng: np.random.Generator, image: Bytes, sigma: float) -> Bytes:
    """Add gray noise to an image [H, W, 3].

    The difference of two uniform bytes is close enough to a normal distribution, and takes a tenth of the time.
    """
    pair = rng.integers(0, 256, (2, *image.shape[:2]), dtype=np.uint8)
    scaled = cv2.addWeighted(pair[0], sigma / 104.0, pair[1], -sigma / 104.0, 128.0)
    lift = cv2.cvtColor(scaled, cv2.COLOR_GRAY2BGR)
    return np.asarray(cv2.addWeighted(image, 1.0, lift, 1.0, -128.0), np.uint8)


def cast_shadow(
    image: Bytes,  # [H, W, 3] changed in place
    bones_xy_image: NDArray[np.float64],  # [B, 2, 2] ends of each bone's shadow on the floor
    widths_px: NDArray[np.float64],  # [B]
    darkness: float,  # 0..1
    softness_px: float,
) -> None:
    """Darken the floor under a figure, in place.

    Args:
        image: [H, W, 3] uint8, which is changed.
        bones_xy_image: Both ends of each bone's shadow on the floor, [B, 2, 2] float, image pixels.
        widths_px: The width of each bone's shadow, [B] float, image pixels.
        darkness: The share of light that the shadow removes, 0..1.
        softness_px: The standard deviation of the blur, image pixels.
    """
    margin = 3.0 * softness_px + float(widths_px.max())
    low = np.maximum(np.floor(bones_xy_image.min(axis=(0, 1)) - margin), 0).astype(int)
    high = np.minimum(np.ceil(bones_xy_image.max(axis=(0, 1)) + margin), [image.shape[1], image.shape[0]]).astype(int)
    width, height = (high - low).tolist()
    if width < 2 or height < 2:
        return
    mask = np.zeros((height // 2, width // 2), np.uint8)
    ends = np.clip((bones_xy_image - low) * 0.5, -4000, 4000).astype(int).tolist()
    for (start, end), thick in zip(ends, widths_px.tolist(), strict=True):
        cv2.line(mask, start, end, 255, max(1, round(thick * 0.5)))
    soft = cv2.GaussianBlur(mask, (0, 0), max(0.6, softness_px / 2))
    soft = cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)
    keep = cv2.convertScaleAbs(soft, alpha=-darkness, beta=255.0)
    view = image[low[1] : high[1], low[0] : high[0]]
    view[:] = cv2.multiply(view, cv2.merge([keep, keep, keep]), scale=1 / 255.0)


def occluder(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Bytes, Bytes]:
    """Create a random object in front of all figures.

    Args:
        rng: The source of randomness.
        size: The (height, width) of the image, pixels.

    Returns:
        The object's colors, [H, W, 3] uint8, and its mask, [H, W] uint8, 0 or 255.
    """
    height, width = size
    mask = np.zeros(size, np.uint8)
    x, y, sort = rng.uniform(0.15, 0.85) * width, rng.uniform(0.3, 0.95) * height, rng.integers(0, 4)
    if sort == 0:  # a post
        cv2.line(
            mask,
            (int(x), -9),
            (int(x + rng.normal(0, 20)), height + 9),
            255,
            int(width * rng.uniform(0.03, 0.09)),
        )
    elif sort == 1:  # a ball
        cv2.circle(mask, (int(x), int(y)), int(height * rng.uniform(0.04, 0.09)), 255, -1)
    elif sort == 2:  # a table or a wall at the bottom
        cv2.rectangle(
            mask,
            (int(x - width * rng.uniform(0.1, 0.6)), int(height * rng.uniform(0.72, 0.9))),
            (int(x + width * 0.4), height),
            255,
            -1,
        )
    else:  # leaves
        for _ in range(14):
            cv2.ellipse(
                mask,
                (int(x + rng.normal(0, 22)), int(y + rng.normal(0, 22))),
                (14, 6),
                float(rng.uniform(0, 180)),
                0,
                360,
                255,
                -1,
            )
    return _wash(rng, size, (_color(rng, 30, 220, 0.9), _color(rng, 20, 160, 0.9)), 1.0, 14.0), mask


def photograph(rng: np.random.Generator, image: Bytes, jpeg: bool) -> Bytes:
    """Apply the effects of a lens and a sensor: blur, exposure, color cast, contrast, noise and optionally JPEG.

    Args:
        rng: The source of randomness.
        image: [H, W, 3] uint8 BGR.
        jpeg: Whether to compress the image with a random JPEG quality.

    Returns:
        [H, W, 3] uint8 BGR.
    """
    image = _soften(image, float(rng.uniform(0.4, 0.85)))
    curve = np.linspace(0.0, 1.0, 256) ** rng.uniform(0.8, 1.25) * rng.uniform(0.8, 1.15)
    cast = 1.0 + rng.normal(0, 0.05, 3)
    table = np.clip(255 * curve[:, None] * cast + rng.uniform(-8, 14), 0, 255).astype(np.uint8)
    image = np.asarray(cv2.LUT(image, table[None]), np.uint8)
    image = _grain(rng, image, float(rng.choice([1.0, 2.5, 5.0], p=[0.5, 0.35, 0.15])))
    if jpeg:
        _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(45, 96))])
        image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return image
