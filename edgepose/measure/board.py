"""The board and its settings: release, libraries, power mode, clocks and memory.

`read_board` describes a Jetson, or any Linux machine as far as its files allow. `edgepose.measure.advice` says what to
change.

Only files under `root` are read: nv_tegra_release, the status file of dpkg, CUDA's version.json, the configuration and
status of nvpmodel, cpufreq and devfreq. No program is run and no root right is needed, so tests use recorded files in
the place of a board. A fact that the machine does not offer is None or empty. This module has not run on a Jetson yet:
the file formats are taken from listings that owners of boards published.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from edgepose.measure import sysfs

# L4T -> JetPack, used where the package nvidia-jetpack is not installed. From release notes and published listings.
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
LIBRARIES = {  # our name of a library -> pattern of the Debian package's name
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
    """A power mode of nvpmodel, set with `sudo nvpmodel -m NUMBER`."""

    number: int
    name: str

    @property
    def rank(self) -> tuple[bool, int, int]:
        """A key that sorts modes by speed: modes without a limit are fastest, the others are ordered by watts.

        The numbers of the modes do not tell: the mode of 7 W may have the highest number.
        """
        watts = re.search(r"(\d+)W", self.name)
        return self.name.startswith("MAXN"), int(watts.group(1)) if watts else 0, len(self.name)


@dataclass(frozen=True, kw_only=True)
class Clock:
    """A clock: its frequency now, the range of its governor, and the governor. Cores with equal settings are merged."""

    name: str
    now_mhz: float | None
    low_mhz: float | None
    high_mhz: float | None
    governor: str | None

    @property
    def held(self) -> bool:
        """Whether only throttling can move the clock: after jetson_clocks, or with the performance governor."""
        return self.governor == "performance" or (self.low_mhz is not None and self.low_mhz == self.high_mhz)


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Memory and swap in MiB. `/dev/zram0` among `swap_devices` is compressed memory, not additional memory."""

    total_mib: int
    available_mib: int
    swap_mib: int
    swap_free_mib: int
    swap_devices: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Convert to a JSON value."""
        return vars(self) | {"swap_devices": list(self.swap_devices)}


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board and its settings.

    Attributes:
        model: Model of a Jetson, else None.
        jetpack: Version of JetPack, None where it is unknown.
        l4t: Version of L4T, None on other machines.
        libraries: Installed libraries of `LIBRARIES`, and "cuda" for the toolkit -> version.
        mode: The power mode.
        modes: All power modes.
        clocks: The clocks of the CPU and, on a Jetson, of the GPU.
        memory: Memory and swap.
    """

    model: str | None = None
    jetpack: str | None = None
    l4t: str | None = None
    libraries: dict[str, str] = field(default_factory=dict)
    mode: Mode | None = None
    modes: tuple[Mode, ...] = ()
    clocks: tuple[Clock, ...] = ()
    memory: Memory | None = None

    def to_json(self) -> dict[str, Any]:
        """Convert to a JSON value, without the facts that the machine does not offer."""
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
    """Describe the board whose files are under `root`."""
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
    """Installed Debian package -> version without epoch; empty on other systems."""
    found = {}
    for stanza in _PACKAGE.finditer(sysfs.read_text(root / "var/lib/dpkg/status") or ""):
        version = re.search(r"^Version: (?:\d+:)?(\S+)$", stanza.group(), re.MULTILINE)
        if version and re.search(r"^Status: \S+ ok installed$", stanza.group(), re.MULTILINE):
            found[stanza.group(1)] = version.group(1)
    return found


def _l4t(root: Path, packages: dict[str, str]) -> str | None:
    """The version of L4T, `36.4.3`, from the release file or from its package. A revision of `3.0` becomes `36.3`."""
    text = sysfs.read_text(root / "etc/nv_tegra_release") or ""
    found = re.search(r"R(\d+) \(release\), REVISION: (\d+(?:\.\d+)*)", text)
    core = re.match(r"\d+(?:\.\d+)+", packages.get("nvidia-l4t-core", ""))
    release = ".".join(found.groups()) if found else core.group() if core else None
    return None if release is None else re.sub(r"^(\d+\.\d+)\.0$", r"\1", release)


def _jetpack(packages: dict[str, str], l4t: str | None) -> str | None:
    """The version of JetPack: that of the package, else that of the L4T release, else its generation, `6.x`."""
    said = re.match(r"\d+(?:\.\d+)*", packages.get("nvidia-jetpack", ""))
    if said or l4t is None:
        return said.group() if said else None
    generation = {"36": "6.x", "38": "7.x", "39": "7.x"}.get(l4t.partition(".")[0])
    return JETPACKS.get(l4t, generation)


def _libraries(root: Path, packages: dict[str, str]) -> dict[str, str]:
    """Library -> its highest installed version; `10.3.0.30-1+cuda12.5` becomes `10.3.0.30`."""
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
    """The power mode that was set, else the default mode; None where its number has no name."""
    said = re.fullmatch(r"pmode:(\d+)", sysfs.read_text(root / "var/lib/nvpmodel/status") or "")
    said = said or _DEFAULT_MODE.search(sysfs.read_text(root / "etc/nvpmodel.conf") or "")
    return next((mode for mode in modes if said and mode.number == int(said.group(1))), None)


def _clock(files: sysfs.ClockFiles) -> Clock:
    now, low, high = (sysfs.read_mhz(path, files.scale) for path in (files.now, files.low, files.high))
    governor = sysfs.read_text(files.governor)
    return Clock(name=files.name, now_mhz=now, low_mhz=low, high_mhz=high, governor=governor)


def _cpu(root: Path) -> tuple[Clock, ...]:
    """The clocks of the CPU. Neighboring cores with equal settings become one, `cpu0-4`, with the fastest clock."""

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
    """Memory and swap; None where /proc/meminfo lacks a number."""
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
