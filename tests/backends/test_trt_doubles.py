"""The doubles are what they claim: they refuse what a generation lacks, and behave with the real signatures."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from types import ModuleType

import pytest


def test_each_generation_lacks_what_the_record_says(trt_doubles: ModuleType) -> None:
    old, new = trt_doubles.double("tensorrt-8.6.1"), trt_doubles.double("tensorrt-11.4.0.106")
    assert not hasattr(old.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")
    assert not hasattr(old, "IProgressMonitor")
    assert not hasattr(new, "IInt8EntropyCalibrator2")
    assert not hasattr(new.BuilderFlag, "FP16")
    with pytest.raises(AttributeError, match=r"IBuilderConfig of tensorrt-8\.6\.1 has no 'progress_monitor'"):
        old.IBuilderConfig().progress_monitor = None
    with pytest.raises(AttributeError, match="int8_calibrator"):
        new.IBuilderConfig().int8_calibrator = None
    for generation in trt_doubles.GENERATIONS:
        assert not hasattr(trt_doubles.double(generation).ICudaEngine, "get_binding_shape")  # nor do we use it


def test_behavior_has_the_recorded_arguments(trt_doubles: ModuleType) -> None:
    checked = 0
    for kind, behavior in trt_doubles.BEHAVIORS.items():
        for name, member in vars(behavior).items():
            if name.startswith("_"):
                continue
            _, recorded = trt_doubles.API["classes"][kind][name]  # a KeyError: no generation has it
            if isinstance(recorded, list):
                given = [parameter for parameter in inspect.signature(member).parameters if parameter != "self"]
                assert given == recorded, f"{kind}.{name}"
                checked += 1
    assert checked > 25


def test_the_copy_is_that_of_the_record(data_root: Path, trt_doubles: ModuleType) -> None:
    import trt_api

    source = data_root.parent / "tensorrt-api"
    if not source.is_dir():
        pytest.skip("no record of the API beside the data")
    assert trt_api.copy(source) == trt_doubles.API
    path = Path(trt_api.__file__).parent / "trt_api.json"
    assert path.read_text() == trt_api.to_text(json.loads(path.read_text()))
