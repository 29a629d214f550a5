"""`edgepose doctor`: what this machine can build and run, and what is missing."""

from __future__ import annotations

import json
from typing import Any

import click

from edgepose._optional import EXTRAS, available


def examine() -> dict[str, Any]:
    """What was found: the machine, what computes the kernels, the backends with their problem, and the packages with
    the extra that installs them."""
    from edgepose.backends import BACKENDS, load
    from edgepose.kernels import cuda, implementation
    from edgepose.measure.machine import describe

    return {
        "machine": describe(),
        "kernels": {"host": implementation(), "cuda": cuda.implementation()},
        "backends": {name: load(name).problem() or "ready" for name in BACKENDS},
        "packages": {
            name: "installed" if available(name) else f"missing: pip install 'edgepose[{extra}]'"
            for name, extra in EXTRAS.items()
        },
    }


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
    for part, values in found.items():
        click.echo(f"{part}:")
        for name, value in values.items():
            click.echo(f"  {name}: {value if not isinstance(value, list) else ', '.join(map(str, value))}")
