"""Zoo names in place of engine folders, and the verb that shows the cache."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_run_eval_and_bench_of_a_name(
    edgepose: Callable[..., Any], photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEPOSE_CACHE", str(tmp_path / "cache"))
    done = edgepose("run", "lite", "--source", photographs / "003.jpg")
    assert done.code == 0, done.err
    (line,) = done.out.splitlines()
    frame = json.loads(line)
    assert (frame["frame"], frame["index"], len(frame["people"])) == ("003.jpg", 0, 1)
    assert "built " in done.err
    done = edgepose("run", "lite", "--source", photographs, "--out-csv", tmp_path / "poses.csv")
    assert done.code == 0, done.err
    assert "built " not in done.err and done.out.split() == [str(tmp_path / "poses.csv")]
    assert edgepose("eval", "lite", "--data", "synthetic:32", "--n-boot", 100).code == 0
    assert edgepose("bench", "lite", "--rounds", 1).code == 0
    shown = edgepose("cache")
    assert "1 engines" in shown.err and "lite-openvino-" in shown.out
    assert edgepose("cache", "--clear").out == shown.out
    assert edgepose("cache").out == ""
    assert not list((tmp_path / "cache").iterdir())


def test_a_name_that_is_none(edgepose: Callable[..., Any], photographs: Path) -> None:
    done = edgepose("run", "lit", "--source", photographs)
    assert (done.code, "did you mean 'lite'" in done.err) == (1, True)
