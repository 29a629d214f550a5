"""Declaration of TensorRT, and the options that it shares with TensorRT-RTX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgepose._options import option
from edgepose.backends.declaration import BuildOptions, Declaration
from edgepose.errors import UsageError

if TYPE_CHECKING:
    from typing_extensions import Self

BATCH = (1, 1, 8)
DLA_BATCH = (1, 1, 1)  # a DLA runs one fixed shape
CALIBRATION_CACHE = "calibration.cache"  # file name in the folder of a build


def parse_batch(text: str) -> tuple[int, int, int]:
    """Parse "MIN,OPT,MAX".

    Raises:
        UsageError: The text is not three whole numbers.
    """
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdigit() for part in parts):
        raise UsageError(f"--batch {text}: expected MIN,OPT,MAX, such as 1,4,8")
    return int(parts[0]), int(parts[1]), int(parts[2])


@dataclass(frozen=True, kw_only=True)
class FamilyOptions(BuildOptions):
    """Options of every builder of the TensorRT family.

    The properties are options of one member of the family; the builder reads them from all members.

    Attributes:
        batch: Smallest, usual and largest number of people per call, for the optimization profile.
        workspace_mib: Scratch memory of one layer in MiB; None allows all memory.
        builder_level: 0 (fast build) to 5 (fast engine); None is the library's default.
        float_parts: What the layers of an INT8 engine that are not int8 compute in: fp16, or fp32, which is slower.

    Raises:
        UsageError: A value is out of range, or `float_parts` contradicts the precision.
    """

    batch: tuple[int, int, int] = option(
        BATCH, "--batch", "TensorRT: people per call; by default 1,1,8.", metavar="MIN,OPT,MAX", parse=parse_batch
    )
    workspace_mib: int | None = option(
        None, "--workspace", "TensorRT: scratch memory of one layer; by default all memory.", metavar="MIB", min=1
    )
    builder_level: int | None = option(
        None, "--builder-level", "TensorRT: 0 builds fast, 5 makes the fastest engine.", min=0, max=5
    )

    float_parts: str = option(
        "fp16", "--float-parts", "TensorRT: precision of the float layers of an INT8 engine; by default fp16.",
        choices=("fp16", "fp32"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.float_parts not in ("fp16", "fp32"):
            raise UsageError(f"float_parts = {self.float_parts!r}; expected fp16 or fp32")
        if (self.precision, self.float_parts) == ("int8-fp16", "fp32"):
            raise UsageError("--float-parts fp32 contradicts --precision int8-fp16; ask for int8")
        smallest, usual, largest = self.batch
        if not 1 <= smallest <= usual <= largest:
            raise UsageError(f"batch {smallest},{usual},{largest}: expected 1 <= MIN <= OPT <= MAX")
        if self.workspace_mib is not None and self.workspace_mib < 1:
            raise UsageError(f"workspace {self.workspace_mib} MiB: expected at least 1")
        if self.builder_level is not None and not 0 <= self.builder_level <= 5:
            raise UsageError(f"builder level {self.builder_level}: expected 0 to 5")

    @property
    def dla_core(self) -> int | None:
        """The core of the Deep Learning Accelerator (DLA) that runs the engine, or None for the GPU."""
        return None

    @property
    def calibration_cache(self) -> Path | None:
        """The file that gives INT8 ranges in place of Q/DQ nodes, or None."""
        return None

    @property
    def capabilities(self) -> tuple[str, ...]:
        """The GPU generations that the engine is built for; empty where the library chooses them."""
        return ()


@dataclass(frozen=True, kw_only=True)
class TensorRtOptions(FamilyOptions):
    """Options of TensorRT.

    Attributes:
        dla_core: Core of the Deep Learning Accelerator; layers that it does not support run on the GPU.
        timing_cache: Folder of timing caches, which hold one file for each GPU and library version.
        calibration_cache: File of INT8 ranges, used with a float graph in place of Q/DQ nodes.
    """

    dla_core: int | None = option(None, "--dla-core", "TensorRT: build for this DLA core of a Jetson Orin.", min=0)
    timing_cache: Path | None = option(
        None, "--timing-cache", "TensorRT: folder of kernel timings that later builds reuse; by default OUT/timing.",
        metavar="FOLDER",
    )  # fmt: skip
    # On the command line this option is a switch: the build writes the file that the engine is made from.
    calibration_cache: Path | None = option(
        None, "--calibration-cache",
        "TensorRT 8.6 and 10: take INT8 ranges from OUT/calibration.cache, not from Q/DQ nodes; a DLA needs this.",
        kind=bool,
    )  # fmt: skip

    @classmethod
    def for_build(cls, precision: str, out: Path, given: Mapping[str, Any]) -> Self:
        """Make the options of one engine; see `BuildOptions.for_build`.

        The batch of a DLA is 1,1,1 by default, and timings are kept in OUT/timing. A `calibration_cache` of True
        becomes OUT/calibration.cache for INT8 engines and has no effect on others.
        """
        values = dict(given)
        values.setdefault("batch", BATCH if values.get("dla_core") is None else DLA_BATCH)
        values.setdefault("timing_cache", out / "timing")
        if values.pop("calibration_cache", False) and precision.startswith("int8"):
            values["calibration_cache"] = out / CALIBRATION_CACHE
        return cls(precision=precision, **values)


DECLARATION = Declaration(
    module="edgepose.backends.tensorrt",
    options=TensorRtOptions,
    imports=("tensorrt",),
    extra="tensorrt",
    packages=("tensorrt", "tensorrt-cu13", "tensorrt-cu12"),
    on_gpu=True,
)
