"""Verbs that look at what is there: `doctor`, `data check`, `inspect`, `cache` and `completion`."""

import json
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from edgepose.cli import options, show


@click.command()
@options.as_json
def doctor(as_json: bool) -> None:
    """Say what this machine can build and run, and what is missing.

    \b
    Examples:
      edgepose doctor
      edgepose doctor --json | jq .backends
    """
    from edgepose.api.doctor import doctor

    show.facts(doctor().to_json(), as_json, empty="none found")


@click.group()
def data() -> None:
    """Look at data sets before they are used.

    \b
    Example:
      edgepose data check lsp:LSP
    """


@data.command()
@click.argument("texts", metavar="KIND:PATH[:SPLIT]...", nargs=-1, required=True)
@click.option("--sheet", type=options.NEW_FILE, help="Draw some people with their labels into this picture.")
@click.option("--labels-only", is_flag=True, help="Do not read the images: faster, but their edges are not checked.")
@options.as_json
@options.overwrite
def check(texts: tuple[str, ...], sheet: Path | None, labels_only: bool, as_json: bool, overwrite: bool) -> None:
    """Say what data sets hold, what is missing, and what looks wrong.

    Without a SPLIT all splits that should share nobody are read, and photographs that are in two of them are named.
    Exit code 1 when images are missing or labels cannot be used; what only looks wrong is for you to judge. LABELS.json
    of your own are json:LABELS[:SKELETON][:CATEGORY], with a TOML file or a known name such as coco17 as the skeleton.

    \b
    Examples:
      edgepose data check lsp:LSP
      edgepose data check coco:COCO:val2017 --labels-only
      edgepose data check json:labels.json:skeleton.toml --sheet people.png
    """
    from edgepose.api.data import check_data
    from edgepose.report import findings

    found = check_data(texts, sheet=sheet, labels_only=labels_only, overwrite=overwrite, track=show.track)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
    else:
        for part in found.parts:
            show.lines(findings.lines(part))
            show.table("", *findings.joints(part))
        for pair in found.shared:
            show.lines(findings.shared(pair.first, pair.second, pair.pairs))
        show.lines([] if sheet is None else [sheet])
    click.get_current_context().exit(int(not found.usable))


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@options.as_json
def inspect(path: Path, as_json: bool) -> None:
    """Explain PATH: what it is, what it was made from, and in which precision each layer really runs.

    \b
    Examples:
      edgepose inspect engines/openvino-int8
      edgepose inspect model.onnx --json
    """
    from edgepose.api.inspect import inspect

    show.facts(inspect(path), as_json)


@click.command()
@click.option("--clear", is_flag=True, help="Delete the engines.")
def cache(clear: bool) -> None:
    """List the engines that were built of zoo models and ONNX files, by `edgepose run lite` or `edgepose.load`.

    They are in $EDGEPOSE_CACHE, or in the cache folder that the system gives to the user.

    \b
    Examples:
      edgepose cache
      edgepose cache --clear
    """
    from edgepose.api.cache import cache_entries, cache_folder, clear_cache

    entries = clear_cache() if clear else cache_entries()
    total = sum(entry.size_bytes for entry in entries) / 1e6
    show.note(f"{len(entries)} engines ({total:.1f} MB) {'deleted from' if clear else 'in'} {cache_folder()}")
    show.lines(f"{entry.path}  {entry.size_bytes / 1e6:.1f} MB" for entry in entries)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
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
