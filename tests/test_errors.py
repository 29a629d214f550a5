"""The message of an error is one readable line, whatever a damaged file put into it."""

from __future__ import annotations

import pytest

from edgepose.errors import LONGEST, DataError, EdgeposeError


@pytest.mark.parametrize("name", ["a\nb", "a\r\n\tb", "a\u2028b", "a\x1b[31mb", "a\u202eb", "\x00"])
def test_line_breaks_and_control_characters_are_not_shown(name: str) -> None:
    line = str(DataError(f"no joint {name}; correct it"))
    assert line.isprintable()
    assert line.startswith("no joint ")
    assert line.endswith("; correct it")


def test_a_long_message_keeps_its_beginning_and_its_end() -> None:
    line = str(EdgeposeError(f"labels.json: unknown joint {'x' * 100_000}; known: left_hip"))
    assert len(line) <= LONGEST
    assert line.startswith("labels.json: unknown joint x")
    assert line.endswith("; known: left_hip")


def test_other_messages_are_as_they_were_written() -> None:
    assert str(DataError("größer als 3 px ☃")) == "größer als 3 px ☃"
    assert str(DataError()) == ""
