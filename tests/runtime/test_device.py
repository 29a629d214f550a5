"""The device pipeline against `TopDown`: the same joints, bit for bit, on fakes of CUDA and of TensorRT.

The kernels are the real ones, on the CPU (cuda_emulation.py); the network runs in ONNX's reference evaluator, on the
streams of cuda_fake.py, which do nothing before somebody waits.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgepose.artifacts.spec import ModelSpec, spec_from_dict
from edgepose.backends.declared.tensorrt import TensorRtOptions
from edgepose.backends.tensorrt.builder import compile_plan
from edgepose.backends.tensorrt.session import TrtSession
from edgepose.errors import EngineError, ModelError
from edgepose.kernels import choice, cuda
from edgepose.kernels.cuda import DeviceArray
from edgepose.pose.poses import Poses
from edgepose.runtime.device import LANES, DeviceTopDown, open_topdown, slowed_by, why_not
from edgepose.runtime.lane import mirror_columns
from edgepose.runtime.topdown import TopDown

pytestmark = pytest.mark.skipif(choice.native is None, reason="the kernels' matrices come from the host extension")

JOINTS, HEIGHT, WIDTH = 14, 16, 12
CODECS: dict[str, Any] = {
    "quarter": {"type": "heatmap"},
    "dark": {"type": "heatmap", "decode": "dark"},
    "simcc": {"type": "simcc", "split": 2.0},
    "regression": {"type": "regression"},
}
SHAPES: dict[str, list[tuple[str, tuple[int, ...]]]] = {
    "heatmap": [("heatmaps", (JOINTS, 8, 6))],
    "simcc": [("x", (JOINTS, 2 * WIDTH)), ("y", (JOINTS, 2 * HEIGHT))],
    "regression": [("coords", (JOINTS, 3))],
}


def spec_of(codec: str) -> ModelSpec:
    kind = CODECS[codec]["type"]
    names = [name for name, _ in SHAPES[kind]]
    value = {
        "name": codec, "skeleton": "lsp14", "input": {"name": "image", "size": [HEIGHT, WIDTH]},
        "codec": CODECS[codec], "outputs": names,
    }  # fmt: skip
    return spec_from_dict(value, "test")


def network(kind: str) -> onnx.ModelProto:
    """Every output a product of integers with the flattened crop's rounded levels: exact in any order of summing."""
    rng = np.random.default_rng(0)
    nodes = [helper.make_node("Round", ["image"], ["r"]), helper.make_node("Flatten", ["r"], ["flat"])]
    weights, outputs = [], []
    for name, shape in SHAPES[kind]:
        matrix = rng.integers(-2, 3, (3 * HEIGHT * WIDTH, int(np.prod(shape)))).astype(np.float32)
        weights += [numpy_helper.from_array(matrix, f"w_{name}")]
        weights += [numpy_helper.from_array(np.array([-1, *shape], np.int64), f"s_{name}")]
        nodes += [helper.make_node("MatMul", ["flat", f"w_{name}"], [f"m_{name}"])]
        nodes += [helper.make_node("Reshape", [f"m_{name}", f"s_{name}"], [name])]
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, HEIGHT, WIDTH])
    graph = helper.make_graph(nodes, kind, [image], outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


Open = Callable[..., TrtSession]


@pytest.fixture
def fatbin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "edgepose.fatbin").write_bytes(b"fatbin")
    monkeypatch.setattr(cuda, "fatbin", lambda: tmp_path / "edgepose.fatbin")


@pytest.fixture
def open_session(trt_doubles: ModuleType, emulated: ctypes.CDLL, tmp_path: Path, fatbin: None) -> Open:
    def opened(
        codec: str, batch: tuple[int, int, int] = (1, 2, 4), generation: str = "tensorrt-10.3.0", **given: Any
    ) -> TrtSession:
        trt = trt_doubles.double(generation)
        onnx.save(network(CODECS[codec]["type"]), tmp_path / "net.onnx")
        plan = compile_plan(trt, tmp_path / "net.onnx", TensorRtOptions(batch=batch))
        driver = trt_doubles.driver_of(trt, **{"library": emulated} | given)
        return TrtSession(trt, plan.data, driver)

    return opened


def api_of(session: TrtSession) -> Any:
    return session._trt._world.api


def frames(count: int, size: tuple[int, int] = (48, 64)) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (*size, 3), np.uint8) for _ in range(count)]


def people(n: int) -> np.ndarray:
    rng = np.random.default_rng(n)
    corner = rng.uniform(-10, 40, (n, 2))
    return np.hstack([corner, corner + rng.uniform(8, 40, (n, 2))]).astype(np.float32)


def assert_same(found: Poses, expected: Poses) -> None:
    np.testing.assert_array_equal(found.xy_image.view(np.uint32), expected.xy_image.view(np.uint32))
    np.testing.assert_array_equal(found.scores.view(np.uint32), expected.scores.view(np.uint32))
    np.testing.assert_array_equal(found.boxes_xyxy, expected.boxes_xyxy)
    np.testing.assert_array_equal(found.box_scores, expected.box_scores)


@pytest.mark.parametrize("integrated", [False, True], ids=["card", "jetson"])
@pytest.mark.parametrize("codec", CODECS)
def test_the_joints_of_topdown(open_session: Open, codec: str, integrated: bool) -> None:
    spec = spec_of(codec)
    with open_session(codec, integrated=integrated) as session, DeviceTopDown(session, spec) as network:
        staged = TopDown(session, spec)
        # Launched, captured, replayed; 9 go in three goes of 3.
        for n, image in zip((4, 4, 4, 4, 4, 4, 1, 9), frames(8), strict=True):
            scores = np.linspace(0.2, 0.9, n)
            assert_same(network(image, people(n), scores), staged(image, people(n), scores))
        api = api_of(session)
        assert not network.no_graphs and api.calls.count("replay") >= 4
        assert ("copy_in" in api.calls) != integrated
    assert api.left() == {}


@pytest.mark.parametrize("method", ["quarter", "dark"])
def test_a_flip_test(open_session: Open, method: str) -> None:
    spec = spec_of(method)
    with open_session(method) as session, DeviceTopDown(session, spec, flip_test=True) as network:
        staged = TopDown(session, spec, flip_test=True)
        for n in (1, 2, 2, 5):
            image = frames(1)[0]
            assert_same(network(image, people(n)), staged(image, people(n)))


@pytest.mark.parametrize("generation", ["tensorrt-8.6.1", "tensorrt-10.0.1", "tensorrt-11.4.0.106"])
def test_every_generation(open_session: Open, generation: str) -> None:
    spec = spec_of("quarter")
    with open_session("quarter", generation=generation) as session, DeviceTopDown(session, spec) as network:
        for _ in range(3):
            assert_same(network(frames(1)[0], people(2)), TopDown(session, spec)(frames(1)[0], people(2)))
        own = session._trt._world.told("own scratch")
        assert not all(own) and any(own)  # the pipeline's contexts share memory; `run` has the library's


def test_an_engine_for_more_people_than_there_are(open_session: Open) -> None:
    spec = spec_of("quarter")
    with open_session("quarter", (3, 3, 4)) as session, DeviceTopDown(session, spec) as network:
        for n in (1, 1, 1, 5):
            assert_same(network(frames(1)[0], people(n)), TopDown(session, spec)(frames(1)[0], people(n)))


def test_two_frames_are_under_way(open_session: Open) -> None:
    spec = spec_of("quarter")
    images = frames(8)
    with open_session("quarter") as session, DeviceTopDown(session, spec) as network:
        expected = [TopDown(session, spec)(image, people(2)) for image in images]
        waiting: list[Callable[[], Poses]] = []
        found = []
        for image in images:
            scratch = image.copy()
            waiting.append(network.begin(scratch, people(2)))
            scratch[:] = 0  # the caller's frame is the caller's again
            if len(waiting) == LANES:
                found.append(waiting.pop(0)())
        with pytest.raises(ValueError, match="2 frames are under way"):
            network.begin(images[0], people(1)), network.begin(images[0], people(1))
        for poses, one in zip([*found, waiting[0]()], expected, strict=True):
            assert_same(poses, one)
        assert len(api_of(session).streams) == LANES + 1


def test_finishing_twice_gives_the_same(open_session: Open) -> None:
    spec = spec_of("quarter")
    with open_session("quarter") as session, DeviceTopDown(session, spec) as network:
        finish = network.begin(frames(1)[0], people(6))
        assert_same(finish(), finish())


def test_frames_of_other_sizes(open_session: Open) -> None:
    spec = spec_of("quarter")
    with open_session("quarter") as session, DeviceTopDown(session, spec) as network:
        for size in ((48, 64), (30, 41), (30, 41), (30, 41), (48, 64)):
            image = frames(1, size)[0]
            assert_same(network(image, people(2)), TopDown(session, spec)(image, people(2)))
        assert len(api_of(session).graphs) <= 2  # those of a size that went are gone


def test_a_frame_on_the_device(open_session: Open) -> None:
    spec = spec_of("quarter")
    with open_session("quarter") as session, DeviceTopDown(session, spec) as network:
        image = frames(1)[0]
        block = session.driver.make_block(image.shape, np.uint8)
        api_of(session).memory[block.there.address][:] = image.reshape(-1)
        theirs = SimpleNamespace(__cuda_array_interface__=block.there.__cuda_array_interface__)
        before = api_of(session).calls.count("copy_in")
        found = network(theirs, people(2))  # type: ignore[arg-type]
        assert api_of(session).calls.count("copy_in") == before + 2  # matrices, and no frame
        assert_same(found, TopDown(session, spec)(image, people(2)))


def test_nobody(open_session: Open) -> None:
    spec = spec_of("quarter")
    with open_session("quarter") as session, DeviceTopDown(session, spec) as network:
        assert len(network(frames(1)[0], np.zeros((0, 4), np.float32))) == 0


def test_any_thread(open_session: Open) -> None:
    spec = spec_of("quarter")
    session = open_session("quarter")
    network = DeviceTopDown(session, spec)
    expected = TopDown(session, spec)(frames(1)[0], people(3))
    with ThreadPoolExecutor(1) as other:
        for _ in range(3):
            assert_same(other.submit(network, frames(1)[0], people(3)).result(), expected)
        assert_same(network(frames(1)[0], people(3)), expected)
        other.submit(network.close).result()
    session.close()
    assert api_of(session).left() == {}


def test_several_pipelines_share_a_context_and_nothing_else(open_session: Open) -> None:
    spec = spec_of("quarter")
    first, second = open_session("quarter"), open_session("quarter")
    with DeviceTopDown(first, spec) as one, DeviceTopDown(second, spec) as two:
        assert_same(one(frames(1)[0], people(2)), two(frames(1)[0], people(2)))
    first.close(), second.close()


def test_closing_leaves_what_is_the_sessions(open_session: Open) -> None:
    spec = spec_of("quarter")
    session = open_session("quarter")
    TopDown(session, spec)(frames(1)[0], people(2))
    before = api_of(session).left()
    network = DeviceTopDown(session, spec)
    finish = network.begin(frames(1)[0], people(2))
    network.close()
    network.close()
    assert api_of(session).left() == before
    with pytest.raises(EngineError, match="pipeline is closed"):
        finish()
    with pytest.raises(EngineError, match="pipeline is closed"):
        network(frames(1)[0], people(2))
    session.close()


def test_memory_that_runs_out_leaves_nothing(open_session: Open) -> None:
    session = open_session("quarter", limit=20_000)
    with pytest.raises(EngineError, match="memory ran out"):
        DeviceTopDown(session, spec_of("quarter"))
    assert api_of(session).left() == {}
    session.close()


def test_kernels_for_other_gpus(open_session: Open) -> None:
    session = open_session("quarter", kernels=())
    with pytest.raises(EngineError, match=r"compiled for other GPUs; reinstall edgepose here.*they were compiled for"):
        DeviceTopDown(session, spec_of("quarter"))
    assert api_of(session).left() == {}


def test_an_overflowed_network_is_told_and_the_next_frame_runs(open_session: Open) -> None:
    spec = spec_of("regression")
    with open_session("regression") as session, DeviceTopDown(session, spec) as network:
        image, boxes = frames(1)[0], people(2)
        expected = network(image, boxes)
        real = session._trt.IExecutionContext._execute

        def overflowed(context: Any, shapes: Any, addresses: Any) -> None:
            real(context, shapes, addresses)
            api_of(session).memory[addresses["coords"]].view(np.float32)[5] = np.inf

        session._trt.IExecutionContext._execute = overflowed
        with pytest.raises(ModelError, match="coordinates"):
            network(image, boxes)
        session._trt.IExecutionContext._execute = real
        assert_same(network(image, boxes), expected)


def test_a_capture_that_fails_is_launched_one_by_one(open_session: Open) -> None:
    spec = spec_of("quarter")
    with open_session("quarter") as session, DeviceTopDown(session, spec) as network:
        api_of(session).fails = {"begin_capture": "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"}
        for _ in range(4):
            assert_same(network(frames(1)[0], people(2)), TopDown(session, spec)(frames(1)[0], people(2)))
        assert "another part" in network.no_graphs and network.no_graphs in slowed_by(network)


@pytest.mark.parametrize("why", ["not capturable", "fails"])
def test_the_network_alone_where_it_cannot_be_captured(open_session: Open, why: str) -> None:
    """The pipeline's own graphs are there; that of the network alone is not to be had."""
    spec, image, boxes = spec_of("quarter"), frames(1)[0], people(2)
    with (
        open_session("quarter", generation="tensorrt_rtx-1.7.1.116") as session,
        DeviceTopDown(session, spec) as network,
    ):
        stages = network.stages(image, boxes)
        if why == "fails":
            api_of(session).fails = {"begin_capture": "CUDA_ERROR_OUT_OF_MEMORY"}
        else:
            session._trt.IExecutionContext.is_stream_capturable = lambda self, stream: False
        before = len(session._trt._world.told("execute"))
        stages["network"]()
        assert len(session._trt._world.told("execute")) > before


def test_a_frame_on_the_device_is_held_until_it_was_read(open_session: Open) -> None:
    class Frame:
        def __init__(self, address: int) -> None:
            self.__cuda_array_interface__ = {
                "data": (address, False), "shape": (48, 64, 3), "typestr": "|u1", "strides": None, "version": 3
            }  # fmt: skip

    with open_session("quarter") as session, DeviceTopDown(session, spec_of("quarter")) as network:
        frame = Frame(session.driver.allocate(48 * 64 * 3))
        held = weakref.ref(frame)
        finish = network.begin(frame, people(2))
        del frame
        assert held() is not None
        finish()
        assert held() is None


def test_on_tensorrt_8_contexts_share_the_profile(open_session: Open) -> None:
    spec = spec_of("quarter")
    with open_session("quarter", generation="tensorrt-8.6.1") as session, DeviceTopDown(session, spec) as network:
        for n in (1, 2, 1, 2):
            assert_same(network(frames(1)[0], people(n)), TopDown(session, spec)(frames(1)[0], people(n)))
        session._engine._content["shared"] = False
        with pytest.raises(EngineError, match="cannot run 3 people"):
            network(frames(1)[0], people(3))


def test_an_engine_that_cannot_be_captured_is_launched_one_by_one(open_session: Open) -> None:
    spec = spec_of("quarter")
    session = open_session("quarter", generation="tensorrt_rtx-1.7.1.116")
    session._trt.IExecutionContext.is_stream_capturable = lambda self, stream: False
    with session, DeviceTopDown(session, spec) as network:
        for _ in range(3):
            assert_same(network(frames(1)[0], people(2)), TopDown(session, spec)(frames(1)[0], people(2)))
        assert "cannot be captured" in network.no_graphs and "replay" not in api_of(session).calls


def test_stages_do_their_part(open_session: Open) -> None:
    spec = spec_of("quarter")
    image, boxes = frames(1)[0], people(2)
    with open_session("quarter") as session, DeviceTopDown(session, spec) as network:
        stages = network.stages(image, boxes)
        assert set(stages) == {"preprocess", "inference", "decode", "end_to_end", "network"}
        for name in ("preprocess", "inference", "decode", "network", "network", "decode"):
            stages[name]()
            assert all(not work for work in api_of(session).streams.values()), f"{name} does not wait"
        assert_same(stages["end_to_end"](), TopDown(session, spec)(image, boxes))  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="at most 4"):
            network.stages(image, people(5))


def test_which_pipeline(open_session: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of("simcc")
    with open_session("simcc") as session:
        with open_topdown(session, spec) as network:
            assert isinstance(network, DeviceTopDown)
        with open_topdown(session, spec, flip_test=True) as network:
            assert isinstance(network, TopDown)
        assert "merged on the CPU" in str(why_not(session, spec, flip_test=True))
        fields = SimpleNamespace(session=session, spec=SimpleNamespace(codec=SimpleNamespace(type="paf")))
        assert "people of codec 'paf' are put together on the CPU" in slowed_by(fields)  # type: ignore[arg-type]
        assert "CPU" in str(why_not(SimpleNamespace(inputs=(), outputs=()), spec))  # type: ignore[arg-type]
        monkeypatch.setattr(cuda, "fatbin", lambda: None)
        assert "no CUDA kernels" in str(why_not(session, spec))
    with open_session("quarter", (1, 1, 1)) as session:
        assert "--batch 1,2,8" in str(why_not(session, spec_of("quarter"), flip_test=True))


def test_mirrored_maps_read_the_columns_backwards() -> None:
    rng = np.random.default_rng(1)
    maps = rng.integers(0, 2**64, (3, 6), np.uint64)
    out = np.empty_like(maps)
    mirror_columns(maps, WIDTH, out)
    for plain, mirrored in zip(maps.tolist(), out.tolist(), strict=True):
        for column in range(WIDTH):
            for first, step in ((2, 0), (5, 3)):
                there = mirrored[first] + mirrored[step] * column
                assert there % 2**64 == (plain[first] + plain[step] * (WIDTH - 1 - column)) % 2**64


def test_rows_of_a_device_array() -> None:
    part = DeviceArray(4096, (8, 3), np.dtype(np.float32)).rows(2, 5)
    assert (part.address, part.shape) == (4096 + 24, (3, 3))
