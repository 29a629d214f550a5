"""Sessions on the doubles of every generation: the answers of the reference, for any number of people."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from edgepose.backends import cuda
from edgepose.backends.batches import pieces
from edgepose.backends.declared.tensorrt import TensorRtOptions
from edgepose.backends.tensorrt import session as sessions
from edgepose.backends.tensorrt.builder import compile_plan
from edgepose.backends.tensorrt.session import TrtSession, open_session
from edgepose.errors import EngineError

EVERY = ("tensorrt-8.6.1", "tensorrt-10.0.1", "tensorrt-10.16.1.11", "tensorrt-11.4.0.106", "tensorrt_rtx-1.7.1.116")


@pytest.fixture(params=EVERY)
def trt(request: pytest.FixtureRequest, trt_doubles: ModuleType) -> ModuleType:
    made: ModuleType = trt_doubles.double(request.param)
    return made


def opened(trt: ModuleType, path: Path, doubles: ModuleType, batch: tuple[int, int, int] = (1, 2, 4)) -> Any:
    plan = compile_plan(trt, path, TensorRtOptions(batch=batch))
    return TrtSession(trt, plan.data, doubles.driver_of(trt)), trt._world.api


def reference(path: Path, images: np.ndarray) -> np.ndarray:
    return np.asarray(ReferenceEvaluator(onnx.load(path)).run(None, {"image": images})[0])


@pytest.mark.parametrize("n", [1, 3, 4, 7])
def test_any_number_of_people(trt: ModuleType, trt_doubles: ModuleType, tiny: Path, images: np.ndarray, n: int) -> None:
    session, _ = opened(trt, tiny, trt_doubles)
    with session:
        assert (session.inputs, session.outputs) == (("image",), ("heatmaps",))
        found = session.run({"image": images[:n]})["heatmaps"]
    np.testing.assert_allclose(found, reference(tiny, images[:n]), atol=1e-5)
    assert len(trt._world.told("execute")) == (1 if n <= 4 else 2)
    assert len(set(trt._world.told("execute"))) == 1


def test_fewer_than_the_profile_takes(trt: ModuleType, trt_doubles: ModuleType, tiny: Path, images: np.ndarray) -> None:
    session, _ = opened(trt, tiny, trt_doubles, (3, 3, 4))
    found = session.run({"image": images[:5]})["heatmaps"]
    np.testing.assert_allclose(found, reference(tiny, images[:5]), atol=1e-5)
    assert {shape[0] for _, shape in trt._world.told("set_input_shape")} == {3, 4}


def test_a_fixed_batch(
    trt: ModuleType, trt_doubles: ModuleType, tmp_path: Path, make_tiny: Any, images: np.ndarray
) -> None:
    onnx.save(make_tiny(batch=1), tmp_path / "one.onnx")
    session, _ = opened(trt, tmp_path / "one.onnx", trt_doubles)
    assert (session.smallest, session.largest) == (1, 1)
    np.testing.assert_allclose(
        session.run({"image": images})["heatmaps"], reference(tmp_path / "one.onnx", images), atol=1e-5
    )


def test_views_and_the_caller_keeps_what_it_got(
    trt: ModuleType, trt_doubles: ModuleType, tiny: Path, images: np.ndarray
) -> None:
    session, _ = opened(trt, tiny, trt_doubles)
    first = session.run({"image": images[::2]})["heatmaps"]
    kept = first.copy()
    session.run({"image": images[1:2]})
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_allclose(first, reference(tiny, np.ascontiguousarray(images[::2])), atol=1e-5)


@pytest.mark.parametrize("integrated", [False, True])
def test_a_pipeline_runs_on_its_own_memory_and_stream(
    trt: ModuleType, trt_doubles: ModuleType, tiny: Path, images: np.ndarray, integrated: bool
) -> None:
    plan = compile_plan(trt, tiny, TensorRtOptions(batch=(1, 2, 4)))
    session = TrtSession(trt, plan.data, trt_doubles.driver_of(trt, integrated=integrated))
    driver = session.driver
    stream, scratch = driver.make_stream(), driver.allocate(session.scratch_bytes)
    source, target = driver.make_block((2, 3, 16, 12), np.float32), driver.make_block((2, 14, 8, 6), np.float32)
    context = session.make_context(scratch)
    context.set_batch(2)
    assert context.shape("heatmaps") == (2, 14, 8, 6)
    context.bind("image", source.there.address)
    context.bind("heatmaps", target.there.address)
    source.host[:] = images[:2]
    source.send(stream)
    context.enqueue(stream)
    target.fetch(stream)
    driver.finish(stream)
    np.testing.assert_allclose(target.host, reference(tiny, images[:2]), atol=1e-5)
    assert trt._world.told("execute") == [stream]
    rtx = hasattr(trt, "DynamicShapesKernelSpecializationStrategy")
    assert set(trt._world.told("context")) == {"EAGER" if rtx else None}
    again = session.run({"image": images[:1]})["heatmaps"]  # the session's own context, memory and stream
    np.testing.assert_allclose(again, reference(tiny, images[:1]), atol=1e-5)
    assert trt._world.told("own scratch") == [False, True]
    session.close()
    assert trt._world.api.left() == {}


def test_a_session_runs_in_any_thread(trt: ModuleType, trt_doubles: ModuleType, tiny: Path, images: np.ndarray) -> None:
    session, api = opened(trt, tiny, trt_doubles)
    with ThreadPoolExecutor(1) as other:
        found = other.submit(session.run, {"image": images[:3]}).result()["heatmaps"]
        other.submit(session.close).result()
    np.testing.assert_allclose(found, reference(tiny, images[:3]), atol=1e-5)
    assert api.left() == {} and api.released == 1


def test_memory_that_runs_out_is_given_back(
    trt: ModuleType, trt_doubles: ModuleType, tiny: Path, images: np.ndarray
) -> None:
    plan = compile_plan(trt, tiny, TensorRtOptions(batch=(1, 2, 4)))
    session = TrtSession(trt, plan.data, trt_doubles.driver_of(trt, limit=4 * 3 * 16 * 12 * 4))  # the input only
    with pytest.raises(EngineError, match="memory ran out"):
        session.run({"image": images[:1]})
    session.close()
    assert trt._world.api.left() == {}


def test_a_shape_is_set_only_when_it_changes(
    trt: ModuleType, trt_doubles: ModuleType, tiny: Path, images: np.ndarray
) -> None:
    session, _ = opened(trt, tiny, trt_doubles)
    for _ in range(3):
        session.run({"image": images[:2]})
    assert trt._world.told("set_input_shape") == [("image", (4, 3, 16, 12)), ("image", (2, 3, 16, 12))]


def test_memory_is_bound_or_refused(trt: ModuleType, trt_doubles: ModuleType, tiny: Path) -> None:
    session, _ = opened(trt, tiny, trt_doubles)
    context = session.make_context(session.driver.allocate(session.scratch_bytes))
    with pytest.raises(EngineError, match="takes no memory for tensor 'image'"):
        context.bind("image", 3)


def test_a_failure_while_running_says_why(
    trt: ModuleType, trt_doubles: ModuleType, tiny: Path, images: np.ndarray
) -> None:
    session, _ = opened(trt, tiny, trt_doubles)
    trt._world.open_errors = ["broken"]
    with pytest.raises(EngineError, match="cannot run the network"):
        session.run({"image": images[:1]})


def test_closing_frees_everything_once(
    trt: ModuleType, trt_doubles: ModuleType, tiny: Path, images: np.ndarray
) -> None:
    session, api = opened(trt, tiny, trt_doubles)
    session.run({"image": images[:1]})
    assert api.left() == {"memory": 4, "streams": 1}  # each of two tensors for host and device
    session.close()
    session.close()
    assert (api.left(), api.released) == ({}, 1)
    with pytest.raises(EngineError, match="closed"):
        session.run({"image": images[:1]})


def test_a_wrong_feed_is_named(trt: ModuleType, trt_doubles: ModuleType, tiny: Path, images: np.ndarray) -> None:
    session, _ = opened(trt, tiny, trt_doubles)
    with pytest.raises(ValueError, match="expected dtype float32"):
        session.run({"image": images.astype(np.float64)})


def test_a_plan_that_does_not_load_closes_the_driver(
    trt: ModuleType, trt_doubles: ModuleType, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.plan").write_bytes(compile_plan(trt, tiny, TensorRtOptions()).data)
    monkeypatch.setattr(sessions, "open_driver", lambda: trt_doubles.driver_of(trt))
    open_session(trt, tmp_path / "model.plan").close()
    assert trt._world.api.released == 1
    trt._world.open_errors = ["Serialization assertion plan->header.magicTag == kTAG failed."]
    with pytest.raises(EngineError, match="cannot load the engine: the engine file is damaged; rebuild it"):
        open_session(trt, tmp_path / "model.plan")
    assert trt._world.api.released == 1


def test_without_a_gpu_one_clear_error(trt: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise EngineError("no NVIDIA driver is installed")

    monkeypatch.setattr(cuda, "find_device", none)
    assert cuda.driver_problem() == "no NVIDIA driver is installed"
    with pytest.raises(EngineError, match="no NVIDIA driver is installed"):
        open_session(trt, tmp_path / "model.plan")


@given(total=st.integers(1, 60), largest=st.integers(1, 9))
def test_pieces_cover_everything_in_as_few_runs_as_can_be(total: int, largest: int) -> None:
    found = list(pieces(total, largest))
    lengths = [part.stop - part.start for part in found]
    assert [i for part in found for i in range(part.start, part.stop)] == list(range(total))
    assert max(lengths) <= largest and max(lengths) - min(lengths) <= 1
    assert len(found) == -(-total // largest)
