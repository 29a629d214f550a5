"""`warp_normalize`: the network's input from a frame and the matrices of its crops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgepose._checks import Array, check_array
from edgepose._cores import cores
from edgepose.artifacts.spec import InputSpec
from edgepose.kernels.arrays import output, packed
from edgepose.kernels.choice import native
from edgepose.kernels.options import WarpOptions, native_finish

PLAIN = WarpOptions()
Frame = Array | tuple[Array, Array]


def warp_normalize(
    image: Frame,  # uint8: [H, W, 3], [H, W] (gray), [H * 3 / 2, W] or ([H, W], [H / 2, W]) (nv12)
    matrices: Array,  # [N, 2, 3] float, image -> crop
    spec: InputSpec,
    options: WarpOptions = PLAIN,
    *,
    out: Array | None = None,
) -> Array:
    """Cut crops out of a frame and normalize them to the network's input.

    The level at a crop's pixel is the bilinear mean of the four image pixels around its inverse-mapped center (pixel
    centers at integers). What lies outside the image follows `options.border` and is blended like any pixel. The crop
    is (level * scale - mean) / std per channel. A letterbox is a crop with another matrix.

    Args:
        image: uint8: [H, W, 3]; [H, W] for gray; [H * 3 / 2, W] or ([H, W], [H / 2, W]) for NV12. The distance between
            rows is free; an image whose rows are not contiguous is copied first.
        matrices: [N, 2, 3] float, image -> crop.
        spec: Size, color order and normalization. Layout and type are those of `options`, see `options_of`.
        options: How the frame is stored, and how crops leave.
        out: The array that is written and returned: C-contiguous, in the options' layout and type.

    Returns:
        [N, 3, h, w], or [N, h, w, 3] for layout "hwc". Floats are not rounded; "uint8" is rounded to the nearest level.

    Raises:
        ValueError: If an array has another shape or type, a matrix cannot be inverted, or a crop reaches 2^30 pixels
            away from the image's first pixel.
    """
    luma, chroma = _planes(image, options.pixels)
    if matrices.ndim != 3 or matrices.shape[1:] != (2, 3):
        check_array("matrices", matrices, ("N", 2, 3))
    n, (height, width) = len(matrices), spec.size
    out = output((n, 3, height, width) if options.layout == "chw" else (n, height, width, 3), options.dtype, out)
    matrices = packed(matrices, np.float64)
    if options.dtype == "uint8":
        levels = warp_normalize(image, matrices, spec, replace(options, dtype="float32"))
        out[:] = np.rint(levels).clip(0, 255)
        return out
    if native is None:
        from edgepose.kernels import fallback

        fallback.warp_normalize(luma, chroma, matrices, spec, options, out)
    else:
        constants = native_finish(spec, options)
        native.warp_normalize(
            luma, chroma, matrices, constants, options.layout == "hwc", out, options.threads or cores()
        )
    return out


def mirrored(crops: Array, spec: InputSpec) -> Array:
    """Mirror crops by x -> w - 1 - x.

    Args:
        crops: The network's input, [N, *spec.shape].
        spec: The input of the contract.

    Returns:
        The mirrored crops, contiguous.
    """
    return np.ascontiguousarray(crops[..., ::-1] if spec.layout == "nchw" else crops[:, :, ::-1])


def _planes(image: Frame, pixels: str) -> tuple[Array, Array | None]:
    """Return the frame with contiguous rows, and the chroma plane of NV12 or None."""
    if pixels == "nv12":
        return _nv12_planes(image)
    if isinstance(image, tuple):
        raise ValueError(f"image: only nv12 frames have two planes, and these pixels are {pixels!r}")
    channels = () if pixels == "gray" else (3,)
    if image.dtype != np.uint8 or image.ndim < 2 or image.shape[2:] != channels:
        check_array("image", image, ("H", "W", *channels), np.uint8)
    _check_pixels(image)
    return _rows(image), None


def _nv12_planes(image: Frame) -> tuple[Array, Array]:
    if isinstance(image, tuple):
        luma, chroma = image
    else:
        rows = check_array("image", image, ("H * 3 / 2", "W"), np.uint8)["H * 3 / 2"]
        if rows % 3:
            raise ValueError(f"image: NV12 frames have even sides and H * 3 / 2 rows, got {list(image.shape)}")
        luma, chroma = image[: rows // 3 * 2], image[rows // 3 * 2 :]
    sides = check_array("image", luma, ("H", "W"), np.uint8)
    _check_pixels(luma)
    if sides["H"] % 2 or sides["W"] % 2:
        raise ValueError(f"image: NV12 frames have even sides, got {sides['H']}x{sides['W']}")
    check_array("chroma", chroma, (sides["H"] // 2, sides["W"]), np.uint8)
    return _rows(luma), _rows(chroma)


def _check_pixels(image: Array) -> None:
    if not image.size:
        raise ValueError(f"image: expected at least one pixel, got {list(image.shape)}")


def _rows(image: Array) -> Array:
    inner = (3, 1) if image.ndim == 3 else (1,)
    return image if image.strides[1:] == inner and image.strides[0] > 0 else np.ascontiguousarray(image)
