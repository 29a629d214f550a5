"""The device pipeline against `HostPipeline`: the same joints, bit for bit, on fakes of CUDA and of TensorRT.

The kernels are the real ones, on the CPU (cuda_emulation.py); the network runs in ONNX's reference evaluator, on the
streams of cuda_fake.py, which do nothing before somebody waits.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from emulated_engines import CODECS, WIDTH, assert_same, frames, people, spec_of

from edgepose.backends.tensorrt.session import TrtSession
from edgepose.codecs.paf import PafCodec
from edgepose.errors import EngineError, ModelError
from edgepose.kernels import choice, cuda
from edgepose.kernels.cuda import DeviceArray
from edgepose.pose.poses import Poses
from edgepose.runtime.device import LANES, DevicePipeline, device_problem
from edgepose.runtime.host import HostPipeline
from edgepose.runtime.lane import mirror_columns
from edgepose.runtime.pipeline import open_pipeline

pytestmark = pytest.mark.skipif(choice.native is None, reason="the kernels' matrices come from the host extension")

Open = Callable[..., TrtSession]


def api_of(session: TrtSession) -> Any:
    return session._trt._world.api


@pytest.mark.parametrize("integrated", [False, True], ids=["card", "jetson"])
@pytest.mark.parametrize("codec", CODECS)
def test_the_joints_of_topdown(open_session: Open, codec: str, integrated: bool) -> None:
    spec = spec_of(codec)
    with open_session(codec, integrated=integrated) as session, DevicePipeline(session, spec) as network:
        staged = HostPipeline(session, spec)
        # Launched, captured, replayed; 9 go in three goes of 3.
        for n, image in zip((4, 4, 4, 4, 4, 4, 1, 9), frames(8), strict=True):
            scores = np.linspace(0.2, 0.9, n)
            assert_same(network(image, people(n), scores), staged(image, people(n), scores))
        api = api_of(session)
        assert not network.no_graphs and api.calls.count("replay") >= 4
        assert ("copy_in" in api.calls) != integrated
    assert api.left() == {}


def test_the_people_of_whole_images(open_session: Open) -> None:
    """Only people leave the device: `max_people` rows for each frame, and none of the candidates."""
    spec = spec_of("onestage")
    with open_session("onestage") as session, DevicePipeline(session, spec) as network:
        assert network.finds_people
        staged, counts = HostPipeline(session, spec), set()
        for image in (*frames(5), *frames(2, (30, 41))):
            found = network(image)
            assert_same(found, staged(image))
            counts.add(len(found))
        assert len(counts) > 1 and max(counts) < 40
        with pytest.raises(ValueError, match="finds people in the whole frame by itself"):
            network(frames(1)[0], people(1))
        stages = network.stages(frames(1)[0])
        assert_same(stages["end_to_end"](), staged(frames(1)[0]))  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["quarter", "dark"])
def test_a_flip_test(open_session: Open, method: str) -> None:
    spec = spec_of(method)
    with open_session(method) as session, DevicePipeline(session, spec, flip_test=True) as network:
        staged = HostPipeline(session, spec, flip_test=True)
        for n in (1, 2, 2, 5):
            image = frames(1)[0]
            assert_same(network(image, people(n)), staged(image, people(n)))


@pytest.mark.parametrize("generation", ["tensorrt-8.6.1", "tensorrt-10.0.1", "tensorrt-11.4.0.106"])
def test_every_generation(open_session: Open, generation: str) -> None:
    spec = spec_of("quarter")
    with open_session("quarter", generation=generation) as session, DevicePipeline(session, spec) as network:
        for _ in range(3):
            assert_same(network(frames(1)[0], people(2)), HostPipeline(session, spec)(frames(1)[0], people(2)))
        own = session._trt._world.told("own scratch")
        assert not all(own) and any(own)  # the pipeline's contexts share memory; `run` has the library's


def test_an_engine_for_more_people_than_there_are(open_session: Open) -> None:
    spec = spec_of("quarter")
    with open_session("quarter", (3, 3, 4)) as session, DevicePipeline(session, spec) as network:
        for n in (1, 1, 1, 5):
            assert_same(network(frames(1)[0], people(n)), HostPipeline(session, spec)(frames(1)[0], people(n)))


def test_two_frames_are_under_way(open_session: Open) -> None:
    spec = spec_of("quarter")
    images = frames(8)
    with open_session("quarter") as session, DevicePipeline(session, spec) as network:
        expected = [HostPipeline(session, spec)(image, people(2)) for image in images]
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
    with open_session("quarter") as session, DevicePipeline(session, spec) as network:
        finish = network.begin(frames(1)[0], people(6))
        assert_same(finish(), finish())


def test_frames_of_other_sizes(open_session: Open) -> None:
    spec = spec_of("quarter")
    with open_session("quarter") as session, DevicePipeline(session, spec) as network:
        for size in ((48, 64), (30, 41), (30, 41), (30, 41), (48, 64)):
            image = frames(1, size)[0]
            assert_same(network(image, people(2)), HostPipeline(session, spec)(image, people(2)))
        assert len(api_of(session).graphs) <= 2  # those of a size that went are gone


def test_a_frame_on_the_device(open_session: Open) -> None:
    spec = spec_of("quarter")
    with open_session("quarter") as session, DevicePipeline(session, spec) as network:
        image = frames(1)[0]
        block = session.driver.make_block(image.shape, np.uint8)
        api_of(session).memory[block.there.address][:] = image.reshape(-1)
        theirs = SimpleNamespace(__cuda_array_interface__=block.there.__cuda_array_interface__)
        before = api_of(session).calls.count("copy_in")
        found = network(theirs, people(2))  # type: ignore[arg-type]
        assert api_of(session).calls.count("copy_in") == before + 2  # matrices, and no frame
        assert_same(found, HostPipeline(session, spec)(image, people(2)))


def test_nobody(open_session: Open) -> None:
    spec = spec_of("quarter")
    with open_session("quarter") as session, DevicePipeline(session, spec) as network:
        assert len(network(frames(1)[0], np.zeros((0, 4), np.float32))) == 0


def test_any_thread(open_session: Open) -> None:
    spec = spec_of("quarter")
    session = open_session("quarter")
    network = DevicePipeline(session, spec)
    expected = HostPipeline(session, spec)(frames(1)[0], people(3))
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
    with DevicePipeline(first, spec) as one, DevicePipeline(second, spec) as two:
        assert_same(one(frames(1)[0], people(2)), two(frames(1)[0], people(2)))
    first.close(), second.close()


def test_closing_leaves_what_is_the_sessions(open_session: Open) -> None:
    spec = spec_of("quarter")
    session = open_session("quarter")
    HostPipeline(session, spec)(frames(1)[0], people(2))
    before = api_of(session).left()
    network = DevicePipeline(session, spec)
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
        DevicePipeline(session, spec_of("quarter"))
    assert api_of(session).left() == {}
    session.close()


def test_kernels_for_other_gpus(open_session: Open) -> None:
    session = open_session("quarter", kernels=())
    with pytest.raises(EngineError, match=r"compiled for other GPUs; reinstall edgepose here.*they were compiled for"):
        DevicePipeline(session, spec_of("quarter"))
    assert api_of(session).left() == {}


def test_an_overflowed_network_is_told_and_the_next_frame_runs(open_session: Open) -> None:
    spec = spec_of("regression")
    with open_session("regression") as session, DevicePipeline(session, spec) as network:
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
    with open_session("quarter") as session, DevicePipeline(session, spec) as network:
        api_of(session).fails = {"begin_capture": "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"}
        for _ in range(4):
            assert_same(network(frames(1)[0], people(2)), HostPipeline(session, spec)(frames(1)[0], people(2)))
        assert "another part" in network.no_graphs and network.no_graphs in network.slowed_by


@pytest.mark.parametrize("why", ["not capturable", "fails"])
def test_the_network_alone_where_it_cannot_be_captured(open_session: Open, why: str) -> None:
    """The pipeline's own graphs are there; that of the network alone is not to be had."""
    spec, image, boxes = spec_of("quarter"), frames(1)[0], people(2)
    with (
        open_session("quarter", generation="tensorrt_rtx-1.7.1.116") as session,
        DevicePipeline(session, spec) as network,
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

    with open_session("quarter") as session, DevicePipeline(session, spec_of("quarter")) as network:
        frame = Frame(session.driver.allocate(48 * 64 * 3))
        held = weakref.ref(frame)
        finish = network.begin(frame, people(2))
        del frame
        assert held() is not None
        finish()
        assert held() is None


def test_on_tensorrt_8_contexts_share_the_profile(open_session: Open) -> None:
    spec = spec_of("quarter")
    with open_session("quarter", generation="tensorrt-8.6.1") as session, DevicePipeline(session, spec) as network:
        for n in (1, 2, 1, 2):
            assert_same(network(frames(1)[0], people(n)), HostPipeline(session, spec)(frames(1)[0], people(n)))
        session._engine._content["shared"] = False
        with pytest.raises(EngineError, match="cannot run 3 people"):
            network(frames(1)[0], people(3))


def test_an_engine_that_cannot_be_captured_is_launched_one_by_one(open_session: Open) -> None:
    spec = spec_of("quarter")
    session = open_session("quarter", generation="tensorrt_rtx-1.7.1.116")
    session._trt.IExecutionContext.is_stream_capturable = lambda self, stream: False
    with session, DevicePipeline(session, spec) as network:
        for _ in range(3):
            assert_same(network(frames(1)[0], people(2)), HostPipeline(session, spec)(frames(1)[0], people(2)))
        assert "cannot be captured" in network.no_graphs and "replay" not in api_of(session).calls


def test_stages_do_their_part(open_session: Open) -> None:
    spec = spec_of("quarter")
    image, boxes = frames(1)[0], people(2)
    with open_session("quarter") as session, DevicePipeline(session, spec) as network:
        stages = network.stages(image, boxes)
        assert set(stages) == {"preprocess", "inference", "decode", "end_to_end", "network"}
        for name in ("preprocess", "inference", "decode", "network", "network", "decode"):
            stages[name]()
            assert all(not work for work in api_of(session).streams.values()), f"{name} does not wait"
        assert_same(stages["end_to_end"](), HostPipeline(session, spec)(image, boxes))  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="at most 4"):
            network.stages(image, people(5))


def test_which_pipeline(open_session: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of("simcc")
    with open_session("simcc") as session:
        with open_pipeline(session, spec) as network:
            assert (network.kind, network.slowed_by) == ("device", "")
        with open_pipeline(session, spec, flip_test=True) as network:
            assert network.kind == "host"
            assert "host memory: a flip test of codec 'simcc' is merged on the CPU" in network.slowed_by
        fields = replace(spec, codec=PafCodec(), outputs=("x", "y"))
        with open_pipeline(session, fields) as network:
            assert network.finds_people and "codec 'paf' puts people together on the CPU" in network.slowed_by
        assert "CPU" in str(device_problem(SimpleNamespace(inputs=(), outputs=()), spec))  # type: ignore[arg-type]
        monkeypatch.setattr(cuda, "fatbin", lambda: None)
        assert "no CUDA kernels" in str(device_problem(session, spec))
    with open_session("quarter", (1, 1, 1)) as session:
        assert "--batch 1,2,8" in str(device_problem(session, spec_of("quarter"), flip_test=True))


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
