"""What board this is and how it is set: release, libraries, power mode, clocks, memory.

    read_board()      of a Jetson, or of any Linux machine as far as it says; advice.py says what to change

Only files are read, under `root`, so that a recorded tree of files stands for a board: no program is run and nothing
needs root: nv_tegra_release, dpkg's status, CUDA's version.json, nvpmodel's configuration and status, cpufreq, devfreq.
What is not there is None or empty. Nothing here ran on a Jetson: the formats are those of listings that owners of
boards published.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from edgepose.measure import sysfs

# L4T -> JetPack, where the package nvidia-jetpack does not say; from release notes and published listings
JETPACKS = {
    "36.2": "6.0 DP",
    "36.3": "6.0",
    "36.4": "6.1",
    "36.4.3": "6.2",
    "36.4.4": "6.2.1",
    "36.5": "6.2.2",
    "38.2": "7.0",
    "38.4": "7.1",
    "39.2": "7.2",
    "39.2.1": "7.2.1",
}
LIBRARIES = {  # what it is called here -> the Debian package, of any of its versions
    "tensorrt": r"libnvinfer\d+",
    "tensorrt_python": r"python3-libnvinfer",
    "cudnn": r"libcudnn\d+(-cuda-\d+)?",
    "opencv": r"libopencv-python|python3-opencv",
}
_PACKAGE = re.compile(r"^Package: (\S+)$.*?(?=^Package: |\Z)", re.MULTILINE | re.DOTALL)
_MODE = re.compile(r"^<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>", re.MULTILINE)
_DEFAULT_MODE = re.compile(r"^<\s*PM_CONFIG\s+DEFAULT=(\d+)\s*>", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Mode:
    """A power mode of nvpmodel: `sudo nvpmodel -m NUMBER`."""

    number: int
    name: str

    @property
    def rank(self) -> tuple[bool, int, int]:
        """Faster modes are higher: those without a limit, then by watts. Numbers say nothing (7W may be the last)."""
        watts = re.search(r"(\d+)W", self.name)
        return self.name.startswith("MAXN"), int(watts.group(1)) if watts else 0, len(self.name)


@dataclass(frozen=True, kw_only=True)
class Clock:
    """A clock in MHz now and the range its governor has; the cores of a processor that are set alike are one."""

    name: str
    now_mhz: float | None
    low_mhz: float | None
    high_mhz: float | None
    governor: str | None

    @property
    def held(self) -> bool:
        """Whether it cannot move but by throttling: jetson_clocks, or the performance governor of a processor."""
        return self.governor == "performance" or (self.low_mhz is not None and self.low_mhz == self.high_mhz)


@dataclass(frozen=True, kw_only=True)
class Memory:
    """MiB. swap_devices: `/dev/zram0` is memory compressed, not more of it."""

    total_mib: int
    available_mib: int
    swap_mib: int
    swap_free_mib: int
    swap_devices: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return vars(self) | {"swap_devices": list(self.swap_devices)}


@dataclass(frozen=True, kw_only=True)
class Board:
    """model, jetpack, l4t: of a Jetson. libraries: LIBRARIES and `cuda` (the toolkit) -> version, as far as there."""

    model: str | None = None
    jetpack: str | None = None
    l4t: str | None = None
    libraries: dict[str, str] = field(default_factory=dict)
    mode: Mode | None = None
    modes: tuple[Mode, ...] = ()
    clocks: tuple[Clock, ...] = ()
    memory: Memory | None = None

    def to_json(self) -> dict[str, Any]:
        """Without what the machine does not offer."""
        return {
            **{name: value for name in ("model", "jetpack", "l4t") if (value := getattr(self, name)) is not None},
            "libraries": dict(self.libraries),
            **({} if self.mode is None else {"power_mode": vars(self.mode)}),
            **({"power_modes": [vars(mode) for mode in self.modes]} if self.modes else {}),
            "clocks": [_present(vars(clock)) | {"held": clock.held} for clock in self.clocks],
            **({} if self.memory is None else {"memory": self.memory.to_json()}),
        }


def _present(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def read_board(root: Path = Path("/")) -> Board:
    """What the files under `root` say."""
    packages = _packages(root)
    l4t = _l4t(root, packages)
    modes = _modes(root)
    return Board(
        model=sysfs.read_text(root / "proc/device-tree/model"),
        jetpack=_jetpack(packages, l4t),
        l4t=l4t,
        libraries=_libraries(root, packages),
        mode=_mode(root, modes),
        modes=modes,
        clocks=(*_cpu(root), *map(_clock, sysfs.gpu_clocks(root))),
        memory=_memory(root),
    )


def _packages(root: Path) -> dict[str, str]:
    """The installed Debian packages -> version without epoch; none on other systems."""
    found = {}
    for stanza in _PACKAGE.finditer(sysfs.read_text(root / "var/lib/dpkg/status") or ""):
        version = re.search(r"^Version: (?:\d+:)?(\S+)$", stanza.group(), re.MULTILINE)
        if version and re.search(r"^Status: \S+ ok installed$", stanza.group(), re.MULTILINE):
            found[stanza.group(1)] = version.group(1)
    return found


def _l4t(root: Path, packages: dict[str, str]) -> str | None:
    """`36.4.3`, of the release file or of the package that wrote it; a revision of `3.0` is `36.3`."""
    text = sysfs.read_text(root / "etc/nv_tegra_release") or ""
    found = re.search(r"R(\d+) \(release\), REVISION: (\d+(?:\.\d+)*)", text)
    core = re.match(r"\d+(?:\.\d+)+", packages.get("nvidia-l4t-core", ""))
    release = ".".join(found.groups()) if found else core.group() if core else None
    return None if release is None else re.sub(r"^(\d+\.\d+)\.0$", r"\1", release)


def _jetpack(packages: dict[str, str], l4t: str | None) -> str | None:
    """What the package says, else what the release belongs to, else its generation: `6.x`."""
    said = re.match(r"\d+(?:\.\d+)*", packages.get("nvidia-jetpack", ""))
    if said or l4t is None:
        return said.group() if said else None
    generation = {"36": "6.x", "38": "7.x", "39": "7.x"}.get(l4t.partition(".")[0])
    return JETPACKS.get(l4t, generation)


def _libraries(root: Path, packages: dict[str, str]) -> dict[str, str]:
    """The highest version of each; `10.3.0.30` of `10.3.0.30-1+cuda12.5`."""
    found = {}
    for name, pattern in LIBRARIES.items():
        versions = [version for package, version in packages.items() if re.fullmatch(pattern, package)]
        if versions:
            found[name] = max(versions, key=_numbers).partition("-")[0]
    cuda = _cuda(root)
    return found if cuda is None else found | {"cuda": cuda}


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _cuda(root: Path) -> str | None:
    """The version of the toolkit in /usr/local/cuda."""
    text = sysfs.read_text(root / "usr/local/cuda/version.json")
    try:
        value = json.loads(text or "null")
    except json.JSONDecodeError:
        return None
    cuda = value.get("cuda") if isinstance(value, dict) else None
    version = cuda.get("version") if isinstance(cuda, dict) else None
    return version if isinstance(version, str) else None


def _modes(root: Path) -> tuple[Mode, ...]:
    text = sysfs.read_text(root / "etc/nvpmodel.conf") or ""
    return tuple(Mode(number=int(number), name=name) for number, name in _MODE.findall(text))


def _mode(root: Path, modes: tuple[Mode, ...]) -> Mode | None:
    """The mode that was set, else that of the start; None where its number has no name."""
    said = re.fullmatch(r"pmode:(\d+)", sysfs.read_text(root / "var/lib/nvpmodel/status") or "")
    said = said or _DEFAULT_MODE.search(sysfs.read_text(root / "etc/nvpmodel.conf") or "")
    return next((mode for mode in modes if said and mode.number == int(said.group(1))), None)


def _clock(files: sysfs.ClockFiles) -> Clock:
    now, low, high = (sysfs.read_mhz(path, files.scale) for path in (files.now, files.low, files.high))
    governor = sysfs.read_text(files.governor)
    return Clock(name=files.name, now_mhz=now, low_mhz=low, high_mhz=high, governor=governor)


def _cpu(root: Path) -> tuple[Clock, ...]:
    """The processors' clocks; neighbors that are set alike as one, `cpu0-4`, with the fastest clock."""

    def setting(clock: Clock) -> tuple[object, ...]:
        return clock.low_mhz, clock.high_mhz, clock.governor

    merged = []
    for _, group in groupby(map(_clock, sysfs.cpu_clocks(root)), setting):
        clocks = list(group)
        first, last = clocks[0], clocks[-1]
        name = first.name if first is last else f"{first.name}-{last.name.removeprefix('cpu')}"
        fastest = max((clock.now_mhz for clock in clocks if clock.now_mhz is not None), default=None)
        limits = {"low_mhz": first.low_mhz, "high_mhz": first.high_mhz}
        merged.append(Clock(name=name, now_mhz=fastest, governor=first.governor, **limits))
    return tuple(merged)


def _memory(root: Path) -> Memory | None:
    """None where /proc/meminfo does not say it."""
    text = sysfs.read_text(root / "proc/meminfo") or ""
    mib = {name: int(kib) // 1024 for name, kib in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}
    if not {"MemTotal", "MemAvailable", "SwapTotal", "SwapFree"} <= set(mib):
        return None
    lines = (sysfs.read_text(root / "proc/swaps") or "").splitlines()[1:]
    return Memory(
        total_mib=mib["MemTotal"],
        available_mib=mib["MemAvailable"],
        swap_mib=mib["SwapTotal"],
        swap_free_mib=mib["SwapFree"],
        swap_devices=tuple(line.split()[0] for line in lines if line.strip()),
    )
