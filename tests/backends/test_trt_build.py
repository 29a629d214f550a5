"""compile_plan against every generation of the API: what each is told, and what its errors become."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import onnx
import pytest

from edgepose.backends.declared.tensorrt import TensorRtOptions
from edgepose.backends.declared.tensorrt_rtx import TensorRtRtxOptions
from edgepose.backends.tensorrt.builder import compile_plan, refuse
from edgepose.backends.tensorrt.precision import Api, api_of, graph_for
from edgepose.errors import BuildError, ModelError, UsageError

MakeTiny = Callable[..., onnx.ModelProto]
OLD, NEW, RTX = "tensorrt-8.6.1", "tensorrt-11.4.0.106", "tensorrt_rtx-1.7.1.116"
TENS = ("tensorrt-10.0.1", "tensorrt-10.3.0", "tensorrt-10.7.0", "tensorrt-10.13.2.6", "tensorrt-10.16.1.11")
EVERY = (OLD, *TENS, NEW, RTX)
STRONG, EXPLICIT = "STRONGLY_TYPED", "EXPLICIT_BATCH"


@pytest.fixture(params=EVERY)
def generation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def trt(generation: str, trt_doubles: ModuleType) -> ModuleType:
    made: ModuleType = trt_doubles.double(generation)
    return made


def flags_of(trt: ModuleType) -> set[str]:
    """The names in the number that create_network was given."""
    (number,) = trt._world.told("create_network")
    kinds = trt.NetworkDefinitionCreationFlag
    names = [name for name in vars(kinds) if name.isupper()]
    return {name for name in names if number >> int(getattr(kinds, name)) & 1}


def test_all_recorded_generations_are_tested(trt_doubles: ModuleType) -> None:
    assert sorted(trt_doubles.GENERATIONS) == sorted(EVERY)


def test_what_each_generation_has(generation: str, trt: ModuleType) -> None:
    old, ten, rtx = generation == OLD, generation in TENS, generation == RTX
    assert api_of(trt) == Api(
        strongly_typed=not old,
        weakly_typed=old or ten,
        explicit_batch=old or ten,
        calibrators=old or ten,
        progress=not old,
        node_errors=not old,
        capabilities=rtx,
    )


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "int8-fp16"])
def test_strong_typing_where_it_exists_else_flags(generation: str, trt: ModuleType, tiny: Path, precision: str) -> None:
    plan = compile_plan(trt, tiny, TensorRtOptions(precision=precision))
    told = trt._world.told("set_flag")
    if generation == OLD:
        both = ["INT8", "FP16"]
        wanted = {"fp32": [], "fp16": ["FP16"], "int8": both, "int8-fp16": both}
        assert (flags_of(trt), told, plan.typing) == ({EXPLICIT}, wanted[precision], "weak")
    else:
        captured = ["REQUIRE_USER_ALLOCATION"] if generation.startswith("tensorrt_rtx") else []
        assert (flags_of(trt), told, plan.typing) == ({STRONG}, captured, "strong")
    assert trt._world.told("preview") == ([("PROFILE_SHARING_0806", True)] if generation == OLD else [])
    assert trt._world.told("clear_flag") == ["TF32"]
    assert trt._world.told("profiling_verbosity")[0].name == "DETAILED"


def test_the_plan_tells_ports_and_shapes(trt: ModuleType, tiny: Path) -> None:
    plan = compile_plan(trt, tiny, TensorRtOptions(batch=(1, 4, 8)))
    assert (plan.inputs, plan.outputs, plan.notes) == (("image",), ("heatmaps",), ())
    assert plan.shapes == {"image": [[1, 3, 16, 12], [4, 3, 16, 12], [8, 3, 16, 12]]}
    assert trt._world.told("profile") == [{"image": ((1, 3, 16, 12), (4, 3, 16, 12), (8, 3, 16, 12))}]


def test_a_fixed_batch_needs_no_profile(trt: ModuleType, tmp_path: Path, make_tiny: MakeTiny) -> None:
    onnx.save(make_tiny(batch=2), tmp_path / "two.onnx")
    plan = compile_plan(trt, tmp_path / "two.onnx", TensorRtOptions())
    assert plan.shapes == {"image": [[2, 3, 16, 12]] * 3}
    assert trt._world.told("profile") == []


def test_another_free_axis_is_refused(trt: ModuleType, tmp_path: Path, make_tiny: MakeTiny) -> None:
    model = make_tiny()
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_param = "width"
    onnx.save(model, tmp_path / "wide.onnx")
    with pytest.raises(ModelError, match=r"'image'.*only the batch axis may be free"):
        compile_plan(trt, tmp_path / "wide.onnx", TensorRtOptions())


def test_workspace_and_level_are_passed_on(trt: ModuleType, tiny: Path) -> None:
    compile_plan(trt, tiny, TensorRtOptions())
    assert trt._world.told("pool") == trt._world.told("builder_optimization_level") == []
    compile_plan(trt, tiny, TensorRtOptions(workspace_mib=512, builder_level=0))
    assert trt._world.told("pool") == [("WORKSPACE", 512 << 20)]
    assert trt._world.told("builder_optimization_level") == [0]


def test_capabilities_are_set_in_order(trt_doubles: ModuleType, tiny: Path) -> None:
    trt = trt_doubles.double(RTX)
    compile_plan(trt, tiny, TensorRtRtxOptions(capabilities=("SM86", "SM120")))
    assert trt._world.told("num_compute_capabilities") == [2]
    assert trt._world.told("capability") == [("SM86", 0), ("SM120", 1)]


def test_a_calibration_cache_makes_a_weak_network_with_both_flags(
    generation: str, trt: ModuleType, tiny: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "calibration.cache"
    cache.write_bytes(b"TRT-100300-EntropyCalibration2\nr: 3c010a14\n")
    options = TensorRtOptions(precision="int8", calibration_cache=cache)
    if generation in (NEW, RTX):
        assert graph_for(api_of(trt), options) == "fp32"
        with pytest.raises(BuildError, match="takes no calibration cache"):
            refuse(trt, options)
        return
    refuse(trt, options)
    plan = compile_plan(trt, tiny, options)
    assert plan.typing == "weak"
    assert flags_of(trt) == {EXPLICIT}
    assert trt._world.told("set_flag") == ["INT8", "FP16"]
    assert trt._world.told("cache") == [(cache.read_bytes(), 1, None)]
    assert cache.read_bytes().startswith(b"TRT-")


@pytest.mark.parametrize(("before", "served"), [(None, "miss"), (b"", "miss"), (b"earlier", "partial")])
def test_timings_are_read_and_written_anew(
    trt: ModuleType, tiny: Path, tmp_path: Path, before: bytes | None, served: str
) -> None:
    path = tmp_path / "timing" / "gpu.timing"
    if before is not None:
        path.parent.mkdir()
        path.write_bytes(before)
    plan = compile_plan(trt, tiny, TensorRtOptions(), path)
    assert plan.timing_cache == served
    assert trt._world.told("timings") == [(before or b"", False)]
    assert path.read_bytes() == trt._world.timings


def test_timings_that_were_all_there_are_a_hit(trt: ModuleType, tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "gpu.timing"
    path.write_bytes(trt._world.timings)
    assert compile_plan(trt, tiny, TensorRtOptions(), path).timing_cache == "hit"


def test_timings_of_another_gpu_are_left_out(trt: ModuleType, tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "gpu.timing"
    path.write_bytes(b"of another GPU")
    trt._world.timing_mismatch = True
    assert compile_plan(trt, tiny, TensorRtOptions(), path).timing_cache == "miss"
    assert trt._world.told("timings") == [(b"of another GPU", False), (b"", False)]
    assert path.read_bytes() == trt._world.timings


def test_without_a_timing_cache_none_is_made(trt: ModuleType, tiny: Path) -> None:
    assert compile_plan(trt, tiny, TensorRtOptions()).timing_cache == "off"
    assert trt._world.told("timings") == []


def test_a_parser_error_names_node_and_operator(generation: str, trt: ModuleType, tiny: Path) -> None:
    fault = {"node": 2, "name": "/head/Conv", "operator": "Conv", "desc": "Assertion failed: wrong kernel"}
    trt._world.parse_errors = [fault]
    with pytest.raises(BuildError) as caught:
        compile_plan(trt, tiny, TensorRtOptions())
    assert "node '/head/Conv' (Conv): Assertion failed: wrong kernel" in str(caught.value)
    assert str(tiny) in str(caught.value)


def test_a_parser_error_of_no_node(trt: ModuleType, tiny: Path) -> None:
    trt._world.parse_errors = [{"node": -1, "name": "", "operator": "", "desc": "No importer registered for op: Foo"}]
    with pytest.raises(BuildError, match=r"no such operator.*\[No importer registered for op: Foo\]"):
        compile_plan(trt, tiny, TensorRtOptions())


def test_a_build_that_fails_says_why(trt: ModuleType, tiny: Path) -> None:
    trt._world.build_errors = [
        "[optimizer.cpp::computeCosts::4040] Error Code 10: Could not find any implementation for node /a"
    ]
    with pytest.raises(BuildError, match=r"--workspace more MiB.*implementation for node /a"):
        compile_plan(trt, tiny, TensorRtOptions())


def test_errors_of_an_earlier_build_are_forgotten(trt: ModuleType, tiny: Path) -> None:
    trt._world.build_errors = ["out of memory"]
    with pytest.raises(BuildError, match="memory ran out"):
        compile_plan(trt, tiny, TensorRtOptions())
    trt._world.build_errors = ["something new"]
    with pytest.raises(BuildError, match="something new") as caught:
        compile_plan(trt, tiny, TensorRtOptions())
    assert "memory" not in str(caught.value)


def test_a_builder_that_cannot_start_says_why(trt: ModuleType, tiny: Path) -> None:
    trt._world.builder_fails = "CUDA initialization failure with error: 35. Please check your CUDA installation"
    with pytest.raises(BuildError, match=r"^TensorRT(-RTX)? cannot start: there is no NVIDIA driver here"):
        compile_plan(trt, tiny, TensorRtOptions())


def test_progress_is_shown_where_the_api_tells_it(generation: str, trt: ModuleType, tiny: Path) -> None:
    shown: list[tuple[str, int, int | None]] = []

    def track(items, label, total=None):  # type: ignore[no-untyped-def]
        for index, item in enumerate(items):
            shown.append((label, index, total))
            yield item

    compile_plan(trt, tiny, TensorRtOptions(precision="int8"), track=track)
    if generation == OLD:
        assert shown == []
    else:
        assert [index for _, index, _ in shown] == list(range(100))
        assert {(label, total) for label, _, total in shown} == {("building int8", 100)}


def test_ctrl_c_stops_the_build(generation: str, trt: ModuleType, tiny: Path) -> None:
    if generation == OLD:
        pytest.skip("no progress monitor: Python sees Ctrl-C when the build is done")
    trt._world.interrupt_at_step = 1
    with pytest.raises(KeyboardInterrupt):
        compile_plan(trt, tiny, TensorRtOptions())


def test_graph_for_a_weak_parser_has_float_scales(generation: str, trt: ModuleType) -> None:
    api = api_of(trt)
    for precision in ("fp32", "fp16"):
        assert graph_for(api, TensorRtOptions(precision=precision)) == precision
    wanted = "int8" if generation == OLD else "int8-fp16"
    for precision in ("int8", "int8-fp16"):
        assert graph_for(api, TensorRtOptions(precision=precision)) == wanted


def test_float_parts_in_float32_where_they_are_asked_for(generation: str, trt: ModuleType, tiny: Path) -> None:
    options = TensorRtOptions(precision="int8", float_parts="fp32")
    assert graph_for(api_of(trt), options) == "int8"
    compile_plan(trt, tiny, options)
    told = [flag for flag in trt._world.told("set_flag") if flag in ("INT8", "FP16")]
    assert told == (["INT8"] if generation == OLD else [])


@pytest.mark.parametrize(("precision", "parts"), [("int8-fp16", "fp32"), ("int8", "bf16")])
def test_float_parts_that_cannot_be(precision: str, parts: str) -> None:
    with pytest.raises(UsageError, match=r"float.parts"):
        TensorRtOptions(precision=precision, float_parts=parts)


@pytest.mark.parametrize("batch", [(0, 1, 8), (2, 1, 8), (1, 9, 8)])
def test_a_batch_out_of_order_is_wrong_usage(batch: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError, match="1 <= MIN <= OPT <= MAX"):
        TensorRtOptions(batch=batch)


def test_other_wrong_numbers() -> None:
    with pytest.raises(UsageError, match="workspace 0 MiB"):
        TensorRtOptions(workspace_mib=0)
    with pytest.raises(UsageError, match="builder level 6"):
        TensorRtOptions(builder_level=6)
