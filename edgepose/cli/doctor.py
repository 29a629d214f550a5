"""`edgepose doctor`: what this machine can build and run, and what is missing."""

from __future__ import annotations

import click

from edgepose.cli import options, show


@click.command()
@options.as_json
def command(as_json: bool) -> None:
    """Say what this machine can build and run, and what is missing.

    \b
    Examples:
      edgepose doctor
      edgepose doctor --json | jq .backends
    """
    from edgepose.api.doctor import doctor

    show.facts(doctor().to_json(), as_json, empty="none found")
