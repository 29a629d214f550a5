"""Denormal numbers, which some CPUs compute with up to a hundred times more slowly than with other numbers.

Float32 numbers below 1.2e-38 are denormal. Networks have them where a Gaussian or a sigmoid falls off, and they make no
difference to any joint. Intel CPUs compute a convolution of such values slowly: IEF, which draws Gaussians inside its
graph, took 58 ms instead of 13 ms per crop on an Intel Xeon (OpenVINO, FP32, one thread).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from edgepose.kernels.choice import native

FLUSHES = native is not None  # whether `denormals_flushed` has an effect


@contextlib.contextmanager
def denormals_flushed() -> Iterator[None]:
    """Treat denormal numbers as zero in the calling thread, and restore what the thread did before.

    Threads that a library starts are not affected. Without the host extension nothing changes.
    """
    if native is None:
        yield
        return
    before = native.flush_denormals()
    try:
        yield
    finally:
        native.set_float_mode(before)
