"""`edgepose completion SHELL`: print the completion script of bash, zsh or fish."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    Examples:
      edgepose completion bash > ~/.local/share/bash-completion/completions/edgepose
      edgepose completion zsh > "${fpath[1]}/_edgepose"
      edgepose completion fish > ~/.config/fish/completions/edgepose.fish
    """
    from edgepose.cli.main import cli

    script = get_completion_class(shell)
    if script is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(script(cli, {}, "edgepose", "_EDGEPOSE_COMPLETE").source())
