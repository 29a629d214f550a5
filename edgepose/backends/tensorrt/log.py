"""What a TensorRT library says while it works, and what its opaque errors mean.

TensorRT keeps the first logger it is given for as long as the process lives, so there is one a module, and its
lines are cleared where a build or an opening begins. `reason` makes one line of them: our words first, with what
to do, then the library's. No error of the library is ever passed on alone.

Test alone: `pytest tests/backends/test_trt_log.py`.
"""

from __future__ import annotations

import functools
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from edgepose.errors import one_line

# pattern in a message -> what it means and what to do; the first that matches is taken, so the special come first
MEANINGS: tuple[tuple[str, str], ...] = (
    (
        r"serializ\w* version|[Vv]ersion tag does not match|expecting library version|stdVersionRead",
        "the engine was made by another version of the library; rebuild it here",
    ),
    (
        r"incompatible device|expecting compute|compute capability .* (?:not|does)",
        "the engine was made for another GPU; rebuild it here",
    ),
    (r"magicTag|[Ss]erialization assertion|plan file is corrupt", "the engine file is damaged; rebuild it"),
    (
        r"cudaError 35|error: 35\b|driver version is insufficient",
        "there is no NVIDIA driver here, or one older than the library's CUDA; install or upgrade the driver",
    ),
    (
        r"initialization failure with error: (?:100|999|3)\b|no CUDA-capable device",
        "no GPU can be used; look at nvidia-smi, and whether the GPU is passed through to this container",
    ),
    (
        r"OutOfMemory|out of memory|cudaError 2\b|MEM_ALLOC|memory allocation|Requested amount of .*memory",
        "memory ran out; close what else uses the GPU, give --batch a smaller MAX, or --workspace fewer MiB",
    ),
    (
        r"Could not find any implementation for node|No implementation .*supports",
        "no kernel fits a layer: give --workspace more MiB, or keep that layer in float with --keep-float",
    ),
    (
        r"No importer registered|[Pp]lugin not found|Unsupported operator|could not find plugin|Failed to load plugin",
        "the library has no such operator; export the network without it",
    ),
    (
        r"Non-zero zero point|asymmetric",
        "it takes symmetric INT8 only; quantize with edgepose build, which writes that",
    ),
    (
        r"DequantizeLinear.*[Ii]nt32|input has type Int32",
        "a bias is quantized; it must be float: quantize the float ONNX with edgepose build",
    ),
    (
        r"[Ss]cale coefficients must all be positive",
        "a scale is zero or lost in float16; calibrate again, or keep that layer in float with --keep-float",
    ),
    (
        r"no optimization profile has been defined|dynamic .*no optimization profile",
        "a free axis has no range; export the network with a free batch axis only",
    ),
    (
        r"Static dimension mismatch|Supplied binding dimension|profile's? .*dimension",
        "the input is not of the shape the engine was built for; rebuild it with --batch MIN,OPT,MAX",
    ),
    (
        r"[Cc]alibration table does not match|[Cc]alibration failure|calibration cache",
        "the calibration cache is of another version or kind; build again with --overwrite",
    ),
    (
        r"\bDLA\b.*(?:not supported|cannot|can't|failed|unsupported)|(?:not supported|cannot).*\bDLA\b",
        "the DLA takes no such layer or setting; build without --dla-core",
    ),
    (
        r"[Uu]nable to (?:load|find) library|nvinfer_builder_resource|cannot open shared object",
        "the installation is incomplete: a library of the same version is missing; install it again",
    ),
    (
        r"MyelinCheckException|Myelin \(|CASK|Cask|Internal Error",
        "the library's own compiler failed; try --builder-level 2, another precision, or another version of it",
    ),
)
TITLES = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX", "tensorrt_rtx_bindings": "TensorRT-RTX"}
KEPT = 1000  # lines of a kind: a library may warn at every frame, for months
NO_REASON = "the library gave no reason; see whether memory ran out (free -m, nvidia-smi)"


@dataclass
class Log:
    """The lines of one module's logger. logger: the object the library is given."""

    name: str
    logger: Any = None
    errors: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT))
    warnings: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT))

    def clear(self) -> None:
        self.errors.clear()
        self.warnings.clear()

    def reason(self, what: str, said: Sequence[str] = ()) -> str:
        """`what`, why and what to do on one line, from what the parser said or else from the logged errors."""
        lines = list(said) or list(self.errors)
        return f"{self.name} {what}: {explain(lines)}"


def explain(lines: Sequence[str]) -> str:
    """What a library's errors mean, with its own words behind; the first error that is known decides."""
    if not lines:
        return NO_REASON
    for line in lines:
        for pattern, meaning in MEANINGS:
            if re.search(pattern, line):
                return f"{meaning} [{plain(line)}]"
    return plain(lines[0])


def plain(line: str) -> str:
    """A message on one line without the source positions that the library writes into it."""
    text = re.sub(r"\(?\bIn \w+ at \S+:\d+\)?|\bat \S+\.(?:cpp|h):\d+|\[\w+\.(?:cpp|h)::?\w*::?\d+\]", "", line)
    return one_line(RuntimeError(text))


@functools.cache
def log_of(trt: ModuleType) -> Log:
    """The log of a module, made once."""
    log = Log(name=TITLES.get(trt.__name__.partition(".")[0], trt.__name__))

    class Logger(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (self.ERROR, self.INTERNAL_ERROR):
                log.errors.append(message)
            elif severity == self.WARNING:
                log.warnings.append(message)

    log.logger = Logger()
    return log
