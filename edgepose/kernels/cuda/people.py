"""`paf_peaks` and `paf_score` on the device. Peaks can stay on the device between the two; grouping runs on the host.

A count is -1 where a joint map overflowed, and a score is NaN or infinity where a field did. The caller that downloads
the results must check them.
"""

from __future__ import annotations

import numpy as np

from edgepose.codecs import affinity
from edgepose.kernels.cuda import structs
from edgepose.kernels.cuda.arrays import DeviceArray, check_device
from edgepose.kernels.cuda.structs import Launch

PEAKS_THREADS, SCORE_THREADS = 512, 128  # kThreads of csrc/cuda/{paf_peaks,paf_score}.cu
LARGEST = 2**30  # limit on the pixels of a map, because indices have 32 bits
CAPACITY_MAX = 2**15 - 1  # limit on the peaks of a joint, because pairs are counted in 32 bits


def paf_peaks(
    maps: DeviceArray,  # [K, h, w] float32 or float16
    threshold: float,
    peaks: DeviceArray,  # [K, P, 3] float32
    counts: DeviceArray,  # [K] int32
) -> Launch:
    """Return the launch that does what `edgepose.kernels.paf_peaks` does.

    Args:
        maps: [K, h, w] float32 or float16.
        threshold: The value that a peak must exceed.
        peaks: [K, P, 3] float32, which the launch writes; P is the capacity.
        counts: [K] int32, which the launch writes.

    Raises:
        ValueError: The arrays do not fit.
    """
    sizes = check_device("maps", maps, ("K", "h", "w"), np.float32, np.float16)
    capacity = check_device("peaks", peaks, (sizes["K"], "P", 3), np.float32)["P"]
    check_device("counts", counts, (sizes["K"],), np.int32)
    _check_pixels("maps", maps)
    job = structs.PafPeaksJob(
        maps=maps.address,
        type=structs.FLOATS[maps.dtype.name],
        joints=sizes["K"],
        height=sizes["h"],
        width=sizes["w"],
        threshold=threshold,
        capacity=capacity,
        peaks=peaks.address,
        counts=counts.address,
    )
    name = f"paf_peaks_{structs.FLOAT_NAMES[maps.dtype.name]}"
    return Launch(name=name, grid=(sizes["K"], 1, 1), block=(PEAKS_THREADS, 1, 1), args=bytes(job))


def paf_score(
    fields: DeviceArray,  # [L, 2, h, w] float32 or float16
    peaks: DeviceArray,  # [K, P, 3] float32
    counts: DeviceArray,  # [K] int32
    limbs: DeviceArray,  # [L, 2] int32
    out: DeviceArray,  # [L, P, P] float32
    samples: int = 10,
    threshold: float = 0.05,
    ratio: float = 0.8,
) -> Launch:
    """Return the launch that does what `edgepose.kernels.paf_score` does.

    Args:
        fields: [L, 2, h, w] float32 or float16.
        peaks: [K, P, 3] float32.
        counts: [K] int32.
        limbs: [L, 2] int32, joint indices. They are not checked: an invalid index reads unrelated memory.
        out: [L, P, P] float32, which the launch writes.
        samples: The number of points at which a field is read.
        threshold: The value that the field along the limb must exceed at a point.
        ratio: The share of the points at which it must.

    Raises:
        ValueError: The arrays do not fit.
    """
    sizes = check_device("fields", fields, ("L", 2, "h", "w"), np.float32, np.float16)
    listed = check_device("peaks", peaks, ("K", "P", 3), np.float32)
    check_device("counts", counts, (listed["K"],), np.int32)
    check_device("limbs", limbs, (sizes["L"], 2), np.int32)
    check_device("out", out, (sizes["L"], listed["P"], listed["P"]), np.float32)
    _check_pixels("fields", fields)
    if samples < 2:
        raise ValueError(f"samples: expected at least 2, got {samples}")
    if not 0 < listed["P"] <= CAPACITY_MAX:
        raise ValueError(f"peaks: expected 1 to {CAPACITY_MAX} for a joint, got {listed['P']}")
    job = structs.PafScoreJob(
        fields=fields.address,
        type=structs.FLOATS[fields.dtype.name],
        count=sizes["L"],
        limbs=structs.Limbs(sizes["h"], sizes["w"], samples, affinity.needed(samples, ratio), threshold),
        peaks=peaks.address,
        counts=counts.address,
        capacity=listed["P"],
        pairs=limbs.address,
        out=out.address,
    )
    name = f"paf_score_{structs.FLOAT_NAMES[fields.dtype.name]}"
    blocks = -(-(listed["P"] ** 2) // SCORE_THREADS)
    return Launch(name=name, grid=(blocks, sizes["L"], 1), block=(SCORE_THREADS, 1, 1), args=bytes(job))


def _check_pixels(name: str, maps: DeviceArray) -> None:
    height, width = maps.shape[-2:]
    if not 0 < height * width < LARGEST:
        raise ValueError(f"{name}: expected 1 to 2^30 - 1 pixels a map, got {height}x{width}")
