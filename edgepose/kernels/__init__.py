"""Pre- and post-processing: the frame goes in, joints come out. Callers import the operations from here.

    warp_normalize    a frame and affine crops -> the network's input
    heatmap_peak      heatmaps -> joints in the image
    simcc_peak        SimCC vectors -> joints in the image
    regress_to_image  regressed coordinates -> joints in the image
    paf_peaks         joint maps -> lists of peaks
    paf_score         part affinity fields -> how well two peaks make a limb

Each has one stem in `csrc/core` (the mathematics of one pixel or joint, for host and device), `csrc/cpu` (loops,
vectorized), `csrc/cuda` (kernels, launched through `edgepose.kernels.cuda`) and the tests. The host extension is
compiled when the package is installed; where there was no compiler, OpenCV and the numpy codecs compute
(`fallback.py`), slower and to the same definition. `implementation()` says which; EDGEPOSE_KERNELS=fallback forces
the latter.
"""

from __future__ import annotations

from edgepose.kernels.choice import implementation
from edgepose.kernels.image import mirrored, warp_normalize
from edgepose.kernels.joints import heatmap_peak, regress_to_image, simcc_peak
from edgepose.kernels.options import WarpOptions, options_of
from edgepose.kernels.people import paf_peaks, paf_score

__all__ = [
    "WarpOptions",
    "heatmap_peak",
    "implementation",
    "mirrored",
    "options_of",
    "paf_peaks",
    "paf_score",
    "regress_to_image",
    "simcc_peak",
    "warp_normalize",
]
