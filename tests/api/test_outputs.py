"""Outputs of a run: where they may be, and what is refused before anything is written."""

from __future__ import annotations

import importlib
import os
from dataclasses import fields
from pathlib import Path

import pytest

from edgepose.api.outputs import (
    STANDARD_OUTPUT,
    OutputOptions,
    open_outputs,
    outputs_of_source,
    refuse_meetings,
    refuse_outputs,
)
from edgepose.errors import EdgeposeError, MissingPackage, UsageError
from edgepose.media.results import MARKER, OUTPUTS, field_of
from edgepose.media.results.sink import RunFacts
from edgepose.pose.skeletons import SKELETONS

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
    with pytest.raises(UsageError, match=r"two outputs name the same file, .*; give each its own"):
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
    result = place / f"mine{OUTPUTS[name].holds[0]}"
    result.write_text("")
    with pytest.raises(UsageError, match="--overwrite"):
        refuse_outputs(given(name, place), False, ())
    with pytest.raises(UsageError, match="edgepose did not write it"):
        refuse_outputs(given(name, place), True, ())
    (place / MARKER).write_text("{}")
    refuse_outputs(given(name, place), True, ())
    with pytest.raises(UsageError, match="is an input"):
        refuse_outputs(given(name, place), True, (result,))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="is no folder"):
        refuse_outputs(given(name, tmp_path / "pipe"), False, ())


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_with_what_the_run_would_lose(name: str, tmp_path: Path) -> None:
    place = tmp_path / "out"
    (place / "day1").mkdir(parents=True)
    (place / MARKER).write_text('{"source": "hall"}')
    (place / "day1" / f"hall-000000{OUTPUTS[name].holds[0]}").write_text("")
    refuse_outputs(given(name, place), True, (), "hall")
    with pytest.raises(UsageError, match="holds the results of hall, which those of yard would replace"):
        refuse_outputs(given(name, place), True, (), "yard")
    (place / "day1" / "notes.txt").write_text("")
    with pytest.raises(UsageError, match=r"edgepose did not write notes\.txt in it"):
        refuse_outputs(given(name, place), True, (), "hall")


@pytest.mark.parametrize("name", FOLDERS)
def test_two_runs_do_not_write_into_one_folder_at_a_time(name: str, tmp_path: Path) -> None:
    options = given(name, tmp_path / "new" / "out")
    about = RunFacts(name="hall", skeleton=SKELETONS["lsp14"], fps=25.0, draw=lambda frame, poses: frame.image)
    with open_outputs(options, about), pytest.raises(EdgeposeError, match="another run is writing into"):
        open_outputs(options, about).__enter__()
    with pytest.raises(KeyboardInterrupt), open_outputs(options, about):
        raise KeyboardInterrupt  # before the first frame


def test_names_of_outputs_of_one_and_of_several_sources(tmp_path: Path) -> None:
    options = OutputOptions(
        out_json=tmp_path / "p.tar.json", out_trc=tmp_path / "trc.d", out_csv=tmp_path / "{source}" / "t.csv",
        mqtt="mqtt://broker/{source}/poses", view="0", out_jsonl=Path("-"),
    )  # fmt: skip
    one, hall = outputs_of_source(options, "hall"), outputs_of_source(options, "hall", several=True)
    assert one.out_json == options.out_json and hall.out_json == tmp_path / "p.tar-hall.json"
    assert one.out_trc == options.out_trc and hall.out_trc == tmp_path / "trc.d-hall"
    for made in (one, hall):
        assert made.out_csv == tmp_path / "hall" / "t.csv" and made.mqtt == "mqtt://broker/hall/poses"
        assert made.out_jsonl == STANDARD_OUTPUT and made.view == "0"


@pytest.mark.parametrize("name", [name for name in TEXTS if name != "jsonl"])
def test_only_json_lines_of_several_sources_share_standard_output(name: str) -> None:
    outputs_of_source(given(name, "-"), "hall")
    with pytest.raises(UsageError, match="cannot hold several sources"):
        outputs_of_source(given(name, "-"), "hall", several=True)


def test_outputs_of_several_sources_that_meet(tmp_path: Path) -> None:
    def outputs(**places: Path) -> list[OutputOptions]:
        return [outputs_of_source(OutputOptions(**places), name, several=True) for name in ("a", "a-b")]

    refuse_meetings(outputs(out_json=tmp_path / "p.json", out_csv=tmp_path / "p.csv"))
    with pytest.raises(UsageError, match=r"two sources would write .*p-a-b\.json"):
        refuse_meetings(outputs(out_json=tmp_path / "p.json", out_jsonl=tmp_path / "p-{source}-b.json"))
    with pytest.raises(UsageError, match=r"q\.json lies in .*p-a, which another output fills"):
        refuse_meetings(outputs(out_trc=tmp_path / "p", out_json=tmp_path / "p-a" / "{source}" / "q.json"))


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
