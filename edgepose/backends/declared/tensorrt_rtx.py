"""Declaration of TensorRT-RTX."""

from __future__ import annotations

from dataclasses import dataclass

from edgepose._options import option
from edgepose.backends.declaration import Declaration
from edgepose.backends.declared.tensorrt import FamilyOptions


def parse_capabilities(text: str) -> tuple[str, ...]:
    """Parse a comma-separated list of compute capabilities; lower case is accepted."""
    return tuple(part.strip().upper() for part in text.split(",") if part.strip())


@dataclass(frozen=True, kw_only=True)
class TensorRtRtxOptions(FamilyOptions):
    """Options of TensorRT-RTX.

    Attributes:
        capabilities: GPU generations such as SM86; an empty tuple builds a portable engine.
    """

    capabilities: tuple[str, ...] = option(
        (), "--capability", "TensorRT-RTX: comma-separated, such as SM86,SM120; by default the engine is portable.",
        metavar="LIST", parse=parse_capabilities,
    )  # fmt: skip


DECLARATION = Declaration(
    module="edgepose.backends.tensorrt_rtx",
    options=TensorRtRtxOptions,
    imports=("tensorrt_rtx_bindings",),
    extra="rtx",
    packages=("tensorrt-rtx-cu13-bindings", "tensorrt-rtx-cu12-bindings", "tensorrt-rtx"),
    on_gpu=True,
    fp8=True,
    in_auto=False,
)
