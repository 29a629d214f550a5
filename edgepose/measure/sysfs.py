"""Clocks and other numbers that the Linux kernel offers as files.

Every function takes the folder `root` under which the files are ("/", or another folder in tests). The value of a file
that is missing, unreadable or malformed is None, because boards, kernels and containers differ in what they offer. The
formats are those of Documentation/admin-guide/pm/cpufreq.rst and Documentation/ABI/testing/sysfs-class-devfreq of the
kernel.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Jetson GPUs: 17000000.ga10b or .gpu (Orin), 17000000.gv11b (Xavier), gpu-gpc-0 (Thor, where gpu-nvd-0 is the codecs).
_GPU = re.compile(r"\.(gpu|ga10b|gv11b|gp10b|gb10b)$|^gpu-gpc-\d+$")


@dataclass(frozen=True, kw_only=True)
class ClockFiles:
    """The files of one clock.

    Attributes:
        name: "cpu0" (a cpufreq policy) or "17000000.gpu".
        now: File of the present frequency.
        low: File of the lowest frequency that the governor may choose.
        high: File of the highest frequency that the governor may choose.
        governor: File of the governor's name.
        scale: Factor from the numbers in the files to MHz.
    """

    name: str
    now: Path
    low: Path
    high: Path
    governor: Path
    scale: float


def read_text(path: Path) -> str | None:
    """Read a file as text, without NULs and blanks at its ends; None where it is unreadable or empty."""
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except OSError:  # a sensor that is switched off gives EAGAIN or EINVAL
        return None
    return text.strip("\0 \t\r\n") or None


def read_number(path: Path) -> int | None:
    """Read the integer in a file; None where there is none."""
    text = read_text(path)
    return int(text) if text is not None and re.fullmatch(r"[+-]?\d{1,18}", text) else None


def numbered(folder: Path, pattern: str) -> Iterator[Path]:
    """List the entries of a folder that match, by number: hwmon2 before hwmon10. Empty where there is no folder."""
    yield from sorted(folder.glob(pattern), key=lambda path: (_number(path), path.name))


def _number(path: Path) -> int:
    found = re.search(r"\d+", path.name)
    return int(found.group()) if found else 0


def cpu_clocks(root: Path) -> tuple[ClockFiles, ...]:
    """List the cpufreq policies. The cores of a policy share a clock. Most virtual machines have no policy."""
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
    """List the devfreq clocks of a Jetson's GPU. The clocks of cards are read through NVML in `sensors`."""
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
    """Read the highest present frequency in MHz, which belongs to the cores that work; None where there is none."""
    found = [mhz for clock in clocks if (mhz := read_mhz(clock.now, clock.scale)) is not None]
    return max(found, default=None)


def read_mhz(path: Path, scale: float) -> float | None:
    """Read a clock in MHz; None where it is unreadable, or zero because it is switched off."""
    number = read_number(path)
    return None if number is None or number <= 0 else round(number * scale, 3)
