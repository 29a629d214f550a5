"""Sensors of hand-made boards (tests/boards.py), of a double of NVML, and clocks that move under a benchmark."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import boards
import pytest

from edgepose._progress import quiet
from edgepose.measure.sensors import CLOCK, POWER, TEMPERATURE, Recorder, Sensor, open_sensors


@pytest.fixture(autouse=True)
def no_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cards of the machine that runs the tests are not the board's."""
    monkeypatch.setattr("edgepose.measure.sensors.available", lambda name: False)


def readings(root: Path, nvml: ModuleType | None = None) -> dict[str, dict[str, float | None]]:
    found: dict[str, dict[str, float | None]] = {TEMPERATURE: {}, POWER: {}, CLOCK: {}}
    with open_sensors(root, nvml) as sensors:
        for sensor in sensors:
            found[sensor.kind][sensor.name] = sensor.read()
    return found


def test_an_orin_nano(tmp_path: Path) -> None:
    found = readings(boards.plant(tmp_path, boards.ORIN_NANO))
    assert found[TEMPERATURE] == {
        "cpu-thermal": 51.187, "gpu-thermal": 51.5, "cv0-thermal": None, "soc0-thermal": 50.375, "tj-thermal": 51.5,
    }  # fmt: skip
    assert found[POWER] == pytest.approx({"VDD_IN": 5.27488, "VDD_CPU_GPU_CV": 0.933248, "VDD_SOC": 1.501312})
    assert found[CLOCK] == {"cpu": 1190.4, "gpu": 306}


def test_an_agx_orin_has_two_monitors_and_channels_that_are_not_connected(tmp_path: Path) -> None:
    found = readings(boards.plant(tmp_path, boards.AGX_ORIN))
    assert list(found[POWER]) == ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"]
    assert found[POWER]["VDD_GPU_SOC"] == pytest.approx(19.912 * 0.120)
    assert found[CLOCK] == {"cpu": 2201.6, "gpu": 1300.5}


def test_a_thor_measures_its_input_too(tmp_path: Path) -> None:
    found = readings(boards.plant(tmp_path, boards.THOR))
    assert found[POWER]["ina238 1"] == 23
    assert found[POWER]["VDD_CPU_SOC_MSS"] == pytest.approx(24 * 0.271)
    assert found[CLOCK]["gpu"] == 315  # not the codecs' 1287


def test_a_desktop(tmp_path: Path) -> None:
    found = readings(boards.plant(tmp_path, boards.DESKTOP))
    assert found[TEMPERATURE] == {"x86_pkg_temp": 48, "coretemp Package id 0": 48, "nvme 1": 39.85}
    assert found[POWER] == {}
    assert found[CLOCK] == {"cpu": 4200}  # of the core that works


def test_a_machine_without_sensors_says_so_in_an_empty_summary(tmp_path: Path) -> None:
    with open_sensors(tmp_path) as sensors:
        assert sensors == ()
        recorder = Recorder(sensors)
        assert list(recorder.during(quiet)(range(3), "timing")) == [0, 1, 2]
    found = recorder.summary(gpu=True).to_json()
    assert (found[TEMPERATURE], found[POWER], found[CLOCK], found["warnings"]) == ({}, {}, {}, [])
    assert found["samples"] >= 2


@pytest.mark.parametrize("content", ["", "garbage\n", "51.2\n", "\xff\xfe", "9" * 5000, "-1e3", "0x20"])
def test_malformed_files_are_no_reading(tmp_path: Path, content: str) -> None:
    boards.plant(tmp_path, boards.ORIN_NANO)
    for path in tmp_path.glob("sys/**/*"):
        if path.is_file() and path.name not in ("name", "type") and not path.name.endswith("_label"):
            path.write_bytes(content.encode("latin-1"))
    assert {value for values in readings(tmp_path).values() for value in values.values()} == {None}


def test_files_that_are_not_there_or_are_folders(tmp_path: Path) -> None:
    boards.plant(tmp_path, boards.ORIN_NANO)
    (tmp_path / "sys/class/hwmon/hwmon1/curr1_input").unlink()
    (tmp_path / "sys/class/hwmon/hwmon1/in2_input").unlink()
    (tmp_path / "sys/class/thermal/thermal_zone0/temp").unlink()
    (tmp_path / "sys/class/thermal/thermal_zone0/temp").mkdir()
    (tmp_path / "sys/class/thermal/thermal_zone1/type").unlink()
    found = readings(tmp_path)
    assert "VDD_IN" not in found[POWER] and found[POWER]["VDD_CPU_GPU_CV"] is None
    assert found[TEMPERATURE]["cpu-thermal"] is None and "gpu-thermal" not in found[TEMPERATURE]
    assert found[POWER]["VDD_SOC"] is not None


def clock(values: list[float | None], name: str = "gpu") -> Sensor:
    left: Iterator[float | None] = iter(values)
    return Sensor(kind=CLOCK, name=name, read=lambda: next(left), remedy="do something")


def record(*sensors: Sensor, samples: int, gpu: bool = True) -> dict[str, Any]:
    recorder = Recorder(sensors)
    for _ in range(samples):
        recorder.sample()
    return recorder.summary(gpu=gpu).to_json()


def test_a_clock_that_moved_is_named_with_the_remedy() -> None:
    (line,) = record(clock([918, 918, 306]), samples=3)["warnings"]
    assert "gpu clock moved between 306 and 918 MHz (median 918)" in line and line.endswith("do something")


@pytest.mark.parametrize("values", [[1000, 1000, 1000], [1000, 951, 1000], [1000, None, None]])
def test_a_clock_that_stood_still(values: list[float | None]) -> None:
    assert record(clock(values), samples=3)["warnings"] == []


def test_the_clock_of_an_idle_gpu_may_move_and_the_cpu_s_may_not() -> None:
    found = record(clock([918, 306]), clock([2000, 1000], "cpu"), samples=2, gpu=False)
    assert len(found["warnings"]) == 1 and "the cpu clock" in found["warnings"][0]
    assert found[CLOCK]["gpu"]["min"] == 306


def test_a_range_is_over_what_was_said_and_json() -> None:
    found = json.loads(json.dumps(record(clock([None, 500, 505, 510]), samples=4), allow_nan=False))
    assert found[CLOCK]["gpu"] == {"first": 500, "min": 500, "median": 505, "max": 510, "last": 510}


def test_samples_are_taken_between_rounds_and_no_more_often_than_asked() -> None:
    now = {"s": 0.0}

    def rounds() -> Iterator[int]:
        for i in range(6):
            now["s"] = i * 0.2
            events.append(f"round {i}")
            yield i

    events: list[str] = []
    sensor = Sensor(kind=POWER, name="VDD_IN", read=lambda: events.append("sample") or 5.0)  # type: ignore[func-returns-value]
    recorder = Recorder([sensor], interval_s=0.5, now=lambda: now["s"])
    for _ in recorder.during(quiet)(rounds(), "timing", 6):
        events.append("timed")
    first, second = events.index("timed"), events.index("sample")
    assert second < first  # the first sample is before the first timing, after the warm-up
    assert events[-1] == "sample"  # and the last after the last
    assert events.count("sample") == 3 and recorder.summary(gpu=True).to_json()["seconds"] == 1.0


class NvmlError(Exception):
    pass


def nvml(cards: int = 1, *, driver: bool = True, silent: tuple[str, ...] = ()) -> Any:
    """A double of pynvml with the names of nvidia-ml-py; `silent` calls are not supported by the card."""
    world: dict[str, int] = {"open": 0}

    def answer(name: str, value: float) -> Callable[..., float]:
        def call(handle: int, *kind: int) -> float:
            if name in silent:
                raise NvmlError("Not Supported")
            return value + handle

        return call

    def opening() -> None:
        if not driver:
            raise NvmlError("Driver Not Loaded")
        world["open"] += 1

    def closing() -> None:
        world["open"] -= 1

    return SimpleNamespace(
        world=world,
        NVMLError=NvmlError,
        NVML_TEMPERATURE_GPU=0,
        NVML_CLOCK_SM=1,
        nvmlInit=opening,
        nvmlShutdown=closing,
        nvmlDeviceGetCount=lambda: cards,
        nvmlDeviceGetHandleByIndex=lambda i: i,
        nvmlDeviceGetTemperature=answer("temperature", 43),
        nvmlDeviceGetPowerUsage=answer("power", 71500),
        nvmlDeviceGetClockInfo=answer("clock", 1980),
    )


def test_a_card_and_nvml_is_closed_again(tmp_path: Path) -> None:
    library = nvml()
    assert readings(tmp_path, library) == {TEMPERATURE: {"gpu": 43}, POWER: {"gpu": 71.5}, CLOCK: {"gpu": 1980}}
    assert library.world["open"] == 0


def test_several_cards_are_told_apart(tmp_path: Path) -> None:
    assert readings(tmp_path, nvml(2))[CLOCK] == {"gpu0": 1980, "gpu1": 1981}


def test_what_a_card_does_not_say_is_left_out(tmp_path: Path) -> None:
    with open_sensors(tmp_path, nvml(silent=("power",))) as sensors:
        recorder = Recorder(sensors)
        recorder.sample()
    assert recorder.summary(gpu=True).to_json()[POWER] == {}


def test_without_a_driver_there_are_no_cards(tmp_path: Path) -> None:
    library = nvml(driver=False)
    assert readings(tmp_path, library)[CLOCK] == {}
    assert library.world["open"] == 0


def test_the_names_of_the_double_are_those_of_nvidia_ml_py() -> None:
    real = pytest.importorskip("pynvml")
    assert {name for name in vars(nvml()) if name != "world"} <= set(dir(real))
    assert (real.NVML_TEMPERATURE_GPU, real.NVML_CLOCK_SM) == (0, 1)
