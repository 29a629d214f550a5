"""Networks by name: `create("simplebaseline-lite", joints=14, imagenet=True)`.

One paper, one file; a file's `VARIANTS` says what its names mean, and `MODELS` says which file builds a name.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from edgepose.errors import UsageError, nearest
from edgepose.models import simplebaseline
from edgepose.models.efficientnet_lite import EfficientNetLite0, load_imagenet

__all__ = ["MODELS", "create"]

# name -> builder(name, joints)
MODELS: dict[str, Callable[[str, int], nn.Module]] = {
    "simplebaseline-lite": simplebaseline.build,
    "simplebaseline-lite128": simplebaseline.build,
    "simplebaseline-r18": simplebaseline.build,
    "simplebaseline-r34": simplebaseline.build,
    "simplebaseline-r50": simplebaseline.build,
    "simplebaseline-r101": simplebaseline.build,
    "simplebaseline-r152": simplebaseline.build,
}


def create(name: str, joints: int, imagenet: bool = False) -> nn.Module:
    """Build the network `name` for `joints` joints.

    `imagenet` starts its trunk from ImageNet weights; it raises where no installable package carries them.
    """
    if name not in MODELS:
        raise UsageError(f"unknown model {name!r}{nearest(name, MODELS)}")
    model = MODELS[name](name, joints)
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
