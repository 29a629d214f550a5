"""`bench` on a board's files: what the sensors said goes into its result."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import boards
import numpy as np
import onnx
import pytest

from edgepose._files import write_json
from edgepose._progress import T, quiet
from edgepose.backends.declaration import BuildOptions
from edgepose.backends.engine import build_engine
from edgepose.measure.bench import BenchOptions, bench
from edgepose.measure.reading import read_benchmark


@pytest.fixture
def engine(tmp_path: Path, nets: ModuleType) -> Path:
    pytest.importorskip("onnxruntime")
    joints = {"joints": list("abcde"), "flips": [], "limbs": [["a", "b"]], "sigmas": [0.1] * 5}
    model, spec = nets.pose_net(), nets.make_spec(skeleton=joints)
    onnx.save(model, tmp_path / "fp32.onnx")
    options, engine = BuildOptions(), tmp_path / "engine"
    build_engine(tmp_path / "fp32.onnx", engine, spec, options, "onnxruntime", "edgepose build")
    return engine


def test_sensors_are_in_the_result_and_a_clock_that_moves_is_named(
    tmp_path: Path, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgepose.measure.sensors.available", lambda name: False)
    root = boards.plant(tmp_path / "root", boards.ORIN_NANO)
    frame, boxes = np.zeros((96, 128, 3), np.uint8), np.array([[0, 0, 127, 95]], np.float32)

    def throttling(items: Iterable[T], label: str, total: int | None = None) -> Iterable[T]:
        """After the first round the processor slows down and the GPU, which has nothing to do, too."""
        for i, item in enumerate(quiet(items, label, total)):
            if i:
                boards.plant(root, boards.policy(0, 729600, 1497600, 729600) | boards.devfreq("17000000.gpu", 1, 2, 9))
            yield item

    options = BenchOptions(rounds=2, warmup=0)
    result = bench((engine,), frame, boxes, options, throttling, root)
    write_json(tmp_path / "bench.json", result.to_json())
    assert read_benchmark(tmp_path / "bench.json") == result
    found = json.loads((tmp_path / "bench.json").read_text())["sensors"]
    assert found["samples"] >= 2
    cpu = found["clock_mhz"]["cpu"]
    assert (cpu["first"], cpu["min"], cpu["max"], cpu["last"]) == (1190.4, 729.6, 1190.4, 729.6)
    (line,) = found["warnings"]
    assert "the cpu clock moved between 730 and 1190 MHz" in line and "jetson_clocks" in line
    assert found["power_w"]["VDD_IN"]["max"] == pytest.approx(5.275)
    assert "cv0-thermal" not in found["temperature_c"]  # it said nothing
