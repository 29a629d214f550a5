"""Text of messages: nothing secret in it, and on one line."""

from __future__ import annotations

import pytest

from edgepose.errors import printable, redact


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


def test_names_that_cannot_be_printed():
    assert printable("a b é 日本.jpg") == "a b é 日本.jpg"
    assert printable("a\nb\t\x1b[31m") == "a\\nb\\t\\x1b[31m"
    assert printable(b"l\xe4tin".decode(errors="surrogateescape")) == "l\\xe4tin"
    assert printable("\u202egpj.exe").isascii()  # turns the direction of the text
