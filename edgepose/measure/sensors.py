"""Temperature, power and clocks during a benchmark, from the sensors that the machine offers.

    with open_sensors() as sensors:
        recorder = Recorder(sensors)
        time_interleaved(subjects, rounds, warmup, recorder.during(track))
    recorder.summary(gpu=True)       # a SensorReadings

Thermal zones, hwmon (on a Jetson the INA3221 and INA238 of the power rails) and clocks are read from sysfs. NVIDIA
cards are read through NVML where nvidia-ml-py is installed. A sensor that the machine does not offer is left out.
Readings are taken between timed rounds and in the same thread, because another thread would read during a timing. This
module has not run on a Jetson yet: the file names are those of the kernel's Documentation/hwmon/ina3221.rst, ina238.rst
and sysfs-interface.rst.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from edgepose._optional import available, optional
from edgepose._progress import T, Track
from edgepose.measure import sysfs
from edgepose.measure.timings import SensorRange, SensorReadings

TEMPERATURE, POWER, CLOCK = KINDS = ("temperature_c", "power_w", "clock_mhz")
MOVED = 0.05  # fraction of the highest frequency; a larger change is not the jitter of the reading
INTERVAL_S = 0.5
COLDEST_C, HOTTEST_C = -100, 300  # thermal zones that are switched off read -256 or less


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """A sensor.

    Attributes:
        kind: One of `KINDS`.
        name: The name in results.
        read: Returns the value now, or None when the sensor has none.
        remedy: What holds a clock still; shown when it moved.
    """

    kind: str
    name: str
    read: Callable[[], float | None]
    remedy: str = ""


@contextmanager
def open_sensors(root: Path = Path("/"), nvml: ModuleType | None = None) -> Iterator[tuple[Sensor, ...]]:
    """Open all sensors, those of the board before those of cards.

    A sensor that has no value now is kept, because it may have one later: an idle GPU of a Jetson has no temperature.

    Args:
        root: The folder under which the files of the system are looked for.
        nvml: The module pynvml; the installed one by default.
    """
    if nvml is None and available("pynvml"):
        nvml = optional("pynvml")
    with _cards(nvml) as cards:
        found: dict[tuple[str, str], Sensor] = {}
        for sensor in (*_zones(root), *_monitors(root), *_clocks(root), *cards):
            found.setdefault((sensor.kind, sensor.name), sensor)
        yield tuple(found.values())


def _zones(root: Path) -> Iterator[Sensor]:
    """The thermal zones: `cpu-thermal` and `tj-thermal` on a Jetson, `x86_pkg_temp` on x86."""
    for folder in sysfs.numbered(root / "sys/class/thermal", "thermal_zone[0-9]*"):
        name = sysfs.read_text(folder / "type")
        if name is not None:
            yield _celsius(name, folder / "temp")


def _monitors(root: Path) -> Iterator[Sensor]:
    """Power rails and temperatures of the hwmon chips, without chips that repeat a thermal zone (`cpu_thermal`)."""
    zones = {zone.name.replace("-", "_") for zone in _zones(root)}
    for folder in sysfs.numbered(root / "sys/class/hwmon", "hwmon[0-9]*"):
        chip = sysfs.read_text(folder / "name")
        if chip is None or chip in zones:
            continue
        yield from _rails(folder)
        for path in sysfs.numbered(folder, "power[0-9]*_input"):
            yield _watts(_label(path, chip), path)
        for path in sysfs.numbered(folder, "temp[0-9]*_input"):
            if not _label(path, chip).startswith("coretemp Core "):  # the temperature of the package covers its cores
                yield _celsius(_label(path, chip), path)


def _rails(folder: Path) -> Iterator[Sensor]:
    """The power of each labeled channel as voltage times current, because an INA3221 does not report power."""
    for path in sysfs.numbered(folder, "in[0-9]*_label"):
        name = sysfs.read_text(path)
        channel = path.name[len("in") : -len("_label")]
        current = folder / f"curr{channel}_input"
        if name is not None and name != "NC" and current.is_file():  # NC: not connected
            yield _rail(name, folder / f"in{channel}_input", current)


def _rail(name: str, millivolts: Path, milliamperes: Path) -> Sensor:
    def read() -> float | None:
        volts, amperes = sysfs.read_number(millivolts), sysfs.read_number(milliamperes)
        return None if volts is None or amperes is None else volts * amperes * 1e-6

    return Sensor(kind=POWER, name=name, read=read)


def _label(path: Path, chip: str) -> str:
    """The chip's name with the sensor's label ("coretemp Package id 0"), or with its number ("nvme 1")."""
    label = sysfs.read_text(path.with_name(path.name.replace("_input", "_label")))
    number = re.sub(r"\D", "", path.name)
    return f"{chip} {number}" if label is None else f"{chip} {label}"


def _watts(name: str, path: Path) -> Sensor:
    def read() -> float | None:
        microwatts = sysfs.read_number(path)
        return None if microwatts is None else microwatts * 1e-6

    return Sensor(kind=POWER, name=name, read=read)


def _celsius(name: str, path: Path) -> Sensor:
    def read() -> float | None:
        number = sysfs.read_number(path)
        celsius = None if number is None else number * 1e-3
        return celsius if celsius is not None and COLDEST_C < celsius < HOTTEST_C else None

    return Sensor(kind=TEMPERATURE, name=name, read=read)


def _clocks(root: Path) -> Iterator[Sensor]:
    """`cpu`, the clock of the fastest core, and `gpu` on a Jetson."""
    cpu, gpu = sysfs.cpu_clocks(root), sysfs.gpu_clocks(root)
    jetson = "hold it still with sudo nvpmodel -m MODE, then sudo jetson_clocks"
    desktop = "hold it still with sudo cpupower frequency-set -g performance, and turbo off"
    on_jetson = bool(gpu) or (root / "etc/nv_tegra_release").is_file()
    if cpu:
        remedy = jetson if on_jetson else desktop
        yield Sensor(kind=CLOCK, name="cpu", read=lambda: sysfs.fastest_mhz(cpu), remedy=remedy)
    if gpu:
        yield Sensor(kind=CLOCK, name="gpu", read=lambda: sysfs.fastest_mhz(gpu), remedy=jetson)


@contextmanager
def _cards(nvml: ModuleType | None) -> Iterator[list[Sensor]]:
    """The sensors of NVIDIA cards; empty without the library, without a driver, or without a card."""
    if nvml is None:
        yield []
        return
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:  # no driver
        yield []
        return
    try:
        yield _all_cards(nvml)
    finally:
        nvml.nvmlShutdown()


def _all_cards(nvml: ModuleType) -> list[Sensor]:
    """`gpu`, or `gpu0`, `gpu1` where there are several."""
    try:
        handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
    except nvml.NVMLError:
        return []
    names = ["gpu"] if len(handles) == 1 else [f"gpu{i}" for i in range(len(handles))]
    return [sensor for name, handle in zip(names, handles, strict=True) for sensor in _card(nvml, name, handle)]


def _card(nvml: ModuleType, name: str, handle: Any) -> tuple[Sensor, ...]:
    def asking(call: Callable[[], float]) -> Callable[[], float | None]:
        def read() -> float | None:
            try:
                return call()
            except nvml.NVMLError:  # this card does not report the value
                return None

        return read

    degrees, graphics = nvml.NVML_TEMPERATURE_GPU, nvml.NVML_CLOCK_SM
    return (
        Sensor(kind=TEMPERATURE, name=name, read=asking(lambda: nvml.nvmlDeviceGetTemperature(handle, degrees))),
        Sensor(kind=POWER, name=name, read=asking(lambda: nvml.nvmlDeviceGetPowerUsage(handle) * 1e-3)),
        Sensor(
            kind=CLOCK,
            name=name,
            read=asking(lambda: nvml.nvmlDeviceGetClockInfo(handle, graphics)),
            remedy="hold it still with sudo nvidia-smi --lock-gpu-clocks=MHZ",
        ),
    )


class Recorder:
    """Samples of sensors, taken between the rounds of a benchmark.

    Args:
        sensors: The sensors to read.
        interval_s: Least time between two samples in seconds.
        now: Returns the time in seconds.
    """

    def __init__(
        self,
        sensors: Sequence[Sensor],
        *,
        interval_s: float = INTERVAL_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create a recorder without samples."""
        self._sensors, self._interval_s, self._now = tuple(sensors), interval_s, now
        self._times: list[float] = []
        self._values: list[list[float | None]] = []

    def during(self, track: Track) -> Track:
        """Wrap `track` to take a sample before the first item, between items every `interval_s`, and after the last."""

        def watched(items: Iterable[T], label: str, total: int | None = None) -> Iterable[T]:
            for item in track(items, label, total):
                if not self._times or self._now() - self._times[-1] >= self._interval_s:
                    self.sample()
                yield item
            self.sample()

        return watched

    def sample(self) -> None:
        """Read all sensors once."""
        self._times.append(self._now())
        self._values.append([sensor.read() for sensor in self._sensors])

    def summary(self, *, gpu: bool) -> SensorReadings:
        """Summarize the readings of every sensor that had one, with a warning for each clock that moved.

        Args:
            gpu: Whether the GPU did the work. The clock of an idle GPU does not affect the timings.
        """
        ranges: dict[str, dict[str, SensorRange]] = {kind: {} for kind in KINDS}
        warnings = []
        for i, sensor in enumerate(self._sensors):
            values = [row[i] for row in self._values]
            said = [value for value in values if value is not None]
            if said:
                ranges[sensor.kind][sensor.name] = _range(said)
            if sensor.kind == CLOCK and said and (gpu or sensor.name == "cpu") and _moved(said):
                warnings.append(_warning(sensor, ranges[CLOCK][sensor.name]))
        seconds = self._times[-1] - self._times[0] if self._times else 0.0
        return SensorReadings(samples=len(self._times), seconds=round(seconds, 3), warnings=tuple(warnings), **ranges)


def _range(values: list[float]) -> SensorRange:
    return SensorRange(
        first=round(values[0], 3),
        min=round(min(values), 3),
        median=round(float(np.median(values)), 3),
        max=round(max(values), 3),
        last=round(values[-1], 3),
    )


def _moved(mhz: list[float]) -> bool:
    return max(mhz) - min(mhz) > MOVED * max(mhz)


def _warning(sensor: Sensor, mhz: SensorRange) -> str:
    """Say which clock moved, how far, and what holds it still."""
    return (
        f"the {sensor.name} clock moved between {mhz.min:.0f} and {mhz.max:.0f} MHz (median {mhz.median:.0f}) while "
        f"timing, so the timings do not belong to one clock frequency; {sensor.remedy}"
    )
