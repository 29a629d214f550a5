"""`heatmap_peak`, `simcc_peak` and `regress_to_image` on the device: one launch computes all joints of all people.

Results hold NaN or infinity where the outputs of the network overflowed. The caller that downloads the results must
check them (`refuse_overflow`).
"""

from __future__ import annotations

import ctypes
from functools import lru_cache

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.kernels.cuda import structs
from edgepose.kernels.cuda.arrays import DeviceArray, check_device
from edgepose.kernels.cuda.binary import extension
from edgepose.kernels.cuda.structs import Launch
from edgepose.kernels.joints import BLURRED, REFINE, Grid, half_taps, heatmap_grid, regress_grid, simcc_grid
from edgepose.pose.geometry import Size

HEATMAP_THREADS, REGRESS_THREADS = 256, 128  # kThreads of csrc/cuda/{heatmap_peak,regress_to_image}.cu
LARGEST = 2**30  # limit on the elements of a map or vector, because indices have 32 bits


def heatmap_affines(
    inverse: Array,  # [N, 2, 3] float, crop -> image
    size: Size,
    crop_size: Size,
    method: str = "quarter",
    out: Array | None = None,
    *,
    grid: str | None = None,
    offset: float = 0.0,
) -> Array:
    """Return the matrices heatmap -> image, in host memory, to be copied to the device.

    Args:
        inverse: The matrices crop -> image, [N, 2, 3] float.
        size: The (height, width) of the heatmaps, cells.
        crop_size: The (height, width) of the crops, pixels.
        method: The contract's `decode`.
        out: The array that is written and returned; None makes a new array.
        grid: The contract's `grid`.
        offset: The contract's `offset`, crop pixels.

    Returns:
        [N, 2, 3] float64.
    """
    return _affines(inverse, heatmap_grid(method, (size[0], size[1]), (crop_size[0], crop_size[1]), grid, offset), out)


def simcc_affines(inverse: Array, split: float, out: Array | None = None) -> Array:
    """Return the matrices SimCC bins -> image, in host memory, to be copied to the device.

    Args:
        inverse: The matrices crop -> image, [N, 2, 3] float.
        split: The number of bins per crop pixel.
        out: The array that is written and returned; None makes a new array.

    Returns:
        [N, 2, 3] float64.
    """
    return _affines(inverse, simcc_grid(split), out)


def regress_affines(inverse: Array, crop_size: Size, range: str = "centered", out: Array | None = None) -> Array:
    """Return the matrices regressed coordinates -> image, in host memory, to be copied to the device.

    Args:
        inverse: The matrices crop -> image, [N, 2, 3] float.
        crop_size: The (height, width) of the crops, pixels.
        range: The contract's `range`.
        out: The array that is written and returned; None makes a new array.

    Returns:
        [N, 2, 3] float64.
    """
    return _affines(inverse, regress_grid(crop_size, range), out)


def _affines(inverse: Array, grid: Grid, out: Array | None) -> Array:
    check_array("inverse", inverse, ("N", 2, 3))
    out = np.empty(inverse.shape) if out is None else out
    extension().joint_affines(np.ascontiguousarray(inverse, np.float64), grid, out)
    return out


def heatmap_peak(
    heatmaps: DeviceArray,  # [N, K, h, w] float32 or float16
    affines: DeviceArray,  # [N, 2, 3] float64, of `heatmap_affines`
    out: DeviceArray,  # [N, K, 3] float32
    method: str = "quarter",
    *,
    sigma: float = 2.0,
    flipped: tuple[DeviceArray, DeviceArray] | None = None,
) -> Launch:
    """Return the launch that does what `edgepose.kernels.heatmap_peak` does.

    Args:
        heatmaps: [N, K, h, w] float32 or float16.
        affines: [N, 2, 3] float64, from `heatmap_affines`.
        out: [N, K, 3] float32, which the launch writes.
        method: How a peak is refined, see `codecs.refine`.
        sigma: The standard deviation that the network was trained with, heatmap pixels.
        flipped: The heatmaps of the mirrored crops and `Skeleton.flip_order()` as [K] int32, both on the device. The
            order is not checked: an invalid joint index reads unrelated memory.

    Raises:
        ValueError: The arrays do not fit.
        SpecError: The method is unknown, or sigma is above 8 where it is used.
    """
    sizes = check_device("heatmaps", heatmaps, ("N", "K", "h", "w"), np.float32, np.float16)
    n, k = _people(sizes, affines, out)
    _check_elements("heatmaps", sizes["h"] * sizes["w"])
    if flipped is not None:
        check_device("flipped", flipped[0], heatmaps.shape, heatmaps.dtype)
        check_device("flip_order", flipped[1], (k,), np.int32)
    heatmap_grid(method, (sizes["h"], sizes["w"]), (sizes["h"], sizes["w"]))  # refuses an unknown method
    job = structs.PeakJob(
        maps=heatmaps.address,
        flipped=flipped[0].address if flipped else None,
        flip_order=flipped[1].address if flipped else None,
        type=structs.FLOATS[heatmaps.dtype.name],
        people=n,
        joints=k,
        height=sizes["h"],
        width=sizes["w"],
        refine=REFINE[method],
        blur=_blur(method, sigma),
        affines=affines.address,
        out=out.address,
    )
    return _launch("heatmap_peak", heatmaps, n * k, (HEATMAP_THREADS, 1, 1), job)


def simcc_peak(
    x: DeviceArray,  # [N, K, Wx] float32 or float16
    y: DeviceArray,  # [N, K, Wy]
    affines: DeviceArray,  # [N, 2, 3] float64, of `simcc_affines`
    out: DeviceArray,  # [N, K, 3] float32
) -> Launch:
    """Return the launch that does what `edgepose.kernels.simcc_peak` does.

    Args:
        x: [N, K, Wx] float32 or float16.
        y: [N, K, Wy], of the type of `x`.
        affines: [N, 2, 3] float64, from `simcc_affines`.
        out: [N, K, 3] float32, which the launch writes.

    Raises:
        ValueError: The arrays do not fit.
    """
    sizes = check_device("x", x, ("N", "K", "Wx"), np.float32, np.float16)
    n, k = _people(sizes, affines, out)
    y_bins = check_device("y", y, (n, k, "Wy"), x.dtype)["Wy"]
    _check_elements("x, y", sizes["Wx"], y_bins)
    job = structs.SimccJob(
        x=x.address,
        y=y.address,
        type=structs.FLOATS[x.dtype.name],
        people=n,
        joints=k,
        x_bins=sizes["Wx"],
        y_bins=y_bins,
        affines=affines.address,
        out=out.address,
    )
    return _launch("simcc_peak", x, n * k, (32, 2, 1), job)


def regress_to_image(
    coords: DeviceArray,  # [N, K, 2] or [N, K, 3] float32 or float16
    affines: DeviceArray,  # [N, 2, 3] float64, of `regress_affines`
    out: DeviceArray,  # [N, K, 3] float32
) -> Launch:
    """Return the launch that does what `edgepose.kernels.regress_to_image` does.

    Args:
        coords: [N, K, 2] or [N, K, 3] float32 or float16.
        affines: [N, 2, 3] float64, from `regress_affines`.
        out: [N, K, 3] float32, which the launch writes.

    Raises:
        ValueError: The arrays do not fit.
    """
    sizes = check_device("coords", coords, ("N", "K", "channels"), np.float32, np.float16)
    if sizes["channels"] not in (2, 3):
        raise ValueError(f"coords: expected [N, K, 2] or [N, K, 3], got {list(coords.shape)}")
    n, k = _people(sizes, affines, out)
    job = structs.RegressJob(
        coords=coords.address,
        type=structs.FLOATS[coords.dtype.name],
        people=n,
        joints=k,
        channels=sizes["channels"],
        affines=affines.address,
        out=out.address,
    )
    return _launch("regress_to_image", coords, -(-n * k // REGRESS_THREADS), (REGRESS_THREADS, 1, 1), job)


def _people(sizes: dict[str, int], affines: DeviceArray, out: DeviceArray) -> tuple[int, int]:
    n, k = sizes["N"], sizes["K"]
    check_device("affines", affines, (n, 2, 3), np.float64)
    check_device("out", out, (n, k, 3), np.float32)
    return n, k


def _check_elements(name: str, *counts: int) -> None:
    if not all(0 < count < LARGEST for count in counts):
        raise ValueError(f"{name}: expected 1 to 2^30 - 1 values a map or vector, got {counts}")


@lru_cache(maxsize=64)
def _blur(method: str, sigma: float) -> structs.Blur:
    taps = half_taps(sigma) if method in BLURRED else [1.0]
    return structs.Blur(radius=len(taps) - 1, taps=(ctypes.c_float * structs.TAPS_MAX)(*taps))


def _launch(
    operation: str, values: DeviceArray, blocks: int, block: tuple[int, int, int], job: ctypes.Structure
) -> Launch:
    name = f"{operation}_{structs.FLOAT_NAMES[values.dtype.name]}"
    return Launch(name=name, grid=(blocks, 1, 1), block=block, args=bytes(job))
