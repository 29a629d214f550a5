"""`onestage_people` on the device: one launch finds the people of each image.

A score of the result is NaN where the network overflowed. The caller that downloads the results must check them.
"""

from __future__ import annotations

import numpy as np

from edgepose.kernels.cuda import structs
from edgepose.kernels.cuda.arrays import DeviceArray, check_device
from edgepose.kernels.cuda.structs import Launch
from edgepose.kernels.onestage import NO_SUPPRESSION, check_columns, check_thresholds

THREADS = 1024  # kThreads of csrc/cuda/onestage_people.cu
CANDIDATES_MAX = 64 * THREADS  # kBits of each thread
NUMBERS_MAX = 2**31 - 1  # of the result, because indices have 32 bits


def onestage_people(
    rows: DeviceArray,  # [N, M, 5 + 3K] float32 or float16
    affines: DeviceArray,  # [N, 2, 3] float64, canvas -> image
    out: DeviceArray,  # [N, P, 5 + 3K] float32
    score_threshold: float,
    iou_threshold: float | None,
) -> Launch:
    """Return the launch that does what `edgepose.kernels.onestage_people` does.

    Args:
        rows: [N, M, 5 + 3K] float32 or float16, the candidates.
        affines: [N, 2, 3] float64, canvas -> image.
        out: [N, P, 5 + 3K] float32, which the launch writes; P is the largest number of people.
        score_threshold: The score that a person must exceed, at least 0.
        iou_threshold: The largest intersection over union with a better person; None suppresses nobody.

    Raises:
        ValueError: The arrays do not fit.
    """
    sizes = check_device("rows", rows, ("N", "M", "columns"), np.float32, np.float16)
    check_columns(sizes["columns"])
    check_thresholds(score_threshold, iou_threshold)
    check_device("affines", affines, (sizes["N"], 2, 3), np.float64)
    limit = check_device("out", out, (sizes["N"], "P", sizes["columns"]), np.float32)["P"]
    if not 0 < sizes["M"] <= CANDIDATES_MAX:
        raise ValueError(f"rows: expected 1 to {CANDIDATES_MAX} candidates, got {sizes['M']}")
    if not 0 < limit * sizes["columns"] <= NUMBERS_MAX:
        raise ValueError(f"out: expected 1 to {NUMBERS_MAX} numbers an image, got {list(out.shape)}")
    job = structs.OnestageJob(
        rows=rows.address,
        type=structs.FLOATS[rows.dtype.name],
        images=sizes["N"],
        candidates=sizes["M"],
        columns=sizes["columns"],
        score_threshold=score_threshold,
        iou_threshold=NO_SUPPRESSION if iou_threshold is None else iou_threshold,
        affines=affines.address,
        limit=limit,
        out=out.address,
    )
    name = f"onestage_people_{structs.FLOAT_NAMES[rows.dtype.name]}"
    return Launch(name=name, grid=(sizes["N"], 1, 1), block=(THREADS, 1, 1), args=bytes(job))
