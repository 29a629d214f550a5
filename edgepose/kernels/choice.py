"""The choice between the host extension and the fallback."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

from edgepose.errors import UsageError, one_line

SETTING = "EDGEPOSE_KERNELS"
INSTALL = "install g++ and pip install --force-reinstall edgepose"


def _load() -> tuple[ModuleType | None, str]:
    """Return the extension, or None and how to get it; raise UsageError for an unknown setting."""
    wanted = os.environ.get(SETTING, "")
    if wanted not in ("", "fallback"):
        raise UsageError(f"the environment sets {SETTING} to {wanted!r}; set it to 'fallback', or unset it")
    if wanted:
        return None, f"{SETTING}=fallback is set; unset it for the extension"
    try:
        return importlib.import_module("edgepose.kernels._native"), ""
    except ModuleNotFoundError:
        return None, f"edgepose was installed without a C++ compiler; {INSTALL}"
    except ImportError as error:
        return None, f"the extension cannot be loaded ({one_line(error)}); {INSTALL}"


native, WHY_NOT = _load()


def implementation() -> str:
    """Describe what computes the operations: the extension with its instruction set, or the fallback and the reason."""
    if native is None:
        return f"numpy and OpenCV: {WHY_NOT}"
    return f"extension, {native.instruction_set()}"
