"""The operations on an NVIDIA GPU: which kernel of the fatbin computes one, with what grid and with what job.

    built()                                        the fatbin beside the host extension and its architectures, or None
    warp_normalize(frame, maps, spec, options, out) -> Launch
    heatmap_peak, simcc_peak, regress_to_image     (values, affines, out) -> Launch
    paf_peaks, paf_score                           -> Launch
    fixed_affines, heatmap_affines, ...            matrices as the kernels read them, in host memory to be uploaded

Every function is pure and touches no GPU: arguments are checked and packed, and the driver layer
(`edgepose.backends.cuda`) launches the `Launch` on the stream it likes. A launch neither waits nor allocates.
The kernels are csrc/cuda, loops over csrc/core as the host's are; what is equal bit for bit is said in
csrc/cuda/edgepose.cu. They were proven on the host (tests/kernels/cuda_host) and have never run on a GPU.
"""

from __future__ import annotations

from edgepose.kernels.cuda.arrays import DeviceArray
from edgepose.kernels.cuda.binary import Fatbin, built, fatbin, implementation
from edgepose.kernels.cuda.image import fixed_affines, warp_normalize
from edgepose.kernels.cuda.joints import (
    heatmap_affines,
    heatmap_peak,
    regress_affines,
    regress_to_image,
    simcc_affines,
    simcc_peak,
)
from edgepose.kernels.cuda.people import paf_peaks, paf_score
from edgepose.kernels.cuda.structs import KERNELS, Launch

__all__ = [
    "KERNELS",
    "DeviceArray",
    "Fatbin",
    "Launch",
    "built",
    "fatbin",
    "fixed_affines",
    "heatmap_affines",
    "heatmap_peak",
    "implementation",
    "paf_peaks",
    "paf_score",
    "regress_affines",
    "regress_to_image",
    "simcc_affines",
    "simcc_peak",
    "warp_normalize",
]
