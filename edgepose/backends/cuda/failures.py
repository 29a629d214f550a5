"""Explain errors of the CUDA driver."""

from __future__ import annotations

import re

from edgepose.errors import EngineError, one_line

# pattern in the name (CUDA_ERROR_...) or the text of an error -> what it means and what to do
MEANINGS: tuple[tuple[str, str], ...] = (
    (
        r"OUT_OF_MEMORY|out of memory",
        "memory ran out; close what else uses the GPU, or rebuild the engine with a smaller MAX in --batch",
    ),
    (
        r"NO_BINARY_FOR_GPU|no kernel image",
        "edgepose's kernels were compiled for other GPUs; reinstall edgepose here with nvcc installed",
    ),
    (
        r"INVALID_PTX|UNSUPPORTED_PTX|PTX was compiled|PTX JIT|JIT_COMPILER_NOT_FOUND",
        "the driver is older than the CUDA that compiled edgepose's kernels; upgrade the driver",
    ),
    (r"NO_DEVICE|no CUDA-capable device", "the driver sees no GPU; is it passed through to this container?"),
    (
        r"DRIVER_MISMATCH|INSUFFICIENT_DRIVER|driver version is insufficient|COMPAT_NOT_SUPPORTED"
        r"|Function \"?cu\w+\"? not found",
        "the NVIDIA driver is older than the CUDA package; upgrade the driver, or install a cuda-bindings of its "
        "CUDA version (nvidia-smi shows it)",
    ),
    (
        r"ILLEGAL_ADDRESS|LAUNCH_FAILED|LAUNCH_TIMEOUT|illegal memory access|unspecified launch failure"
        r"|launch timed out",
        "a kernel failed, and the GPU cannot be used in this process any more; start it again",
    ),
    (r"CAPTURE|capturing", "another part of the program used the GPU while a graph was captured; run that part before"),
    (r"DEINITIALIZED|CONTEXT_IS_DESTROYED|INVALID_CONTEXT|driver shutting down", "the GPU's context is gone; open the "
     "engine again"),
)  # fmt: skip


def failure(call: str, said: str) -> EngineError:
    """Return the error to raise for a failed call: an explanation, followed by the driver's message.

    Args:
        call: Name of the call.
        said: Name or text of the driver's error.
    """
    said = one_line(RuntimeError(said))
    for pattern, meaning in MEANINGS:
        if re.search(pattern, said):
            return EngineError(f"{meaning} [{call}: {said}]")
    return EngineError(f"the NVIDIA driver fails in {call}: {said}; see nvidia-smi, or dmesg on a Jetson")
