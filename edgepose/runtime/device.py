"""The pipeline on a GPU: a frame goes up and joints come down, on two CUDA streams in turn.

While the GPU works on one frame, the host reads the next one, finds its people and uploads it. The joints are the same
as those of `HostPipeline`: tests/runtime/test_device.py proves it with the kernels on an emulated device.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.artifacts.spec import ModelSpec
from edgepose.backends.batches import pieces
from edgepose.backends.cuda import Kernels
from edgepose.backends.session import DeviceSession, Session
from edgepose.errors import EngineError, SpecError
from edgepose.kernels import cuda
from edgepose.kernels.cropping import crop_matrices
from edgepose.kernels.cuda import DeviceArray
from edgepose.pose.geometry import invert_affine
from edgepose.pose.poses import Poses
from edgepose.runtime.host import LARGEST_BATCH, boxes_for, poses_of
from edgepose.runtime.lane import Lane

LANES = 2
FLOATS = ("float32", "float16")


def device_problem(session: Session, spec: ModelSpec, flip_test: bool = False) -> str | None:
    """Return why a network cannot run from frame to joints on the device, or None where it can."""
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


class DevicePipeline:
    """A pipeline that stays on the GPU; see `edgepose.runtime.pipeline.Pipeline`.

    One thread uses it at a time, and it may be another thread each time.

    Args:
        session: The opened network. The caller closes it after the pipeline.
        spec: Its contract. `device_problem` says whether it can run here.
        flip_test: Also run the mirrored crops and average the outputs.
        largest_batch: The largest number of people in one run of the network.

    Raises:
        EngineError: The memory of the device is exhausted, or the CUDA kernels are compiled for other GPUs.
        SpecError: The outputs of the network do not fit the contract.
    """

    kind = "device"
    ahead = LANES - 1

    def __init__(
        self,
        session: DeviceSession,
        spec: ModelSpec,
        *,
        flip_test: bool = False,
        largest_batch: int = LARGEST_BATCH,
    ) -> None:
        self.session, self.spec, self._driver = session, spec, session.driver.share()
        self.finds_people = spec.codec.finds_people
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

    def __call__(self, image: Any, boxes_xyxy: Array | None = None, box_scores: Array | None = None) -> Poses:
        """Find the poses in an image; see `Pipeline`.

        The image may also be on the device: any object with `__cuda_array_interface__` or `__dlpack__`.
        """
        return self.begin(image, boxes_xyxy, box_scores)()

    def begin(
        self, image: Any, boxes_xyxy: Array | None = None, box_scores: Array | None = None
    ) -> Callable[[], Poses]:
        """Start to work on an image; see `Pipeline`.

        An image on the device must not change before the returned function was called. At most `LANES` frames are
        unfinished at once: one more raises ValueError.
        """
        self._check_open()
        frame = self._frame(image)
        boxes_xyxy = boxes_for(self.finds_people, frame, boxes_xyxy)
        if not len(boxes_xyxy):
            return lambda: Poses.empty(self.spec.skeleton)
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
        reading = [image]  # keeps the memory of another library's frame alive while the GPU reads it

        def finish() -> Poses:
            self._check_open()
            if lane in self._busy:
                self._busy.remove(lane)
                done.append(lane.joints(parts[-1].stop - parts[-1].start))
                reading.clear()
            found = self.spec.codec.from_device(np.concatenate(done))
            return poses_of(self.spec, found, boxes, scores)

        return finish

    def stages(self, image: Array, boxes_xyxy: Array | None = None) -> dict[str, Callable[[], object]]:
        """Give the stages of one frame as functions that a benchmark times; see `Pipeline`.

        Each function returns when the GPU has finished. `preprocess` contains the upload of the frame and `decode` the
        download of the joints. `network` replays a CUDA graph where the pipeline does.

        Raises:
            ValueError: There are more people than the engine runs at once.
        """
        given = boxes_xyxy
        boxes_xyxy = boxes_for(self.finds_people, image, given)
        lane, n = self._lanes[0], len(boxes_xyxy)
        if n > lane.capacity:
            raise ValueError(f"boxes_xyxy: expected at most {lane.capacity} people, got {n}")
        for _ in range(2):
            self(image, given)  # writes matrices, crops and outputs, and captures the graphs
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
            "end_to_end": lambda: self(image, given),
            "network": timed(lambda: lane.replay_network(n)),
        }

    @property
    def no_graphs(self) -> str:
        """Why work is launched kernel by kernel and not replayed as a CUDA graph; empty before the first run."""
        return next((lane.no_graphs for lane in self._lanes if lane.no_graphs), "")

    @property
    def slowed_by(self) -> str:
        """Why the pipeline runs slower than it could; empty where nothing slows it down or nothing ran yet."""
        return self.no_graphs and f"launched one by one, not as a CUDA graph: {self.no_graphs}"

    def close(self) -> None:
        """Wait for unfinished frames and free what the pipeline allocated. The session keeps its own memory."""
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

    def __enter__(self) -> DevicePipeline:
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
