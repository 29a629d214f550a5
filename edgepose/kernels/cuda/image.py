"""`warp_normalize` on the device: one launch cuts the crops of all people of a frame."""

from __future__ import annotations

import ctypes
from functools import lru_cache

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.artifacts.spec import InputSpec
from edgepose.kernels.cuda import structs
from edgepose.kernels.cuda.arrays import DeviceArray, check_device, check_shape
from edgepose.kernels.cuda.binary import extension
from edgepose.kernels.cuda.structs import Launch
from edgepose.kernels.options import WarpOptions, finish
from edgepose.pose.geometry import Size

BLOCK = (32, 4, 1)  # kLanesOfWarp, kWarps of csrc/cuda/warp_normalize.cu
ROWS_EACH = 2  # kRowsEach
DeviceFrame = DeviceArray | tuple[DeviceArray, DeviceArray]


def fixed_affines(
    matrices: Array,  # [N, 2, 3] float, image -> crop
    size: Size,
    out: Array | None = None,
) -> Array:
    """Convert matrices to the fixed point form that `warp_normalize` reads.

    Args:
        matrices: The matrices image -> crop, [N, 2, 3] float.
        size: The (height, width) of the crops, pixels.
        out: The array that is written and returned; None makes a new array.

    Returns:
        The matrices crop -> image in 32.32 fixed point, [N, 6] uint64 in host memory, to be copied to the device.

    Raises:
        ValueError: A matrix cannot be inverted, or a crop is too far from the image.
        MissingPackage: The host extension is not installed.
    """
    n = check_array("matrices", matrices, ("N", 2, 3))["N"]
    out = np.empty((n, 6), np.uint64) if out is None else out
    extension().fixed_affines(np.ascontiguousarray(matrices, np.float64), *size, out)
    return out


def warp_normalize(
    image: DeviceFrame,  # uint8: [H, W, 3], [H, W] (gray), [H * 3 / 2, W] or ([H, W], [H / 2, W]) (nv12)
    maps: DeviceArray,  # [N, 6] uint64, of `fixed_affines`
    spec: InputSpec,
    options: WarpOptions,
    out: DeviceArray,  # [N, 3, h, w] or [N, h, w, 3], as the options say
) -> Launch:
    """Return the launch that does what `edgepose.kernels.warp_normalize` does.

    Args:
        image: uint8: [H, W, 3]; [H, W] for gray; [H * 3 / 2, W] or ([H, W], [H / 2, W]) for NV12. The distance between
            rows is free.
        maps: [N, 6] uint64, from `fixed_affines`.
        spec: Size, color order and normalization.
        options: How the frame is stored, and the layout and type of the crops.
        out: [N, 3, h, w] or [N, h, w, 3], as `options` says, which the launch writes.

    Raises:
        ValueError: The arrays do not fit.
    """
    n = check_device("maps", maps, ("N", 6), np.uint64)["N"]
    height, width = spec.size
    check_device("out", out, (n, 3, *spec.size) if options.layout == "chw" else (n, *spec.size, 3), options.dtype)
    pixels = "bgr" if options.pixels == "rgb" else options.pixels
    job = structs.WarpJob(
        frame=_frame(image, options.pixels),
        pixels=structs.PIXELS[options.pixels],
        finish=_finish(spec, options),
        maps=maps.address,
        count=n,
        height=height,
        width=width,
        layout=structs.LAYOUTS[options.layout],
        type=structs.FLOATS[options.dtype],
        out=out.address,
    )
    columns, rows = BLOCK[0], BLOCK[1] * ROWS_EACH
    return Launch(
        name=f"warp_normalize_{pixels}_{structs.FLOAT_NAMES[options.dtype]}_{options.layout}",
        grid=(-(-width // columns), -(-height // rows), n),
        block=BLOCK,
        args=bytes(job),
    )


@lru_cache(maxsize=32)
def _finish(spec: InputSpec, options: WarpOptions) -> structs.Finish:
    constants = finish(spec, options)
    return structs.Finish(
        color=(ctypes.c_float * 12)(*constants.color),
        channel=(ctypes.c_int * 3)(*constants.channel),
        scale=(ctypes.c_float * 3)(*constants.scale),
        shift=(ctypes.c_float * 3)(*constants.shift),
        outside=constants.outside,
        border=int(constants.replicate),
    )


def _frame(image: DeviceFrame, pixels: str) -> structs.Frame:
    if pixels == "nv12":
        return _nv12_frame(image)
    if isinstance(image, tuple):
        raise ValueError(f"image: only nv12 frames have two planes, and these pixels are {pixels!r}")
    shape = ("H", "W") if pixels == "gray" else ("H", "W", 3)
    sizes = check_shape("image", image, shape, np.uint8)
    return structs.Frame(
        data=image.address, height=sizes["H"], width=sizes["W"], pitch=_pitch("image", image), chroma=0, chroma_pitch=0
    )


def _nv12_frame(image: DeviceFrame) -> structs.Frame:
    luma, chroma = image if isinstance(image, tuple) else _planes(image)
    sizes = check_shape("image", luma, ("H", "W"), np.uint8)
    if sizes["H"] % 2 or sizes["W"] % 2:
        raise ValueError(f"image: NV12 frames have even sides, got {sizes['H']}x{sizes['W']}")
    check_shape("chroma", chroma, (sizes["H"] // 2, sizes["W"]), np.uint8)
    return structs.Frame(
        data=luma.address,
        chroma=chroma.address,
        height=sizes["H"],
        width=sizes["W"],
        pitch=_pitch("image", luma),
        chroma_pitch=_pitch("chroma", chroma),
    )


def _planes(image: DeviceArray) -> tuple[DeviceArray, DeviceArray]:
    """Return the two planes of an NV12 frame that is stored in one array."""
    sizes = check_shape("image", image, ("H * 3 / 2", "W"), np.uint8)
    height, width = sizes["H * 3 / 2"] // 3 * 2, sizes["W"]
    luma = DeviceArray(image.address, (height, width), image.dtype, image.strides)
    below = (image.shape[0] - height, width)
    return luma, DeviceArray(image.address + height * image.steps[0], below, image.dtype, image.strides)


def _pitch(name: str, image: DeviceArray) -> int:
    """Return the bytes from one row to the next, and check that offsets in the frame fit in 31 bits."""
    if not image.nbytes:
        raise ValueError(f"{name}: expected at least one pixel, got {list(image.shape)}")
    inner = (3, 1) if len(image.shape) == 3 else (1,)
    if image.steps[1:] != inner or image.steps[0] < 0:
        raise ValueError(f"{name}: expected rows of contiguous pixels from top to bottom, got strides {image.steps}")
    if image.shape[0] * image.steps[0] >= 2**31:
        raise ValueError(f"{name}: expected less than 2 GiB")
    return image.steps[0]
