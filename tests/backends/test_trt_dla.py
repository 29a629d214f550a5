"""The DLA's rules are checked before anything is built."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from edgepose.backends.declared.tensorrt import TensorRtOptions
from edgepose.backends.tensorrt.builder import compile_plan, refuse
from edgepose.backends.tensorrt.dla import refuse_dla
from edgepose.errors import BuildError

WITH_DLA = ("tensorrt-8.6.1", "tensorrt-10.3.0", "tensorrt-10.16.1.11", "tensorrt-11.4.0.106")


@pytest.fixture(params=WITH_DLA)
def trt(request: pytest.FixtureRequest, trt_doubles: ModuleType) -> ModuleType:
    made: ModuleType = trt_doubles.double(request.param)
    made._world.dla_cores = 2
    return made


def asked(**more: object) -> TensorRtOptions:
    return TensorRtOptions(**{"precision": "fp16", "batch": (1, 1, 1), "dla_core": 0, **more})  # type: ignore[arg-type]


def refusal(trt: ModuleType, options: TensorRtOptions) -> str:
    with pytest.raises(BuildError) as caught:
        refuse(trt, options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dla_core": 2}, "--dla-core 2: this machine has 2; choose 0 to 1"),
        ({"batch": (1, 1, 8)}, "one fixed shape, and --batch 1,1,8 is a range"),
        ({"precision": "fp32"}, "not in FP32"),
    ],
)
def test_a_broken_rule_is_named(trt: ModuleType, changes: dict[str, object], says: str) -> None:
    assert says in refusal(trt, asked(**changes))


@pytest.mark.parametrize("name", ["NVIDIA Jetson Orin Nano Developer Kit", "NVIDIA Jetson AGX Thor Developer Kit"])
def test_a_board_without_dla_is_named(trt: ModuleType, tmp_path: Path, name: str) -> None:
    (tmp_path / "model").write_text(name + "\0")
    with pytest.raises(BuildError) as caught:
        refuse_dla(trt, 0, 0, asked(), tmp_path / "model")
    text = str(caught.value)
    assert text.startswith(f"{name} has no DLA")
    assert "--dla-core" in text


def test_int8_needs_a_cache_where_there_are_calibrators(trt: ModuleType, tmp_path: Path) -> None:
    if hasattr(trt.IBuilderConfig, "int8_calibrator"):
        assert "--calibration-cache" in refusal(trt, asked(precision="int8"))
        refuse(trt, asked(precision="int8", calibration_cache=tmp_path / "c"))
    else:
        refuse(trt, asked(precision="int8"))


def test_nothing_asked_nothing_refused(trt: ModuleType) -> None:
    trt._world.dla_cores = 0
    refuse(trt, TensorRtOptions())


def test_layers_go_to_the_dla_and_the_rest_to_the_gpu(trt: ModuleType, tiny: Path) -> None:
    trt._world.dla_refuses = ("RELU",)
    plan = compile_plan(trt, tiny, asked(dla_core=1))
    assert trt._world.told("DLA_core") == [1]
    assert trt._world.told("default_device_type")[0].name == "DLA"
    assert "GPU_FALLBACK" in trt._world.told("set_flag")
    assert plan.notes == ("1 of 3 layers run on the GPU, the DLA does not take them: 1 relu",)


def test_weak_typing_for_a_dla_where_there_is_a_choice(trt: ModuleType, tiny: Path) -> None:
    plan = compile_plan(trt, tiny, asked())
    assert plan.notes == ("all 3 layers run on DLA core 0",)
    weak = hasattr(trt.BuilderFlag, "FP16")
    assert plan.typing == ("weak" if weak else "strong")
    assert ("FP16" in trt._world.told("set_flag")) == weak


def test_a_network_of_which_the_dla_takes_nothing(trt: ModuleType, tiny: Path) -> None:
    trt._world.dla_refuses = ("CONV", "RELU")
    with pytest.raises(BuildError, match="takes no layer of this network"):
        compile_plan(trt, tiny, asked())
