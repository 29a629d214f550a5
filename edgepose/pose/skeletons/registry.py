"""The built-in layouts, and where the OKS sigmas of a layout come from.

A layout is one file with one `Skeleton`, and one entry here.
"""

from __future__ import annotations

from edgepose.pose.skeletons import aic14, coco_wholebody133, face68, halpe26
from edgepose.pose.skeletons.blazepose33 import BLAZEPOSE33
from edgepose.pose.skeletons.body25 import BODY25
from edgepose.pose.skeletons.coco17 import COCO17
from edgepose.pose.skeletons.crowdpose14 import CROWDPOSE14
from edgepose.pose.skeletons.face106 import FACE106
from edgepose.pose.skeletons.flic11 import FLIC11
from edgepose.pose.skeletons.hand21 import HAND21
from edgepose.pose.skeletons.jhmdb15 import JHMDB15
from edgepose.pose.skeletons.lsp14 import LSP14
from edgepose.pose.skeletons.mpii16 import MPII16
from edgepose.pose.skeletons.openpose18 import OPENPOSE18
from edgepose.pose.skeletons.sigmas import KNOWN_SIGMAS, SIGMA_SOURCES, part_of
from edgepose.pose.skeletons.skeleton import Skeleton

SKELETONS: dict[str, Skeleton] = {
    skeleton.name: skeleton
    for skeleton in (
        LSP14,
        COCO17,
        MPII16,
        FLIC11,
        CROWDPOSE14,
        aic14.AIC14,
        JHMDB15,
        OPENPOSE18,
        BODY25,
        halpe26.HALPE26,
        BLAZEPOSE33,
        coco_wholebody133.COCO_WHOLEBODY133,
        HAND21,
        face68.FACE68,
        FACE106,
    )
}

# Layouts that publish sigmas of their own -> where.
OWN_SIGMAS = {
    "aic14": aic14.SIGMA_SOURCE,
    "coco_wholebody133": coco_wholebody133.SIGMA_SOURCE,
    "face68": face68.SIGMA_SOURCE,
    "halpe26": halpe26.SIGMA_SOURCE,
}


def sigma_origin(skeleton: Skeleton) -> str:
    """Describe where the sigmas of a skeleton come from, for a report of OKS."""
    parts = [part_of(joint) for joint in skeleton.joints]
    if skeleton.name in OWN_SIGMAS and _has_sigmas_of(skeleton, SKELETONS[skeleton.name]):
        return f"sigmas: {OWN_SIGMAS[skeleton.name]}"
    if skeleton.sigmas != tuple(KNOWN_SIGMAS.get(part, 0.0) for part in parts):
        return f"sigmas given with skeleton {skeleton.name}"
    used = {source: sorted(set(parts) & set(table)) for source, table in SIGMA_SOURCES.items()}
    return "sigmas: " + "; ".join(f"{', '.join(names)} of {source}" for source, names in used.items() if names)


def _has_sigmas_of(skeleton: Skeleton, known: Skeleton) -> bool:
    """Whether the joints of a skeleton are some of a known one, with their sigmas."""
    if not set(skeleton.joints) <= set(known.joints) or not skeleton.sigmas:
        return False
    return skeleton.sigmas == tuple(known.sigmas[known.index(joint)] for joint in skeleton.joints)
