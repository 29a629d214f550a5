"""Top-down without leaving the GPU: `TopDown` for engines of TensorRT, frame to joints on two streams in turn.

    with open_topdown(session, spec) as network:       # this, or `TopDown` where it cannot be (`why_not` says why)
        finish = network.begin(image, boxes)           # returns at once; the next frame may begin
        poses = finish()                               # the same joints as TopDown gives

While the GPU works on a frame the host reads, finds people in and uploads the next one. Never run on a GPU: proven
with the kernels on an emulated device (tests/runtime/test_device.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.artifacts.spec import ModelSpec
from edgepose.backends.batches import pieces
from edgepose.backends.cuda import Kernels
from edgepose.backends.session import DeviceSession, Session
from edgepose.datasets.feeds import crop_matrices
from edgepose.errors import EngineError, SpecError
from edgepose.kernels import cuda
from edgepose.kernels.cuda import DeviceArray
from edgepose.pose.geometry import invert_affine
from edgepose.pose.poses import Poses
from edgepose.runtime.bottomup import BottomUp
from edgepose.runtime.lane import Lane
from edgepose.runtime.topdown import LARGEST_BATCH, TopDown, check_names, poses_of

LANES = 2
FLOATS = ("float32", "float16")


def why_not(session: Session, spec: ModelSpec, flip_test: bool = False) -> str | None:
    """Why a network cannot run from frame to joints on the device, or None when it can."""
    if not isinstance(session, DeviceSession):
        return "its backend runs on the CPU"
    problem = spec.codec.device_problem(flip_test)
    if problem is not None:
        return problem
    if flip_test and session.largest < 2:
        return "a flip test wants an engine for 2 people at once; build with --batch 1,2,8"
    kinds = {name: session.dtype(name).name for name in (spec.input.name, *spec.outputs)}
    other = [f"{name} ({kind})" for name, kind in kinds.items() if kind not in FLOATS]
    if other:
        return f"{', '.join(other)} is neither float32 nor float16"
    return None if cuda.fatbin() is not None else f"there are no CUDA kernels: {cuda.implementation()}"


@contextmanager
def open_topdown(
    session: Session, spec: ModelSpec, *, flip_test: bool = False, threads: int = 1
) -> Iterator[TopDown | DeviceTopDown]:
    """The pipeline that fits: on the device where `why_not` has nothing against it, else through host arrays."""
    check_names(spec, session)
    if why_not(session, spec, flip_test) is not None:
        yield TopDown(session, spec, flip_test=flip_test, threads=threads)
        return
    assert isinstance(session, DeviceSession)
    with DeviceTopDown(session, spec, flip_test=flip_test) as network:
        yield network


def slowed_by(network: TopDown | DeviceTopDown | BottomUp, flip_test: bool = False) -> str:
    """What kept an engine on a GPU from its fastest way, once it ran; empty where nothing did."""
    if isinstance(network, DeviceTopDown):
        return network.no_graphs and f"launched one by one, not as a CUDA graph: {network.no_graphs}"
    if not isinstance(network.session, DeviceSession):
        return ""
    return f"crops and outputs went through host memory: {why_not(network.session, network.spec, flip_test)}"


class DeviceTopDown:
    """A pose network on the GPU with its contract. The session stays the caller's and must be closed later.

    One thread at a time, any thread. Raises EngineError where memory runs out or the kernels are for other GPUs;
    SpecError as `TopDown`.
    """

    def __init__(
        self,
        session: DeviceSession,
        spec: ModelSpec,
        *,
        flip_test: bool = False,
        largest_batch: int = LARGEST_BATCH,
    ) -> None:
        self.session, self.spec, self._driver = session, spec, session.driver.share()
        capacity = min(largest_batch, session.largest // 2 if flip_test else session.largest)
        self._kernels = Kernels(self._driver)
        self._lanes: list[Lane] = []
        self._busy: list[Lane] = []
        self._closed = False
        try:
            self._kernels.load()
            for _ in range(LANES):
                self._lanes.append(Lane(session, self._driver, spec, self._kernels.launch, capacity, flip_test))
        except (EngineError, SpecError):
            self.close()
            raise

    def __call__(self, image: Array, boxes_xyxy: Array, box_scores: Array | None = None) -> Poses:
        """As `TopDown`: the poses in an image [H, W, 3] uint8 BGR, one per box [N, 4].

        `image` may lie on the device: anything with `__cuda_array_interface__` or `__dlpack__`.
        """
        return self.begin(image, boxes_xyxy, box_scores)()

    def begin(self, image: Any, boxes_xyxy: Array, box_scores: Array | None = None) -> Callable[[], Poses]:
        """Start on a frame; what is returned waits for it. At most LANES frames are under way at once."""
        self._check_open()
        if not len(boxes_xyxy):
            return lambda: Poses.empty(self.spec.skeleton)
        frame = self._frame(image)
        lane = next((lane for lane in self._lanes if lane not in self._busy), None)
        if lane is None:
            raise ValueError(f"{LANES} frames are under way; finish one before the next begins")
        matrices = crop_matrices(boxes_xyxy, self.spec)
        inverse = invert_affine(matrices)
        parts = list(pieces(len(matrices), lane.capacity))
        done = [self._whole(lane, frame, matrices[part], inverse[part]) for part in parts[:-1]]
        lane.begin(frame, matrices[parts[-1]], inverse[parts[-1]])
        self._busy.append(lane)
        boxes, scores = np.array(boxes_xyxy, np.float32), box_scores
        reading = [image]  # another library's frame: its memory must not be given to the next while it is read

        def finish() -> Poses:
            self._check_open()
            if lane in self._busy:
                self._busy.remove(lane)
                done.append(lane.joints(parts[-1].stop - parts[-1].start))
                reading.clear()
            return poses_of(self.spec, np.concatenate(done), boxes, scores)

        return finish

    def stages(self, image: Array, boxes_xyxy: Array) -> dict[str, Callable[[], object]]:
        """What a benchmark times, each until the GPU is through: preprocess with the frame's upload, inference,
        decode with the download, and `network`, the engine alone on crops that are there, replayed as the pipeline
        is. ValueError for more people than run at once."""
        lane, n = self._lanes[0], len(boxes_xyxy)
        if n > lane.capacity:
            raise ValueError(f"boxes_xyxy: expected at most {lane.capacity} people, got {n}")
        for _ in range(2):
            self(image, boxes_xyxy)  # matrices are written, crops and outputs are there, graphs are captured
        there = lane.upload(image)
        lane.finish()

        def timed(*work: Callable[[], object]) -> Callable[[], None]:
            def call() -> None:
                with self._driver.current():
                    for part in work:
                        part()
                    lane.finish()

            return call

        return {
            "preprocess": timed(lambda: lane.upload(image), lambda: lane.preprocess(there, n)),
            "inference": timed(lambda: lane.network(n)),
            "decode": timed(lambda: lane.decode(n)),
            "end_to_end": lambda: self(image, boxes_xyxy),
            "network": timed(lambda: lane.replay_network(n)),
        }

    @property
    def no_graphs(self) -> str:
        """Why launches are not replayed as a graph; empty where they are, or nothing ran yet."""
        return next((lane.no_graphs for lane in self._lanes if lane.no_graphs), "")

    def close(self) -> None:
        """Wait for frames under way and free what the pipeline made; the session keeps its own."""
        if self._closed:
            return
        self._closed = True
        try:
            with self._driver.current():
                for lane in self._lanes:
                    lane.close()
        finally:
            self._lanes.clear()
            self._busy.clear()
            self._driver.close()

    def __enter__(self) -> DeviceTopDown:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _whole(self, lane: Lane, frame: Array | DeviceArray, matrices: Array, inverse: Array) -> Array:
        lane.begin(frame, matrices, inverse)
        return lane.joints(len(matrices))

    def _frame(self, image: Any) -> Array | DeviceArray:
        frame = image if isinstance(image, np.ndarray) else DeviceArray.of(image)
        if isinstance(frame, np.ndarray):
            check_array("image", frame, ("H", "W", 3), np.uint8)
        return frame

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError("the pipeline is closed; open the engine again")
