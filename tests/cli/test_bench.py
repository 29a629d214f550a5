"""What `bench` prints of the sensors: a table on stdout, a clock that moved on stderr."""

from __future__ import annotations

from typing import Any

import pytest

from edgepose.cli.measure import print_latency


def result(gpu: dict[str, float] | None) -> dict[str, Any]:
    warnings = [] if gpu is None else ["the gpu clock moved between 306 and 918 MHz"]
    sensors = {"temperature_c": {}, "power_w": {}, "clock_mhz": {} if gpu is None else {"gpu": gpu}}
    return {
        "machine": {"cpu": "c", "cpu_flags": [], "cores": 1, "int8": "integers", "versions": {}},
        "frame": [72, 128],
        "batch": 1,
        "threads": 1,
        "rounds": 3,
        "engines": [],
        "ratios": [],
        "sensors": {"samples": 2, "seconds": 1.0, **sensors, "warnings": warnings},
    }


def test_a_clock_that_moved_is_on_stderr_and_its_range_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    print_latency(result({"first": 918.0, "min": 306.0, "median": 612.0, "max": 918.0, "last": 306.0}))
    out, err = capsys.readouterr()
    assert "sensors" in out and "306" in out and "918" in out
    assert err.splitlines()[-1] == "the gpu clock moved between 306 and 918 MHz"


def test_a_machine_without_sensors_gets_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_latency(result(None))
    out, err = capsys.readouterr()
    assert "sensors" not in out and "moved" not in err
