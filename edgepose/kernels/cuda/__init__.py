"""The operations on an NVIDIA GPU: each function returns the launch (kernel, grid and job) that computes an operation.

    built()                                        the fatbin next to the host extension and its architectures, or None
    warp_normalize(frame, maps, spec, options, out) -> Launch
    heatmap_peak, simcc_peak, regress_to_image     (values, affines, out) -> Launch
    paf_peaks, paf_score, onestage_people          -> Launch
    fixed_affines, heatmap_affines, ...            matrices in the form that the kernels read, to be copied to the GPU

The functions check and pack their arguments and never use a GPU. The driver layer (`edgepose.backends.cuda`) launches
a `Launch` on any stream. A launch neither waits nor allocates memory. The kernels are in csrc/cuda and loop over the
same csrc/core functions as the host; csrc/cuda/edgepose.cu states which results are equal bit for bit. The kernels are
tested on the host (tests/kernels/cuda_host) and have never run on a GPU.
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
from edgepose.kernels.cuda.onestage import onestage_people
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
    "onestage_people",
    "paf_peaks",
    "paf_score",
    "regress_affines",
    "regress_to_image",
    "simcc_affines",
    "simcc_peak",
    "warp_normalize",
]
