"""Write the help of every command into the page that holds `<!-- command line help -->`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from mkdocs.exceptions import PluginError

MARK = "<!-- command line help -->"
LIST = re.compile(r"^(?:Commands|Verbs[^:\n]*):$", re.MULTILINE)  # the heading over the list of commands


def _help(*verb: str) -> str:
    command = [sys.executable, "-m", "edgepose", *verb, "--help"]
    env = {**os.environ, "COLUMNS": "100"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    return done.stdout.replace("python -m edgepose", "edgepose").strip()


def _sections(*verb: str) -> Iterator[str]:
    text = _help(*verb)
    yield f"## {' '.join(('edgepose', *verb))}\n\n```text\n{text}\n```\n"
    _, *listed = LIST.split(text, maxsplit=1)
    for command in re.findall(r"^  ([a-z][\w-]*)(?: |$)", "".join(listed), re.MULTILINE):
        yield from _sections(*verb, command)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the mark by the help texts; MkDocs calls this for every page."""
    if MARK not in markdown:
        return markdown
    sections = list(_sections())
    if len(sections) < 2:
        raise PluginError("docs/hooks.py finds no commands in `edgepose --help`: correct LIST")
    return markdown.replace(MARK, "\n".join(sections))
