"""What `bench` prints of the sensors: a table on stdout, a clock that moved on stderr."""

from __future__ import annotations

import pytest
from made_results import bench_result, readings

from edgepose.cli.measure import print_latency


def test_a_clock_that_moved_is_on_stderr_and_its_range_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    gpu = {"first": 918.0, "min": 306.0, "median": 612.0, "max": 918.0, "last": 306.0}
    moved = "the gpu clock moved between 306 and 918 MHz"
    print_latency(bench_result(readings(warnings=(moved,), clock_mhz={"gpu": gpu})))
    out, err = capsys.readouterr()
    assert "sensors" in out and "306" in out and "918" in out
    assert err.splitlines()[-1] == moved


def test_a_machine_without_sensors_gets_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_latency(bench_result())
    out, err = capsys.readouterr()
    assert "sensors" not in out and "moved" not in err
