"""The message of an error is one readable line, whatever a damaged file put into it, and holds no password."""

from __future__ import annotations

import pytest

from edgepose.errors import LONGEST, DataError, EdgeposeError, printable, redact


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://me:secret@camera:554/live", "rtsp://***@camera:554/live"),
        ("rtsp://me:se@cr/e?t#1@camera/live?secret=1", "rtsp://***@camera/live?***"),
        ("rtsp://:secret@camera", "rtsp://***@camera"),
        ("RTSP://ME:SECRET@CAMERA", "RTSP://***@CAMERA"),
        ("http://secret@host/x", "http://***@host/x"),
        ("http://host/clip.mp4?token=secret&x=1", "http://host/clip.mp4?***"),
        ("https://host/clip.mp4#secret", "https://host/clip.mp4#***"),
        ('rtsp://me:se "cret@camera/1', "rtsp://***@camera/1"),
        ("no ONNX file at http:/me:secret@host/net.onnx", "no ONNX file at http:/***@host/net.onnx"),
        ("no folder foo:/me:secret@host/x", "no folder foo:/***@host/x"),
        ("'rtsp://me:secret@a/b' and rtmps://u:secret@c", "'rtsp://***@a/b' and rtmps://***@c"),
        ("edgepose build 'srt://u:secret@h/n.onnx' --out x@y", "edgepose build 'srt://***@h/n.onnx' --out x@y"),
        ("images:/home/me@work/a?b", "images:/home/me@work/a?b"),
        ("C:/Users/me@work", "C:/Users/me@work"),
        ("a@b.example", "a@b.example"),
        ("rtsp://camera/live", "rtsp://camera/live"),
    ],
)
def test_secrets_of_addresses_are_hidden(text, shown):
    assert redact(text) == shown
    assert "secret" not in redact(text).lower()
    assert redact(redact(text)) == redact(text)
    assert "secret" not in str(DataError(f"cannot open {text}")).lower()


def test_names_that_cannot_be_printed():
    assert printable("a b é 日本.jpg") == "a b é 日本.jpg"
    assert printable("a\nb\t\x1b[31m") == "a\\nb\\t\\x1b[31m"
    assert printable(b"l\xe4tin".decode(errors="surrogateescape")) == "l\\xe4tin"
    assert printable("\u202egpj.exe").isascii()  # turns the direction of the text


@pytest.mark.parametrize("start", ["", "//"])
def test_passwords_without_a_scheme_are_hidden(start):
    assert redact(f"no source '{start}me:secret@192.168.1.5:554/live'; expected") == (
        "no source '***@192.168.1.5:554/live'; expected"
    )
    for plain in ("json:a@b.json", "a: b@c", "mail me@host.org", "node 'a:0@x y'", "C:/x@y", "images:day@night/a.jpg"):
        assert redact(plain) == plain
