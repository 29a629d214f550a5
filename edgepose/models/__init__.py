"""Networks by name: `create("simplebaseline-lite", joints=14, imagenet=True)`.

One paper, one file; a file's `VARIANTS` says what its names mean, and `MODELS` says which file builds a name.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from edgepose.errors import UsageError, nearest
from edgepose.models import cpm, cpn, deeppose, deeppose_cascade, eol, hourglass, hrnet, ief, openpose, simplebaseline
from edgepose.models.efficientnet_lite import EfficientNetLite0, load_imagenet

__all__ = ["CASCADES", "MODELS", "SCENE_MODELS", "create", "names"]

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


# name -> builder(name, joints, limbs): networks with maps and fields, that find everybody at once
SCENE_MODELS: dict[str, Callable[[str, int, int], nn.Module]] = {
    "openpose": openpose.build,
    "openpose-small": openpose.build,
}


# name -> builder(name, joints, torso): networks that measure people by the two joints their torso lies between
CASCADES: dict[str, Callable[[str, int, tuple[int, int]], nn.Module]] = {
    "deeppose-cascade": deeppose_cascade.build,
    "deeppose-cascade-small": deeppose_cascade.build,
}


def names() -> list[str]:
    """Every network there is."""
    return sorted([*MODELS, *SCENE_MODELS, *CASCADES])


def create(
    name: str,
    joints: int,
    imagenet: bool = False,
    *,
    limbs: int = 0,
    torso: tuple[int, int] | None = None,
) -> nn.Module:
    """Build the network `name` for `joints` joints.

    limbs: how many a network of part affinity fields learns, those of `skeleton.linked()`; torso: the joints a
    cascade measures people by; others have no use for either. `imagenet` starts its trunk from ImageNet weights;
    it raises where no installable package carries them.
    """
    if name in SCENE_MODELS:
        if limbs < 1:
            raise UsageError(f"{name} learns fields along limbs: its recipe needs codec = 'paf'")
        model = SCENE_MODELS[name](name, joints, limbs)
    elif name in CASCADES:
        if torso is None:
            raise UsageError(f"{name} measures people by their torso: its skeleton needs left_shoulder and right_hip")
        model = CASCADES[name](name, joints, torso)
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
            f"{name}: no package carries ImageNet weights for this trunk. "
            "Create it with imagenet=False and load a torchvision checkpoint: model.trunk.load_state(path)."
        )
    load_imagenet(trunk)
