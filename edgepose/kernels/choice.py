"""Whether the host extension computes, or the fallback."""

from __future__ import annotations

import os
from types import ModuleType

SETTING = "EDGEPOSE_KERNELS"


def _load() -> tuple[ModuleType | None, str]:
    """The extension, and why there is none."""
    if os.environ.get(SETTING) == "fallback":
        return None, f"{SETTING}=fallback is set"
    try:
        from edgepose.kernels import _native
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        return None, "edgepose was installed without a C++ compiler" if missing else f"the extension fails: {error}"
    return _native, ""


native, WHY_NOT = _load()


def implementation() -> str:
    """What computes the operations, in words: the extension with its instruction set, or the fallback and why."""
    if native is None:
        return f"numpy and OpenCV: {WHY_NOT}; install g++ and pip install --force-reinstall edgepose"
    return f"extension, {native.instruction_set()}"
