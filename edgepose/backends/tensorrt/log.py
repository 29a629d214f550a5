"""Collect the messages of a TensorRT library and explain its errors.

TensorRT keeps the first logger that it gets until the process ends, so each library has one logger, and its lines
are cleared before each build and each opening. `Log.reason` makes one line of them: an explanation with what to do,
followed by the library's own message.

Run only the tests of this file with `pytest tests/backends/test_trt_log.py`.
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

# pattern in a message -> what it means and what to do; the first match counts, so special patterns come first
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
KEPT = 1000  # lines of each kind; a library may warn at every frame of a long run
NO_REASON = "the library gave no reason; see whether memory ran out (free -m, nvidia-smi)"


@dataclass
class Log:
    """Messages of one library.

    Attributes:
        name: Title of the library, such as "TensorRT-RTX".
        logger: The object that is passed to the library.
        errors: The latest errors.
        warnings: The latest warnings.
    """

    name: str
    logger: Any = None
    errors: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT))
    warnings: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT))

    def clear(self) -> None:
        """Forget all messages."""
        self.errors.clear()
        self.warnings.clear()

    def reason(self, what: str, said: Sequence[str] = ()) -> str:
        """Return one line that says what failed, why, and what to do.

        Args:
            what: What failed, such as "cannot load the engine".
            said: Messages of the parser; without any, the logged errors are explained.
        """
        lines = list(said) or list(self.errors)
        return f"{self.name} {what}: {explain(lines)}"


def explain(lines: Sequence[str]) -> str:
    """Return an explanation of a library's errors, followed by the message it belongs to.

    Args:
        lines: Error messages; the first one that `MEANINGS` knows is explained.
    """
    if not lines:
        return NO_REASON
    for line in lines:
        for pattern, meaning in MEANINGS:
            if re.search(pattern, line):
                return f"{meaning} [{plain(line)}]"
    return plain(lines[0])


def plain(line: str) -> str:
    """Return a message on one line, without the source positions that the library adds."""
    text = re.sub(r"\(?\bIn \w+ at \S+:\d+\)?|\bat \S+\.(?:cpp|h):\d+|\[\w+\.(?:cpp|h)::?\w*::?\d+\]", "", line)
    return one_line(RuntimeError(text))


@functools.cache
def log_of(trt: ModuleType) -> Log:
    """Return the log of an imported library, which is created once."""
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
