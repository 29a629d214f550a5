"""Verbs that look at what is there: `doctor`, `data check`, `inspect`, `check`, `diagnose`, `cache`, `completion`."""

import json
from pathlib import Path
from typing import Any

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
@click.option("--toml", is_flag=True, help="Print the contract, also one that is recognized, as a spec.toml to edit.")
@options.as_json
def inspect(path: Path, toml: bool, as_json: bool) -> None:
    """Explain PATH: what it is, what it was made from, and in which precision each layer really runs.

    \b
    Examples:
      edgepose inspect engines/openvino-int8
      edgepose inspect yolo11n-pose.onnx --toml > net.toml
    """
    from edgepose.api.inspect import contract_toml, inspect

    if toml:
        return show.lines(contract_toml(path).splitlines())
    return show.facts(inspect(path), as_json)


@click.command(name="check")
@options.engines
@click.option("--threads", type=click.IntRange(0), default=0, show_default=True, help="CPU threads; 0: the backend's.")
@click.option("--spec", type=options.FILE, help="Judge the contract of one ONNX file: its spec.toml.")
@click.option("--data", metavar="KIND:PATH[:SPLIT]", help="Judge the contract of one network on these people.")
@options.as_json
def check_engines(engines: tuple[str, ...], threads: int, spec: Path | None, data: str | None, as_json: bool) -> None:
    """Run the acceptance sample of ENGINES: the crops in each engine folder, and what the float network found on them.

    Use it after an engine was copied to another device, or after a backend was updated. Exit code 1 when an engine
    does not compute what it should, or cannot be opened.

    Of a network (an ONNX file, or a folder with one), or with --spec or --data, judge the contract instead: say what
    was guessed and what cannot be right, and with --data compare color order, mean and std with the usual alternatives
    on people of the training set. Exit code 1 when the contract cannot be right.

    \b
    Examples:
      edgepose check engines/openvino-int8
      edgepose check engines/* --json
      edgepose check yolo11n-pose.onnx
      edgepose check net.onnx --spec net.toml --data json:labels.json
    """
    from edgepose.api.check import check
    from edgepose.api.contract import check_contract, is_network

    judged = [name for name in engines if is_network(name)]
    if spec is not None or data is not None or judged:
        if len(engines) != 1:
            which = "--spec and --data judge" if not judged else f"{judged[0]} is a network, of which check judges"
            raise click.UsageError(f"{which} the contract of one network at a time")
        report = check_contract(engines[0], spec, data, track=show.track)
        show.lines([json.dumps({"format": 1, **report.to_json()}, indent=2)] if as_json else report.lines)
        click.get_current_context().exit(int(not report.ok))
    results = check(engines, threads=threads, track=show.track)
    if as_json:
        click.echo(json.dumps({"format": 1, "engines": [result.to_json() for result in results]}, indent=2))
    else:
        show.lines(line for result in results for line in result.lines())
    click.get_current_context().exit(int(not all(result.ok for result in results)))


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--calib", metavar="KIND:PATH[:SPLIT]", help="Images to run on; by default rendered figures.")
@click.option("--limit", type=click.FloatRange(min=0), default=1e-4, show_default=True,
              help="Relative error above which two float tensors differ.")  # fmt: skip
@options.as_json
def diagnose(first: str, second: str, as_json: bool, **given: Any) -> None:
    """Find the first layer at which B parts from A: ONNX files, engine folders or zoo names of one network.

    A is the one that is right. Of FP16 and INT8, the layers are ranked by the signal-to-noise ratio that they lose.
    Exit code 1 when A and B part.

    \b
    Examples:
      edgepose diagnose net.onnx engines/fp32.onnx
      edgepose diagnose engines/fp32.onnx engines/openvino-fp32
      edgepose diagnose engines/fp32.onnx engines/int8.onnx --calib lsp:LSP:train
    """
    from edgepose.api.diagnose import diagnose

    found = diagnose(first, second, track=show.track, **given)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
    else:
        show.lines(found.lines())
    click.get_current_context().exit(int(found.parted))


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
