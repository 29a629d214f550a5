"""Flags made of the fields of option dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner

from edgepose._options import option
from edgepose.cli.flags import flags_of, take


@dataclass(frozen=True, kw_only=True)
class Options:
    words: tuple[str, ...] = option(("a", "b"), "--words", "Words.", parse=lambda text: tuple(text.split(",")))
    many: tuple[str, ...] = option((), "--many", "Repeatable.")
    path: Path | None = option(None, "--path", "A path.")
    count: int = option(3, "--count", "A count.", min=1)
    share: float = option(0.5, "--share", "A share.", min=0, max=1)
    kind: str | None = option(None, "--kind", "A kind.", choices=("x", "y"))
    yes: bool = option(False, "--yes", "A flag.")
    inner: int = 7


def given(*args: str) -> Any:
    taken: list[Options] = []

    @click.command()
    @flags_of(Options)
    @click.option("--other")
    def command(**values: Any) -> None:
        taken.append(take(Options, values))
        assert set(values) == {"other"}

    result = CliRunner().invoke(command, args)
    return taken[0] if taken else result


def test_defaults_are_the_dataclasss() -> None:
    assert given() == Options()


def test_values() -> None:
    args = [
        "--words",
        "c,d",
        "--many",
        "e",
        "--many",
        "f",
        "--path",
        "g",
        "--count",
        "1",
        "--share",
        "1",
        "--kind",
        "y",
        "--yes",
    ]
    assert given(*args) == Options(
        words=("c", "d"), many=("e", "f"), path=Path("g"), count=1, share=1.0, kind="y", yes=True
    )


def test_wrong_values_and_help() -> None:
    for args in (("--count", "0"), ("--share", "2"), ("--kind", "z"), ("--inner", "1")):
        assert given(*args).exit_code == 2
    text = given("--help").output
    assert "[default: a,b]" in text and "[x|y]" in text and "x>=1" in text
