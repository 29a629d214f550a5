"""`doctor` on hand-made boards: the schema of its JSON, and its words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boards
import pytest

from edgepose.api.doctor import doctor
from edgepose.report.outline import outline

NUMBER = (int, float)
CLOCK = {"name": str, "now_mhz": NUMBER, "low_mhz": NUMBER, "high_mhz": NUMBER, "governor": str, "held": bool}
MEMORY = {"total_mib": int, "available_mib": int, "swap_mib": int, "swap_free_mib": int, "swap_devices": [str]}
MODE = {"number": int, "name": str}
SENSORS = {"temperature_c": [str], "power_w": [str], "clock_mhz": [str]}
COMMON = {"libraries": dict, "clocks": [CLOCK], "memory": MEMORY, "gpu": (str, dict), "sensors": SENSORS}
JETSON = {"model": str, "l4t": str, "jetpack": str, "power_mode": MODE, "power_modes": [MODE]}
TOP = {"machine": dict, "board": dict, "kernels": dict, "backends": dict, "packages": dict, "advice": [str]}


def check(value: Any, schema: Any, where: str) -> None:
    """`value` has exactly the keys and types of `schema`."""
    if isinstance(schema, dict):
        assert isinstance(value, dict) and set(value) == set(schema), where
        for name, part in schema.items():
            check(value[name], part, f"{where}.{name}")
    elif isinstance(schema, list):
        assert isinstance(value, list), where
        for item in value:
            check(item, schema[0], f"{where}[]")
    else:
        assert isinstance(value, schema), where


def examined(tmp_path: Path, tree: boards.Tree) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(doctor(boards.plant(tmp_path, tree)).to_json(), allow_nan=False))
    return found


@pytest.mark.parametrize(
    ("tree", "board"),
    [
        (boards.ORIN_NANO, COMMON | JETSON),
        (boards.AGX_ORIN, COMMON | JETSON),
        (boards.THOR, COMMON | JETSON),
        (boards.DESKTOP, COMMON),
        ({}, {name: part for name, part in COMMON.items() if name != "memory"}),
    ],
    ids=["orin-nano", "agx-orin", "thor", "desktop", "empty"],
)
def test_the_schema(tmp_path: Path, tree: boards.Tree, board: dict[str, Any]) -> None:
    found = examined(tmp_path, tree)
    check(found, TOP, "doctor")
    check(found["board"], board, "board")


def test_the_names_of_an_orin_nano(tmp_path: Path) -> None:
    board = examined(tmp_path, boards.ORIN_NANO)["board"]
    assert (board["jetpack"], board["l4t"], board["power_mode"]["name"]) == ("6.2", "36.4.3", "15W")
    assert board["libraries"]["tensorrt"] == "10.3.0.30"
    assert board["sensors"]["power_w"] == ["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"]
    assert "cv0-thermal" not in board["sensors"]["temperature_c"]  # it is switched off


def test_the_words(tmp_path: Path) -> None:
    lines = list(outline(doctor(boards.plant(tmp_path, boards.THOR)).to_json(), empty="none found"))
    assert "  jetpack: 7.0" in lines
    assert "  clocks:" in lines and any(line.startswith("    name gpu-gpc-0, now_mhz 315") for line in lines)
    advice = lines[lines.index("advice:") + 1 :]
    assert advice and all(line.startswith("  ") for line in advice)
    assert any("sudo nvpmodel -m 0" in line for line in advice)


def test_nothing_to_advise_is_said(tmp_path: Path) -> None:
    assert list(outline(doctor(tmp_path).to_json(), empty="none found"))[-1] == "advice: none found"


def test_the_verb_prints_the_board(edgepose: Callable[..., Any]) -> None:
    plain = edgepose("doctor")
    assert plain.code == 0 and "board:" in plain.out and "  gpu: " in plain.out
