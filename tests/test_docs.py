"""The documentation names what the code has: options, contract keys and public names; its examples of TOML are read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest

import edgepose
from edgepose._options import declared
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.spec import CropSpec, InputSpec, read_toml, spec_from_dict
from edgepose.artifacts.tables import keys_of
from edgepose.cli.main import cli
from edgepose.codecs import CODECS, codec_named

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FILES = (ROOT / "docs/reference/files.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(page.read_text()) if kind == language]


def commands() -> Iterator[Any]:
    for page in PAGES:
        for line in "".join(blocks(page, "sh")).splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["edgepose"]:
                yield pytest.param(words[1:], id=f"{page.stem}: {line[:60]}")


@pytest.mark.parametrize("words", list(commands()))
def test_every_command_and_its_options_exist(words: list[str]) -> None:
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        assert found is not None, f"there is no edgepose {words[0]}"
        command, words = found, words[1:]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= {*known, "--help"}


@pytest.mark.parametrize("page", ["docs/guides/your-network.md", "docs/reference/files.md"])
def test_contracts_in_the_docs_are_read(page: str, tmp_path: Path) -> None:
    for text in blocks(ROOT / page, "toml"):
        (tmp_path / "net.toml").write_text(text)
        spec_from_dict(read_toml(tmp_path / "net.toml"), page)


def contract_keys() -> list[str]:
    parts: list[tuple[str, Any]] = [("input", InputSpec), ("crop", CropSpec), ("quantize", QuantizeOptions)]
    keys = [f"{part}.{item.name}" for part, kind in parts for item in fields(kind)]
    return keys + [f"codec.{key}" for name in CODECS for key in keys_of(codec_named(name))]


@pytest.mark.parametrize("key", contract_keys())
def test_every_key_of_the_contract_is_described(key: str) -> None:
    assert f"| `{key}`" in FILES


def test_every_flag_of_quantization_is_described() -> None:
    flags = [flag for item in declared(QuantizeOptions).values() for flag in item.metadata["flag"].split("/")]
    assert [flag for flag in flags if f"`{flag}`" not in FILES] == []


def test_every_public_name_is_described() -> None:
    page = (ROOT / "docs/reference/python.md").read_text()
    assert [name for name in edgepose.__all__ if f"| [`{name}`]" not in page and f"| `{name}`" not in page] == []


def test_the_readme_is_short() -> None:
    assert (ROOT / "README.md").stat().st_size <= 8000
