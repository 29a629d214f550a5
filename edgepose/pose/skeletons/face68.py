"""Face with 68 landmarks: Sagonas et al., 300-W, Image and Vision Computing 2016, the markup of iBUG.

The landmarks are numbered as in the markup, from 0: the jaw from the image's left to its right, brows, bridge and base
of the nose, eyes, outer and inner lips. Sides of the numbered pairs are exchanged by a mirror.
"""

from __future__ import annotations

from edgepose.pose.skeletons.body import Pairs, chain
from edgepose.pose.skeletons.skeleton import Skeleton

SIGMA_SOURCE = "COCO-WholeBody (evaluation/myeval_wholebody.py), which labels the same 68 landmarks; 300-W has none"
JOINTS = tuple(f"face_{i}" for i in range(68))
_MIRRORED = (
    *((i, 16 - i) for i in range(8)),  # jaw
    *((17 + i, 26 - i) for i in range(5)),  # brows
    *((31, 35), (32, 34)),  # base of the nose
    *((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),  # eyes
    *((48, 54), (49, 53), (50, 52), (55, 59), (56, 58)),  # outer lips
    *((60, 64), (61, 63), (65, 67)),  # inner lips
)
FLIPS: Pairs = tuple((JOINTS[a], JOINTS[b]) for a, b in _MIRRORED)
LIMBS: Pairs = (
    *chain(JOINTS[:17]),
    *chain(JOINTS[17:22]),
    *chain(JOINTS[22:27]),
    *chain(JOINTS[27:31]),
    *chain(JOINTS[31:36]),
    *chain(JOINTS[36:42], closed=True),
    *chain(JOINTS[42:48], closed=True),
    *chain(JOINTS[48:60], closed=True),
    *chain(JOINTS[60:], closed=True),
)
SIGMAS = (
    *(0.042, 0.043, 0.044, 0.043, 0.040, 0.035, 0.031, 0.025, 0.020, 0.023, 0.029, 0.032, 0.037, 0.038, 0.043, 0.041),
    *(0.045, 0.013, 0.012, 0.011, 0.011, 0.012, 0.012, 0.011, 0.011, 0.013, 0.015, 0.009, 0.007, 0.007, 0.007, 0.012),
    *(0.009, 0.008, 0.016, 0.010, 0.017, 0.011, 0.009, 0.011, 0.009, 0.007, 0.013, 0.008, 0.011, 0.012, 0.010, 0.034),
    *(0.008, 0.008, 0.009, 0.008, 0.008, 0.007, 0.010, 0.008, 0.009, 0.009, 0.009, 0.007, 0.007, 0.008, 0.011, 0.008),
    *(0.008, 0.008, 0.01, 0.008),
)
FACE68 = Skeleton(name="face68", joints=JOINTS, flips=FLIPS, limbs=LIMBS, sigmas=SIGMAS)
