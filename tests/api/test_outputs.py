"""Outputs of a run: where they may be, and what is refused before anything is written."""

from __future__ import annotations

import importlib
import os
from dataclasses import fields
from pathlib import Path

import pytest

from edgepose.api.outputs import STANDARD_OUTPUT, OutputOptions, refuse_outputs
from edgepose.errors import MissingPackage, UsageError
from edgepose.media.results import MARKER, OUTPUTS, field_of

FOLDERS = [name for name, output in OUTPUTS.items() if output.form == "folder"]
TEXTS = [name for name, output in OUTPUTS.items() if output.form == "text"]
FILES = [name for name, output in OUTPUTS.items() if output.form in ("file", "text") and output.package is None]


def given(name: str, place: object) -> OutputOptions:
    return OutputOptions(**{field_of(name): place})  # type: ignore[arg-type]


def test_nothing_is_written_by_default() -> None:
    options = OutputOptions()
    assert (options.places, options.outputs, options.prints) == ({}, (), False)
    assert all(item.default is None for item in fields(OutputOptions))


def test_text_is_a_path_and_an_address_stays_text() -> None:
    options = OutputOptions(out_json="a.json", mqtt="mqtt://broker/topic", view="8080")  # type: ignore[arg-type]
    assert options.places == {"json": Path("a.json"), "mqtt": "mqtt://broker/topic", "view": "8080"}
    assert options.outputs == (Path("a.json"),)


@pytest.mark.parametrize("name", TEXTS)
def test_a_dash_is_standard_output(name: str) -> None:
    for place in ("-", Path("-")):
        options = given(name, place)
        assert options.outputs == (STANDARD_OUTPUT,) and options.prints


@pytest.mark.parametrize("name", [name for name in OUTPUTS if OUTPUTS[name].form in ("file", "folder")])
def test_standard_output_takes_text_only(name: str) -> None:
    with pytest.raises(UsageError, match="standard output takes text only"):
        given(name, "-")


def test_two_outputs_for_one_place(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two outputs name standard output"):
        refuse_outputs(OutputOptions(out_json=Path("-"), out_jsonl=Path("-")), False, ())
    (tmp_path / "here").symlink_to(tmp_path)
    same = OutputOptions(out_json=tmp_path / "a", out_csv=tmp_path / "here" / "a")
    with pytest.raises(UsageError, match="two outputs name the same file"):
        refuse_outputs(same, False, ())
    inside = OutputOptions(out_trc=tmp_path / "trc", out_json=tmp_path / "trc" / "poses.json")
    with pytest.raises(UsageError, match=r"poses\.json lies in .*trc"):
        refuse_outputs(inside, False, ())
    refuse_outputs(OutputOptions(out_trc=tmp_path / "trc", out_mot=tmp_path / "trc2", out_json=Path("-")), False, ())


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_exists(name: str, tmp_path: Path) -> None:
    place = tmp_path / "out.mp4"
    refuse_outputs(given(name, place), False, ())
    place.write_text("earlier")
    with pytest.raises(UsageError, match="--overwrite"):
        refuse_outputs(given(name, place), False, ())
    refuse_outputs(given(name, place), True, ())
    with pytest.raises(UsageError, match="is an input"):
        refuse_outputs(given(name, place), True, (place,))


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_exists(name: str, tmp_path: Path) -> None:
    place = tmp_path / "out"
    refuse_outputs(given(name, place), False, ())
    place.mkdir()
    (place / "mine.jpg").write_text("")
    with pytest.raises(UsageError, match="--overwrite"):
        refuse_outputs(given(name, place), False, ())
    with pytest.raises(UsageError, match="edgepose did not write it"):
        refuse_outputs(given(name, place), True, ())
    (place / MARKER).write_text("{}")
    refuse_outputs(given(name, place), True, ())
    with pytest.raises(UsageError, match="is an input"):
        refuse_outputs(given(name, place), True, (place / "mine.jpg",))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="is no folder"):
        refuse_outputs(given(name, tmp_path / "pipe"), False, ())


def test_a_wrong_address_is_said_before_the_work() -> None:
    pytest.importorskip("paho.mqtt.client")
    for name, text in (("mqtt", "broker"), ("view", "page")):
        with pytest.raises(UsageError, match=f"{OUTPUTS[name].flag} '{text}': expected"):
            refuse_outputs(given(name, text), False, ())


@pytest.mark.parametrize("name", [name for name, output in OUTPUTS.items() if output.package is not None])
def test_a_missing_package_is_said_before_the_work(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package, extra = OUTPUTS[name].package or ("", "")
    real = importlib.import_module

    def importing(asked: str, *rest: object) -> object:
        if asked == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package.partition(".")[0])
        return real(asked)

    monkeypatch.setattr(importlib, "import_module", importing)
    place = "mqtt://broker/topic" if OUTPUTS[name].form == "address" else tmp_path / "out"
    with pytest.raises(MissingPackage, match=rf"edgepose\[{extra}\]"):
        refuse_outputs(given(name, place), False, ())
