"""A contract as TOML: what is written is read back to an equal contract."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgepose.artifacts.spec import ModelSpec, read_toml, spec_from_dict
from edgepose.artifacts.toml import spec_to_toml

PLAIN: dict[str, Any] = {"name": "net", "skeleton": "coco17"}
ODD = {"name": 'odd "quoted" \\ name\u007f \u2028 \U0001f600', "joints": ["left_a", "right_a", 'b"'],
       "flips": [["left_a", "right_a"]], "limbs": [["left_a", 'b"']], "sigmas": [0.1, 0.1, 0.25]}  # fmt: skip
SPECS: dict[str, dict[str, Any]] = {
    "plain": PLAIN,
    "own skeleton": {**PLAIN, "name": "tab\there", "skeleton": ODD},
    "joints of a known name": {**PLAIN, "skeleton": {"name": "coco17", "joints": ["nose", "neck"]}},
    "unit": {**PLAIN, "codec": {"type": "regression", "range": "unit"}, "outputs": ["a/b:0"]},
    "pixels": {**PLAIN, "input": {"dtype": "uint8", "layout": "nhwc", "name": "in put"}},
    "fractions": {**PLAIN, "input": {"scale": 1 / 255, "mean": [0, 0, 0], "std": [1, 1, 1]}},
    "quantized": {**PLAIN, "quantize": {"keep_float": ["/head/*"], "method": "percentile", "stem_float": False}},
    "border": {**PLAIN, "crop": {"border": "replicate", "padding": 1.5}},
}


@pytest.mark.parametrize("name", SPECS)
def test_a_contract_is_read_back(name: str, tmp_path: Path) -> None:
    spec = spec_from_dict(SPECS[name], "test")
    (tmp_path / "spec.toml").write_text(spec_to_toml(spec), encoding="utf-8")
    found = spec_from_dict(read_toml(tmp_path / "spec.toml"), "test")
    assert found == spec and found.sha256() == spec.sha256()


def test_remarks_are_comments(tmp_path: Path) -> None:
    spec = spec_from_dict(PLAIN, "test")
    text = spec_to_toml(spec, remarks={"input.mean": "guessed:\nfor a reason", "skeleton": "so many joints"})
    lines = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
    assert lines["mean"].endswith("# guessed: for a reason") and lines["skeleton"] == '"coco17"  # so many joints'
    (tmp_path / "spec.toml").write_text(text)
    assert spec_from_dict(read_toml(tmp_path / "spec.toml"), "test") == spec


def test_the_family_comes_where_the_graph_is_rewritten() -> None:
    spec: ModelSpec = replace(spec_from_dict(PLAIN, "test"), name="other")
    assert 'family = "simcc"' in spec_to_toml(spec, family="simcc").splitlines()
    assert "family" not in spec_to_toml(spec)
