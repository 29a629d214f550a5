"""Verify that an exported graph computes the same as its checkpoint: ONNX Runtime is compared with torch on real crops.

Run only the tests of this module: `pytest tests/export/test_verify.py`.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array, check_array
from edgepose._optional import optional
from edgepose.backends.onnxruntime import OnnxRuntimeSession, failures
from edgepose.backends.session import OpenOptions
from edgepose.errors import ModelError, ParityError, one_line

if TYPE_CHECKING:
    from torch import nn

TOLERANCE = 1e-4  # fraction of the largest output; sums in float32 differ by 1e-6 to 1e-5 with the order of terms


@dataclass(frozen=True, kw_only=True)
class Parity:
    """The difference between the graph and the checkpoint, in the units of the outputs.

    Attributes:
        max_abs_error: The largest absolute difference.
        mean_abs_error: The mean absolute difference.
        scale: The largest absolute output, to which the errors are compared.
        n: The number of crops.
        batches: The batch sizes that were run.
    """

    max_abs_error: float
    mean_abs_error: float
    scale: float
    n: int
    batches: tuple[int, ...]


def verify(
    module: nn.Module,
    onnx_path: Path,
    crops: Array,  # [N, 3, H, W] float32
    tolerance: float = TOLERANCE,
) -> Parity:
    """Compare every output at batch size 1 and at batch size N.

    Args:
        module: The torch network.
        onnx_path: The exported graph.
        crops: Crops [N, 3, H, W] float32, normalized as the network expects.
        tolerance: Largest accepted error, as a fraction of the largest output.

    Returns:
        The measured difference.

    Raises:
        ParityError: The error is above the tolerance, or an output is not finite.
        ModelError: ONNX Runtime cannot run the graph.
    """
    n = check_array("crops", crops, ("N", 3, "H", "W"), np.float32)["N"]
    if n < 1:
        raise ValueError("crops: expected at least one crop")
    batches = (1,) if n == 1 else (1, n)
    expected = _torch_outputs(module, crops)
    pairs = [
        (found, whole[:batch])
        for batch in batches
        for found, whole in zip(_onnx_outputs(onnx_path, crops[:batch]), expected, strict=True)
    ]
    parity = _measure(pairs, n, batches)
    # `not error <= limit` is also true for NaN, which `error > limit` is not.
    if not parity.max_abs_error <= tolerance * parity.scale:
        raise ParityError(
            f"{onnx_path} does not compute the same as the checkpoint: it differs by up to "
            f"{parity.max_abs_error:.3g} while outputs reach {parity.scale:.3g} ({n} crops, tolerance "
            f"{tolerance:g} of that); look for branches, sizes and random numbers that the trace made constant"
        )
    return parity


def _measure(pairs: list[tuple[Array, Array]], n: int, batches: tuple[int, ...]) -> Parity:
    for found, expected in pairs:
        if found.shape != expected.shape:
            raise ParityError(
                f"the graph returns shape {list(found.shape)}, but torch returns {list(expected.shape)}; look for "
                "sizes that the trace made constant"
            )
    errors = np.concatenate([np.abs(found - expected).ravel() for found, expected in pairs])
    return Parity(
        max_abs_error=float(errors.max()),
        mean_abs_error=float(errors.mean()),
        scale=float(max(np.abs(expected).max() for _, expected in pairs)),
        n=n,
        batches=batches,
    )


def _torch_outputs(module: nn.Module, crops: Array) -> list[Array]:
    torch = optional("torch")
    network = copy.deepcopy(module).cpu().float().eval()
    with torch.inference_mode():
        found = network(torch.from_numpy(np.ascontiguousarray(crops)))
    return [value.numpy() for value in (found if isinstance(found, (tuple, list)) else (found,))]


def _onnx_outputs(onnx_path: Path, crops: Array) -> list[Array]:
    try:
        with OnnxRuntimeSession(onnx_path, OpenOptions()) as session:
            return list(session.run({session.inputs[0]: crops}).values())
    except failures() as error:
        raise ModelError(f"ONNX Runtime cannot run {onnx_path}: {one_line(error)}") from error
