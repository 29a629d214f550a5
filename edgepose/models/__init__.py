"""Create a network by name: `create("simplebaseline-lite", joints=14, imagenet=True)`.

Each paper has one file. The `VARIANTS` table of a file describes the networks it defines, and the tables below map
every name to the function that builds it.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from edgepose.errors import UsageError, nearest
from edgepose.models import (
    cpm,
    cpn,
    deeppose,
    deeppose_cascade,
    eol,
    hourglass,
    hrnet,
    ief,
    openpose,
    people,
    pyramid,
    simplebaseline,
)
from edgepose.models.efficientnet_lite import EfficientNetLite0, load_imagenet

__all__ = ["CASCADES", "DETECTORS", "MODELS", "SCENE_MODELS", "create", "names"]

# name -> builder(name, joints)
MODELS: dict[str, Callable[[str, int], nn.Module]] = {
    "cpm": cpm.build,
    "cpm-small": cpm.build,
    "cpn-r50": cpn.build,
    "cpn-r101": cpn.build,
    "cpn-small": cpn.build,
    "deeppose": deeppose.build,
    "deeppose-small": deeppose.build,
    "eol": eol.build,
    "eol-coarse": eol.build,
    "eol-coarse-small": eol.build,
    "eol-small": eol.build,
    "eol-spatial": eol.build,
    "eol-spatial-small": eol.build,
    "hourglass-2": hourglass.build,
    "hourglass-8": hourglass.build,
    "hourglass-small": hourglass.build,
    "hrnet-w32": hrnet.build,
    "hrnet-w48": hrnet.build,
    "hrnet-small": hrnet.build,
    "ief": ief.build,
    "ief-small": ief.build,
    "pyramid-lite0": pyramid.build,
    "simplebaseline-lite": simplebaseline.build,
    "simplebaseline-lite128": simplebaseline.build,
    "simplebaseline-r18": simplebaseline.build,
    "simplebaseline-r34": simplebaseline.build,
    "simplebaseline-r50": simplebaseline.build,
    "simplebaseline-r50-d2": simplebaseline.build,
    "simplebaseline-r50-k2": simplebaseline.build,
    "simplebaseline-r50-k3": simplebaseline.build,
    "simplebaseline-r101": simplebaseline.build,
    "simplebaseline-r152": simplebaseline.build,
}


# name -> builder(name, joints, limbs): bottom-up networks, which predict heatmaps and part affinity fields
SCENE_MODELS: dict[str, Callable[[str, int, int], nn.Module]] = {
    "openpose": openpose.build,
    "openpose-small": openpose.build,
}


# name -> builder(name, joints, torso): networks that scale their crops with the distance between two torso joints
CASCADES: dict[str, Callable[[str, int, tuple[int, int]], nn.Module]] = {
    "deeppose-cascade": deeppose_cascade.build,
    "deeppose-cascade-small": deeppose_cascade.build,
}


# name -> builder(name): person detectors, which predict boxes and no joints
DETECTORS: dict[str, Callable[[str], nn.Module]] = {
    "people": people.build,
}


def names() -> list[str]:
    """Return the names of all networks, sorted."""
    return sorted([*MODELS, *SCENE_MODELS, *CASCADES, *DETECTORS])


def create(
    name: str,
    joints: int,
    imagenet: bool = False,
    *,
    limbs: int = 0,
    torso: tuple[int, int] | None = None,
) -> nn.Module:
    """Build a network.

    Args:
        name: The name of the network, one of `names()`.
        joints: The number of joints K; 0 for a person detector.
        imagenet: Whether the trunk starts from ImageNet weights.
        limbs: The number of limbs of the skeleton. Only networks with part affinity fields use it.
        torso: The indices of the two joints at the ends of the torso. Only the cascades use it.

    Returns:
        The network in training mode. Weights that do not come from ImageNet are random.

    Raises:
        UsageError: The name is unknown, `limbs` or `torso` is missing for a network that needs it, `joints` is not 0
            for a person detector, or no installable package provides ImageNet weights for the trunk.
    """
    if name in SCENE_MODELS:
        if limbs < 1:
            raise UsageError(f"{name} predicts part affinity fields; set codec = 'paf' in its recipe")
        model = SCENE_MODELS[name](name, joints, limbs)
    elif name in CASCADES:
        if torso is None:
            raise UsageError(
                f"{name} scales its crops with the torso; use a skeleton that has left_shoulder and right_hip"
            )
        model = CASCADES[name](name, joints, torso)
    elif name in DETECTORS:
        if joints:
            raise UsageError(f"{name} finds people and no joints; set codec = 'onestage' and skeleton = 'person'")
        model = DETECTORS[name](name)
    elif name in MODELS:
        model = MODELS[name](name, joints)
    else:
        raise UsageError(f"unknown model {name!r}{nearest(name, names())}")
    if imagenet:
        _start_from_imagenet(name, model)
    return model


def _start_from_imagenet(name: str, model: nn.Module) -> None:
    trunk = next((m for m in model.modules() if isinstance(m, EfficientNetLite0)), None)
    if trunk is None:
        raise UsageError(
            f"{name}: no package provides ImageNet weights for this trunk. "
            "Create the network with imagenet=False and load a torchvision checkpoint: model.trunk.load_state(path)."
        )
    load_imagenet(trunk)
