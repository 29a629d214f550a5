"""From a frame to poses: crop, infer and decode. `run`, `eval`, `bench` and the API share this interface.

    with open_pipeline(session, spec) as pipeline:
        poses = pipeline(image, boxes_xyxy, box_scores)

A top-down network takes the bounding boxes of people; a network that finds people itself takes the frame alone. Both
run through host memory (`edgepose.runtime.host`) or, on a GPU, without leaving it (`edgepose.runtime.device`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, runtime_checkable

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec
from edgepose.backends.session import DeviceSession, Session
from edgepose.pose.poses import Poses
from edgepose.runtime.device import DevicePipeline, device_problem
from edgepose.runtime.host import HostPipeline, check_names


class Pipeline(Protocol):
    """A network with its contract, from frames to poses. One thread uses it at a time."""

    @property
    def spec(self) -> ModelSpec:
        """The contract of the network."""
        ...

    @property
    def kind(self) -> str:
        """Where the stages run: "host" or "device"."""
        ...

    @property
    def finds_people(self) -> bool:
        """Whether the network finds people itself and takes no bounding boxes."""
        ...

    @property
    def ahead(self) -> int:
        """How many frames may be unfinished when the next one begins. 0 where `begin` does all of the work."""
        ...

    @property
    def slowed_by(self) -> str:
        """Why a network on a GPU runs slower than it could; empty where nothing does. It is known after a run."""
        ...

    def __call__(self, image: Array, boxes_xyxy: Array | None = None, box_scores: Array | None = None) -> Poses:
        """Find the poses in an image.

        Args:
            image: The image, [H, W, 3] uint8 BGR.
            boxes_xyxy: The bounding boxes of people, [N, 4] float, in image pixels. None takes the whole frame as the
                box of one person; it is the only choice for a network that finds people itself.
            box_scores: The scores of the boxes, [N]; 1 where None.

        Returns:
            The poses: one for each box, in the order of the boxes, or all people that the network finds.

        Raises:
            ValueError: An array has another shape, or boxes are given to a network that finds people itself.
            SpecError: The outputs of the network do not fit the contract.
            ModelError: The network overflowed, or found more people than the contract allows.
            EngineError: The inference library fails, or the pipeline is closed.
        """
        ...

    def begin(
        self, image: Array, boxes_xyxy: Array | None = None, box_scores: Array | None = None
    ) -> Callable[[], Poses]:
        """Start to work on an image; the arguments are those of a call.

        Returns:
            A function that waits for the poses and returns them. The caller may change the image before that.
        """
        ...

    def stages(self, image: Array, boxes_xyxy: Array | None = None) -> dict[str, Callable[[], object]]:
        """Prepare the stages of one frame for a benchmark.

        Args:
            image: The image, [H, W, 3] uint8 BGR.
            boxes_xyxy: The bounding boxes of people, [N, 4], or None, as in a call.

        Returns:
            Functions that a benchmark times: `preprocess`, `inference`, `decode`, `end_to_end` (a whole call) and
            `network` (the session alone on crops that were cut before).
        """
        ...

    def close(self) -> None:
        """Free what the pipeline allocated. The session stays open."""
        ...

    def __enter__(self) -> Pipeline: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@runtime_checkable
class JoiningPipeline(Protocol):
    """A pipeline that runs the people of several images in one batch of the network."""

    def together(
        self,
        images: Sequence[Array],
        boxes_xyxy: Sequence[Array | None],
        box_scores: Sequence[Array | None],
    ) -> list[Poses]:
        """Find the poses in several images.

        Args:
            images: Images, each [H, W, 3] uint8 BGR, of any sizes.
            boxes_xyxy: The bounding boxes of each image, [N, 4], or None, as in a call of `Pipeline`.
            box_scores: The scores of the boxes of each image, [N]; 1 where None.

        Returns:
            The poses of each image, as a call for this image returns them up to the rounding of the network, which may
            differ between batch sizes.

        Raises:
            EdgeposeError: As a call; it does not say which image is the cause.
        """
        ...


def open_pipeline(session: Session, spec: ModelSpec, *, flip_test: bool = False, threads: int = 0) -> Pipeline:
    """Open the fastest pipeline for a network: on the device where that is possible, else through host memory.

    Args:
        session: The opened network. The caller closes it after the pipeline.
        spec: Its contract.
        flip_test: Also run the mirrored image and average the outputs. This doubles the work and is a little more
            accurate.
        threads: CPU threads that cut people out; 0 is one for each core.

    Returns:
        The pipeline, which is a context manager.

    Raises:
        SpecError: The contract does not fit the session, or its codec cannot merge a flip test.
        EngineError: The memory of the device is exhausted, or the CUDA kernels are compiled for other GPUs.
    """
    check_names(spec, session)
    problem = device_problem(session, spec, flip_test)
    if problem is None:
        assert isinstance(session, DeviceSession)
        return DevicePipeline(session, spec, flip_test=flip_test)
    slowed_by = f"crops and outputs went through host memory: {problem}" if isinstance(session, DeviceSession) else ""
    return HostPipeline(session, spec, flip_test=flip_test, threads=threads, slowed_by=slowed_by)
