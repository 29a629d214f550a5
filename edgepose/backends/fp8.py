"""Where FP8, which is an experiment, can be built: with TensorRT-RTX, for GPUs that have it."""

from __future__ import annotations

from edgepose.backends.declaration import BuildOptions
from edgepose.errors import BuildError

CAPABILITIES = ("SM89", "SM120", "SM121")  # the compute capabilities of TensorRT-RTX that have E4M3
ADVICE = f"--backend tensorrt_rtx --capability {','.join(CAPABILITIES)}"
NOTE = (
    "fp8 is an experiment: no GPU has run such an engine for this project, so its speed and its accuracy on a GPU are "
    "not measured; what is known is that it compiles, and what its graph computes in ONNX Runtime"
)


def refuse_fp8(options: BuildOptions, name: str) -> None:
    """Refuse FP8 on a backend that does not build it.

    Args:
        options: The options of an engine.
        name: The library, for the message.

    Raises:
        BuildError: The precision is fp8.
    """
    if options.precision == "fp8":
        raise BuildError(f"fp8 is an experiment that {name} does not build; use {ADVICE}, or leave fp8 out")


def refuse_capabilities(options: BuildOptions, capabilities: tuple[str, ...]) -> None:
    """Refuse FP8 for GPUs that do not have it.

    Args:
        options: The options of an engine.
        capabilities: The GPU generations that the engine is built for; empty for a portable engine.

    Raises:
        BuildError: The precision is fp8, and a generation has no FP8 or the engine is portable.
    """
    without = [name for name in capabilities if name not in CAPABILITIES]
    if options.precision != "fp8" or (capabilities and not without):
        return
    target = f"{', '.join(without)} has no FP8" if without else "a portable engine is for GPUs without FP8 too"
    raise BuildError(f"{target}; build fp8 with {ADVICE}")
