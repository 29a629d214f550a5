"""Find out what this machine can build and run, and what is missing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgepose._optional import EXTRAS, available, remedy


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What was found on this machine.

    Attributes:
        machine: CPU, cores, instruction sets and versions of libraries.
        board: The board with its GPU, and the sensors that `benchmark` records.
        kernels: What computes the kernels on the host and on the GPU.
        backends: "ready" or the problem of each backend.
        packages: Whether each optional package is installed, and if not, how to install it.
        advice: What to install or to set, one line each.
    """

    machine: dict[str, Any]
    board: dict[str, Any]
    kernels: dict[str, str]
    backends: dict[str, str]
    packages: dict[str, str]
    advice: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return the value that `edgepose doctor --json` prints."""
        return asdict(self)


def doctor(root: Path = Path("/")) -> Diagnosis:
    """Examine this machine.

    Args:
        root: Folder under which the files of the board are looked for; "/" except in tests.

    Returns:
        What was found.

    Examples:
        >>> doctor().backends["openvino"]
        'ready'
    """
    from edgepose.backends import BACKENDS
    from edgepose.kernels import cuda, implementation
    from edgepose.measure.advice import advise
    from edgepose.measure.board import read_board
    from edgepose.measure.machine import describe, pip_opencv

    board = read_board(root)
    return Diagnosis(
        machine=describe().to_json(),
        board=board.to_json() | {"gpu": _gpu(), "sensors": _sensors(root)},
        kernels={"host": implementation(), "cuda": cuda.implementation()},
        backends={name: _state(name) for name in BACKENDS},
        packages={name: "installed" if available(name) else f"missing: {remedy(name)}" for name in EXTRAS},
        advice=list(advise(board, tensorrt=available("tensorrt"), pip_opencv=pip_opencv())),
    )


def _gpu() -> dict[str, Any] | str:
    """Name, compute capability, driver and CUDA version of the GPU, or why there is none."""
    from edgepose.backends.cuda.device import find_device
    from edgepose.errors import EngineError

    try:
        return dict(vars(find_device()))
    except EngineError as error:
        return f"none: {error}"


def _sensors(root: Path) -> dict[str, list[str]]:
    """Names of the sensors of each kind that give a value now."""
    from edgepose.measure.sensors import KINDS, open_sensors

    with open_sensors(root) as sensors:
        found = [sensor for sensor in sensors if sensor.read() is not None]
    return {kind: [sensor.name for sensor in found if sensor.kind == kind] for kind in KINDS}


def _state(backend: str) -> str:
    """`ready`, that the backend builds engines and cannot open them, or what is missing."""
    from edgepose.backends import load

    module = load(backend)
    problem = module.problem()
    if problem is not None:
        return problem
    reason = module.cannot_open()
    return "ready" if reason is None else f"builds engines, and cannot open them here: {reason}"
