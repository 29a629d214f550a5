"""Pre- and post-processing: crops of a frame for the network, and joints from the network's outputs.

    warp_normalize    a frame and affine crops -> the network's input
    heatmap_peak      heatmaps -> joints in the image
    simcc_peak        SimCC vectors -> joints in the image
    regress_to_image  regressed coordinates -> joints in the image
    paf_peaks         joint maps -> lists of peaks
    paf_score         part affinity fields -> scores of pairs of peaks as limbs
    onestage_people   boxes with scores and joints -> the people of an image

Each operation has files of the same name in `csrc/core` (the mathematics of one pixel or joint, for host and device),
`csrc/cpu` (vectorized loops), `csrc/cuda` (kernels, launched through `edgepose.kernels.cuda`) and in the tests. The
host extension is compiled when the package is installed. Without a compiler, OpenCV and the numpy codecs compute the
same results more slowly (`fallback.py`). `implementation()` names the one in use, and EDGEPOSE_KERNELS=fallback selects
the fallback. `options_of` reads the options of `warp_normalize` from a contract; `mirrored` makes the input of a flip
test.
"""

from __future__ import annotations

from edgepose.kernels.choice import implementation
from edgepose.kernels.image import mirrored, warp_normalize
from edgepose.kernels.joints import heatmap_peak, regress_to_image, simcc_peak
from edgepose.kernels.onestage import onestage_people
from edgepose.kernels.options import WarpOptions, options_of
from edgepose.kernels.people import paf_peaks, paf_score

__all__ = [
    "WarpOptions",
    "heatmap_peak",
    "implementation",
    "mirrored",
    "onestage_people",
    "options_of",
    "paf_peaks",
    "paf_score",
    "regress_to_image",
    "simcc_peak",
    "warp_normalize",
]
