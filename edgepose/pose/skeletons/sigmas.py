"""OKS sigmas that several layouts share, and their sources.

Only COCO and CrowdPose measured the sigmas of body joints, as the spread of several annotators' labels. LSP, MPII and
FLIC publish none, so their joints use the sigma of the same joint in COCO or CrowdPose. mmpose's sigmas for MPII,
"adapted from COCO", are not used: they assign COCO's nose value, 0.026, to pelvis, thorax, neck and head top, and 0.179
to the shoulders. A layout that publishes sigmas of its own lists them in its own file, with their source.
"""

from __future__ import annotations

SIGMA_SOURCES = {
    "COCO (Lin et al., ECCV 2014; kpt_oks_sigmas of cocoeval.py)": {
        "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062,
        "hip": 0.107, "knee": 0.087, "ankle": 0.089,
    },
    "CrowdPose (Li et al., CVPR 2019; kpt_oks_sigmas of its cocoeval.py)": {"head_top": 0.079, "neck": 0.079},
    "no published source (COCO's values of the adjacent hips and shoulders)": {"pelvis": 0.107, "thorax": 0.079},
}  # fmt: skip

KNOWN_SIGMAS = {part: sigma for table in SIGMA_SOURCES.values() for part, sigma in table.items()}


def part_of(joint: str) -> str:
    """Return the joint's name without its side."""
    return joint.removeprefix("left_").removeprefix("right_")


def sigmas_of(joints: tuple[str, ...]) -> tuple[float, ...]:
    """Return the shared sigma of each joint."""
    return tuple(KNOWN_SIGMAS[part_of(joint)] for joint in joints)
