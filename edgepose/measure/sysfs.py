"""What the Linux kernel says in files: clocks, and numbers that may not be there.

Every function takes the `root` under which the files lie ("/"; a folder in tests). A file that is missing, unreadable
or not what it should be is None: a machine's offer differs by board, kernel and container.
Documentation/admin-guide/pm/cpufreq.rst and Documentation/ABI/testing/sysfs-class-devfreq of the kernel.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Of a Jetson: 17000000.ga10b or .gpu (Orin), 17000000.gv11b (Xavier), gpu-gpc-0 (Thor, beside gpu-nvd-0 of the codecs).
_GPU = re.compile(r"\.(gpu|ga10b|gv11b|gp10b|gb10b)$|^gpu-gpc-\d+$")


@dataclass(frozen=True, kw_only=True)
class ClockFiles:
    """The files of one clock; `scale` of their numbers to MHz. name: `cpu0` (a cpufreq policy), `17000000.gpu`."""

    name: str
    now: Path
    low: Path
    high: Path
    governor: Path
    scale: float


def read_text(path: Path) -> str | None:
    """The text of a file without NULs and blanks at its ends; None where it cannot be read or says nothing."""
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except OSError:  # also of a sensor that is switched off: EAGAIN, EINVAL
        return None
    return text.strip("\0 \t\r\n") or None


def read_number(path: Path) -> int | None:
    """The integer in a file; None where there is none."""
    text = read_text(path)
    return int(text) if text is not None and re.fullmatch(r"[+-]?\d{1,18}", text) else None


def numbered(folder: Path, pattern: str) -> Iterator[Path]:
    """What matches in a folder, by number: hwmon2 before hwmon10. Nothing where the folder is not there."""
    yield from sorted(folder.glob(pattern), key=lambda path: (_number(path), path.name))


def _number(path: Path) -> int:
    found = re.search(r"\d+", path.name)
    return int(found.group()) if found else 0


def cpu_clocks(root: Path) -> tuple[ClockFiles, ...]:
    """The cpufreq policies: the cores of one share a clock. None of them in most virtual machines."""
    folders = numbered(root / "sys/devices/system/cpu/cpufreq", "policy[0-9]*")
    return tuple(
        ClockFiles(
            name=folder.name.replace("policy", "cpu"),
            now=folder / "scaling_cur_freq",
            low=folder / "scaling_min_freq",
            high=folder / "scaling_max_freq",
            governor=folder / "scaling_governor",
            scale=1e-3,
        )
        for folder in folders
    )


def gpu_clocks(root: Path) -> tuple[ClockFiles, ...]:
    """The clocks of a Jetson's GPU, by devfreq. Cards are asked through NVML (sensors.py)."""
    folders = [path for path in numbered(root / "sys/class/devfreq", "*") if _GPU.search(path.name)]
    return tuple(
        ClockFiles(
            name=folder.name,
            now=folder / "cur_freq",
            low=folder / "min_freq",
            high=folder / "max_freq",
            governor=folder / "governor",
            scale=1e-6,
        )
        for folder in folders
    )


def fastest_mhz(clocks: tuple[ClockFiles, ...]) -> float | None:
    """The fastest of them now: that of the cores which work, whatever the idle ones do."""
    found = [mhz for clock in clocks if (mhz := read_mhz(clock.now, clock.scale)) is not None]
    return max(found, default=None)


def read_mhz(path: Path, scale: float) -> float | None:
    """A clock in MHz; a clock of zero is switched off and is None."""
    number = read_number(path)
    return None if number is None or number <= 0 else round(number * scale, 3)
