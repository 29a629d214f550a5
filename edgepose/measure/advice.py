"""Advice on what to install or set on a board: the last part of `edgepose doctor`. Each line ends in the command.

On a Jetson all libraries come from JetPack (docs/install-jetson.md), so the advice covers missing libraries. On other
machines it covers only what disturbs timings, because `edgepose doctor` lists missing packages with each backend.
"""

from __future__ import annotations

import re

from edgepose.measure.board import Board

OLDEST_L4T = 36  # JetPack 6, the first release with Python 3.10
FREE_MIB = 2048  # a build needs about this much for TensorRT's tactics and the graph
SMALL_MIB = 10 * 1024  # a build may need swap on boards with less memory


def advise(board: Board, *, tensorrt: bool, pip_opencv: str | None) -> tuple[str, ...]:
    """List what to change on a board.

    Args:
        board: The board.
        tensorrt: Whether Python can import TensorRT.
        pip_opencv: Name and version of the OpenCV that pip installed, for example "opencv-python 4.11.0", or None.

    Returns:
        One sentence per problem, with the command that solves it.
    """
    jetson = board.l4t is not None
    if jetson and int(str(board.l4t).partition(".")[0]) < OLDEST_L4T:
        return (f"L4T {board.l4t} has no Python 3.10 or later; edgepose needs JetPack 6 or 7: flash one of them",)
    lines = [*_software(board, tensorrt, pip_opencv)] if jetson else []
    return (*lines, *_mode(board), *_clocks(board, jetson), *_memory(board, jetson))


def _software(board: Board, tensorrt: bool, pip_opencv: str | None) -> list[str]:
    found, lines = board.libraries, []
    missing = [name for name in ("tensorrt", "tensorrt_python", "cudnn", "cuda") if name not in found]
    if missing:
        names = {"tensorrt_python": "python3-libnvinfer (TensorRT for Python)", "cuda": "the CUDA toolkit (nvcc)"}
        listed = ", ".join(names.get(name, name) for name in missing)
        lines.append(f"JetPack's {listed} not installed: sudo apt install nvidia-jetpack")
    if "tensorrt_python" in found and not tensorrt:
        lines.append(
            "JetPack's tensorrt is installed and this Python does not see it: make the environment with "
            "/usr/bin/python3 -m venv --system-site-packages .venv"
        )
    if pip_opencv is not None and "opencv" in found:
        lines.append(
            f"{pip_opencv} of pip hides JetPack's OpenCV {found['opencv']} (with GStreamer, for CSI cameras): "
            "to use that one, see docs/install-jetson.md"
        )
    return lines


def _mode(board: Board) -> list[str]:
    fastest = max(board.modes, key=lambda mode: mode.rank, default=None)
    if board.mode is None or fastest is None or board.mode == fastest:
        return []
    return [f"power mode {board.mode.name} limits the clocks; the fastest is {fastest.name}: {_set(fastest.number)}"]


def _set(number: int) -> str:
    return f"sudo nvpmodel -m {number} (it may ask to restart)"


def _clocks(board: Board, jetson: bool) -> list[str]:
    """Advise on clocks that would move during a benchmark."""
    moving = [clock.name for clock in board.clocks if not clock.held]
    if not moving:
        return []
    remedy = (
        "sudo jetson_clocks, after nvpmodel and until the next start"
        if jetson
        else "sudo cpupower frequency-set -g performance"
    )
    return [f"the clocks follow the load ({', '.join(moving)}), which blurs timings: {remedy}"]


def _memory(board: Board, jetson: bool) -> list[str]:
    memory = board.memory
    if memory is None:
        return []
    lines = []
    if memory.available_mib < FREE_MIB:
        remedy = "; the desktop takes about 1 GiB: sudo systemctl set-default multi-user.target" if jetson else ""
        free = f"{memory.available_mib} MiB of memory are free and a build wants {FREE_MIB}"
        lines.append(f"{free}: end other programs{remedy}")
    on_disk = [name for name in memory.swap_devices if not re.match(r"/dev/zram\d+$", name)]
    if jetson and memory.total_mib < SMALL_MIB and not on_disk:
        lines.append(
            "no swap but compressed memory, which a build on a small board can exhaust: sudo fallocate -l 8G /swapfile "
            "&& sudo chmod 600 /swapfile && sudo mkswap /swapfile && sudo swapon /swapfile"
        )
    return lines
