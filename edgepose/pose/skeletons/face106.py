"""Face with 106 landmarks: Liu et al., LaPa, AAAI 2020 (the layout of JD-landmark).

The landmarks are numbered from 0, in the order and with the mirror pairs of `configs/_base_/datasets/lapa.py` of
mmpose. They are other points than the 68 of 300-W, and so have other names. No OKS sigmas are published.
"""

from __future__ import annotations

from edgepose.pose.skeletons.body import chain
from edgepose.pose.skeletons.skeleton import Skeleton

JOINTS = tuple(f"face106_{i}" for i in range(106))
_MIRRORED = (
    *((i, 32 - i) for i in range(16)),  # jaw
    *((33, 46), (34, 45), (35, 44), (36, 43), (37, 42)),  # brows, upper edge
    *((38, 50), (39, 49), (40, 48), (41, 47)),  # brows, lower edge
    *((55 + i, 65 - i) for i in range(5)),  # nose
    *((66, 79), (67, 78), (68, 77), (69, 76), (70, 75), (71, 82), (72, 81), (73, 80), (74, 83)),  # eyes
    *((84, 90), (85, 89), (86, 88), (91, 95), (92, 94)),  # outer lips
    *((96, 100), (97, 99), (101, 103)),  # inner lips
    (104, 105),  # pupils
)
FACE106 = Skeleton(
    name="face106",
    joints=JOINTS,
    flips=tuple((JOINTS[a], JOINTS[b]) for a, b in _MIRRORED),
    limbs=(
        *chain(JOINTS[:33]),
        *chain(JOINTS[33:38]),
        *chain(JOINTS[42:47]),
        *chain(JOINTS[51:55]),
        *chain(JOINTS[55:66]),
        *chain(JOINTS[66:74], closed=True),
        *chain(JOINTS[75:83], closed=True),
        *chain(JOINTS[84:96], closed=True),
        *chain(JOINTS[96:104], closed=True),
    ),
)
