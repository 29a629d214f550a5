"""Boards as hand-made trees of files (tests/boards.py), whole, in part and damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boards
import pytest

from edgepose.measure.advice import advise
from edgepose.measure.board import Board, Mode, read_board


def board(tmp_path: Path, tree: boards.Tree) -> Board:
    return read_board(boards.plant(tmp_path, tree))


def test_an_orin_nano(tmp_path: Path) -> None:
    found = board(tmp_path, boards.ORIN_NANO)
    assert found.model == "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"
    assert (found.jetpack, found.l4t) == ("6.2", "36.4.3")
    assert found.libraries == {
        "tensorrt": "10.3.0.30",
        "tensorrt_python": "10.3.0.30",
        "cudnn": "9.3.0.75",
        "opencv": "4.8.0",
        "cuda": "12.6.11",
    }
    assert found.mode == Mode(number=0, name="15W") and len(found.modes) == 4
    cpu, gpu = found.clocks
    assert (cpu.name, cpu.now_mhz, cpu.low_mhz, cpu.high_mhz, cpu.held) == ("cpu0-4", 1190.4, 729.6, 1497.6, False)
    assert (gpu.name, gpu.now_mhz, gpu.high_mhz, gpu.governor) == ("17000000.gpu", 306, 612, "nvhost_podgov")
    assert found.memory is not None
    assert (found.memory.total_mib, found.memory.available_mib, found.memory.swap_mib) == (7620, 5100, 3810)
    assert found.memory.swap_devices == ("/dev/zram0",)


def test_an_agx_orin_without_the_jetpack_package_in_its_default_mode(tmp_path: Path) -> None:
    found = board(tmp_path, boards.AGX_ORIN)
    assert (found.l4t, found.jetpack) == ("36.3", "6.0")
    assert found.mode == Mode(number=2, name="30W")
    assert found.libraries == {}
    assert all(clock.held for clock in found.clocks) and len(found.clocks) == 2


def test_a_thor(tmp_path: Path) -> None:
    found = board(tmp_path, boards.THOR)
    assert (found.l4t, found.jetpack) == ("38.2", "7.0")
    assert (found.libraries["tensorrt"], found.libraries["cuda"]) == ("10.13.2.6", "13.0.48")
    assert [clock.name for clock in found.clocks] == ["cpu0", "gpu-gpc-0"]


def test_a_desktop_is_no_jetson(tmp_path: Path) -> None:
    found = board(tmp_path, boards.DESKTOP)
    assert (found.model, found.l4t, found.jetpack, found.mode) == (None, None, None, None)
    assert [clock.name for clock in found.clocks] == ["cpu0-1"] and found.clocks[0].now_mhz == 4200
    assert set(found.to_json()) == {"libraries", "clocks", "memory"}


@pytest.mark.parametrize(
    ("revision", "l4t", "jetpack"),
    [
        ("R36 (release), REVISION: 4.0", "36.4", "6.1"),
        ("R36 (release), REVISION: 4.4", "36.4.4", "6.2.1"),
        ("R36 (release), REVISION: 9.9", "36.9.9", "6.x"),
        ("R38 (release), REVISION: 4.0", "38.4", "7.1"),
        ("R39 (release), REVISION: 2.0", "39.2", "7.2"),
        ("R39 (release), REVISION: 2.1", "39.2.1", "7.2.1"),
        ("R44 (release), REVISION: 1.0", "44.1", None),
        ("R36 (release)", None, None),
    ],
)
def test_releases(tmp_path: Path, revision: str, l4t: str | None, jetpack: str | None) -> None:
    found = board(tmp_path, {"etc/nv_tegra_release": f"# {revision}, GCID: 1\n"})
    assert (found.l4t, found.jetpack) == (l4t, jetpack)


def test_the_release_of_the_package_where_the_file_is_gone(tmp_path: Path) -> None:
    assert board(tmp_path, boards.packages(nvidia_l4t_core="38.2.0-20250821174705")).l4t == "38.2"


def test_nothing_is_invented_on_an_empty_machine(tmp_path: Path) -> None:
    assert read_board(tmp_path) == Board()
    assert read_board(tmp_path).to_json() == {"libraries": {}, "clocks": []}


@pytest.mark.parametrize("content", ["", "\0\0", "garbage\n", "{", '{"cuda": 3}', "[]", "null", "\xff\xfe\n: x"])
def test_malformed_files_are_as_missing_ones(tmp_path: Path, content: str) -> None:
    boards.plant(tmp_path, boards.ORIN_NANO)
    kept = "proc/device-tree/model"
    for path in tmp_path.rglob("*"):
        if path.is_file() and not str(path).endswith((kept, "governor")):
            path.write_bytes(content.encode("latin-1"))
    found = read_board(tmp_path)
    assert (found.l4t, found.jetpack, found.libraries, found.mode, found.modes) == (None, None, {}, None, ())
    assert found.memory is None
    assert {clock.now_mhz for clock in found.clocks} == {None} and not any(clock.held for clock in found.clocks)


def test_a_mode_without_a_name_is_not_known(tmp_path: Path) -> None:
    assert board(tmp_path, boards.modes(8, 0, MAXN=0)).mode is None


@pytest.mark.parametrize("tree", [boards.ORIN_NANO, boards.AGX_ORIN, boards.THOR, boards.DESKTOP])
def test_it_is_json(tmp_path: Path, tree: boards.Tree) -> None:
    value: dict[str, Any] = json.loads(json.dumps(board(tmp_path, tree).to_json(), allow_nan=False))
    assert None not in [item for clock in value["clocks"] for item in clock.values()]


def lines(tmp_path: Path, tree: boards.Tree, *, tensorrt: bool = True, pip_opencv: str | None = None) -> str:
    return "\n".join(advise(board(tmp_path, tree), tensorrt=tensorrt, pip_opencv=pip_opencv))


def test_advice_for_an_orin_nano(tmp_path: Path) -> None:
    said = lines(tmp_path, boards.ORIN_NANO, pip_opencv="opencv-python-headless 4.11.0.86")
    mode, clocks, swap = [line for line in said.splitlines() if "OpenCV" not in line]
    assert "15W" in mode and "MAXN_SUPER: sudo nvpmodel -m 2" in mode  # not 7W, which has the highest number
    assert "cpu0-4, 17000000.gpu" in clocks and "sudo jetson_clocks" in clocks
    assert "mkswap" in swap
    assert "opencv-python-headless 4.11.0.86 of pip hides JetPack's OpenCV 4.8.0" in said
    assert "apt install" not in said


def test_advice_for_a_bare_agx_orin(tmp_path: Path) -> None:
    said = lines(tmp_path, boards.AGX_ORIN, tensorrt=False, pip_opencv="opencv-python-headless 4.11.0.86")
    assert "sudo apt install nvidia-jetpack" in said and "python3-libnvinfer" in said
    assert "MAXN: sudo nvpmodel -m 0" in said
    assert "1500 MiB" in said and "multi-user.target" in said
    assert "jetson_clocks" not in said and "hides" not in said and "venv" not in said


def test_a_python_that_does_not_see_tensorrt(tmp_path: Path) -> None:
    assert "venv --system-site-packages" in lines(tmp_path, boards.THOR, tensorrt=False)
    assert "venv" not in lines(tmp_path, boards.THOR, tensorrt=True)


def test_a_jetpack_that_is_too_old(tmp_path: Path) -> None:
    said = lines(tmp_path, {"etc/nv_tegra_release": "# R35 (release), REVISION: 4.1, GCID: 1\n"})
    assert said.startswith("L4T 35.4.1") and "JetPack 6 or 7" in said


def test_advice_for_a_desktop_is_about_its_clocks(tmp_path: Path) -> None:
    (line,) = lines(tmp_path, boards.DESKTOP, tensorrt=False, pip_opencv="opencv-python 4").splitlines()
    assert "cpupower" in line


def test_nothing_to_say(tmp_path: Path) -> None:
    tree = boards.policy(0, 800000, 4600000, 4200000, "performance") | boards.memory(32000, 24000)
    assert lines(tmp_path, tree) == ""
