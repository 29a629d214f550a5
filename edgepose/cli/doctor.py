"""`edgepose doctor`: what this machine can build and run, and what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from edgepose._optional import EXTRAS, available, remedy


def examine(root: Path = Path("/")) -> dict[str, Any]:
    """What was found: the machine, the board under `root` with its GPU and the sensors that bench will record, what
    computes the kernels, the backends with their problem, the packages with the extra that installs them, and advice:
    lines that say what to install or set."""
    from edgepose.backends import BACKENDS, extras
    from edgepose.kernels import cuda, implementation
    from edgepose.measure.advice import advise
    from edgepose.measure.board import read_board
    from edgepose.measure.machine import describe, pip_opencv

    board = read_board(root)
    return {
        "machine": describe().to_json(),
        "board": board.to_json() | {"gpu": _gpu(), "sensors": _sensors(root)},
        "kernels": {"host": implementation(), "cuda": cuda.implementation()},
        "backends": {name: _state(name) for name in BACKENDS},
        "packages": {
            name: "installed" if available(name) else f"missing: {remedy(name, extra)}"
            for name, extra in (extras() | EXTRAS).items()
        },
        "advice": list(advise(board, tensorrt=available("tensorrt"), pip_opencv=pip_opencv())),
    }


def _gpu() -> dict[str, Any] | str:
    """Name, compute capability, driver and the CUDA of the driver; or why there is none."""
    from edgepose.backends.cuda.device import find_device
    from edgepose.errors import EngineError

    try:
        return vars(find_device())
    except EngineError as error:
        return f"none: {error}"


def _sensors(root: Path) -> dict[str, list[str]]:
    """Kind -> the names of those that speak now."""
    from edgepose.measure.sensors import KINDS, open_sensors

    with open_sensors(root) as sensors:
        found = [sensor for sensor in sensors if sensor.read() is not None]
    return {kind: [sensor.name for sensor in found if sensor.kind == kind] for kind in KINDS}


def _state(backend: str) -> str:
    """`ready`, that it builds engines and cannot open them, or what is missing."""
    from edgepose.backends import load

    module = load(backend)
    problem = module.problem()
    if problem is not None:
        return problem
    reason = module.cannot_open()
    return "ready" if reason is None else f"builds engines, and cannot open them here: {reason}"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Say what this machine can build and run, and what is missing.

    \b
    Examples:
      edgepose doctor
      edgepose doctor --json | jq .backends
    """
    found = examine()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for line in _lines(found):
        click.echo(line)


def _lines(found: dict[str, Any], indent: str = "") -> Iterator[str]:
    """The findings for a person: a part under its name, a list on one line; lists of findings and advice on several."""
    for name, value in found.items():
        several = isinstance(value, list) and any(isinstance(item, dict) or name == "advice" for item in value)
        if isinstance(value, dict):
            yield f"{indent}{name}:" if value else f"{indent}{name}: none found"
            yield from _lines(value, indent + "  ")
        elif several:
            yield f"{indent}{name}:"
            yield from (f"{indent}  {_item(item)}" for item in value)
        else:
            yield f"{indent}{name}: {', '.join(map(str, value)) or 'none found' if isinstance(value, list) else value}"


def _item(item: dict[str, Any] | str) -> str:
    return item if isinstance(item, str) else ", ".join(f"{name} {value}" for name, value in item.items())
