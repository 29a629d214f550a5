"""One hand with 21 joints: the order of OpenPose (Simon et al., CVPR 2017), FreiHAND, OneHand10K and COCO-WholeBody.

The joints have the names that COCO-WholeBody's hands have behind their side. A mirrored hand is the other hand, so
nothing is exchanged. No OKS sigmas are published for hands alone.
"""

from __future__ import annotations

from edgepose.pose.skeletons.body import Pairs, chain
from edgepose.pose.skeletons.skeleton import Skeleton

_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
JOINTS = ("hand_root", *(f"{finger}{i}" for finger in _FINGERS for i in range(1, 5)))
LIMBS: Pairs = tuple(
    limb for i in range(len(_FINGERS)) for limb in chain(("hand_root", *JOINTS[1 + 4 * i : 5 + 4 * i]))
)
HAND21 = Skeleton(name="hand21", joints=JOINTS, limbs=LIMBS)
