"""`edgepose cache`: the engines that were built of zoo models and ONNX files."""

from __future__ import annotations

import click

from edgepose.cli import show


@click.command()
@click.option("--clear", is_flag=True, help="Delete the engines.")
def command(clear: bool) -> None:
    """List the engines in the cache folder, which `edgepose run lite` and `edgepose.load` build.

    The folder is $EDGEPOSE_CACHE, or the user's cache folder of the system.

    \b
    Examples:
      edgepose cache
      edgepose cache --clear
    """
    from edgepose.api.cache import cache_entries, cache_folder, clear_cache

    entries = clear_cache() if clear else cache_entries()
    total = sum(entry.size_bytes for entry in entries) / 1e6
    done = "deleted from" if clear else "in"
    show.note(f"{len(entries)} engines ({total:.1f} MB) {done} {cache_folder()}")
    show.lines(f"{entry.path}  {entry.size_bytes / 1e6:.1f} MB" for entry in entries)
