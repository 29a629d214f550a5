"""The pipeline through host memory, for any session.

The crops of all people in a frame are one batch. A network that finds people itself gets the whole frame, letterboxed:
that is the crop of a person whose bounding box is the frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.artifacts.spec import ModelSpec
from edgepose.backends.session import Session
from edgepose.codecs.codec import People
from edgepose.codecs.outputs import outputs_of
from edgepose.errors import SpecError
from edgepose.kernels import mirrored
from edgepose.kernels.cropping import cut as cut_out
from edgepose.kernels.cropping import frame_box
from edgepose.kernels.cuda import DeviceArray
from edgepose.pose.poses import Poses

LARGEST_BATCH = 32  # people in one run of the network; larger crowds take several runs, which bounds the memory
FLIPPED = "/flipped"  # added to the name of an output for the mirrored crops


class HostPipeline:
    """A pipeline whose crops and outputs are host arrays; see `edgepose.runtime.pipeline.Pipeline`.

    Args:
        session: The opened network. The caller closes it.
        spec: Its contract.
        flip_test: Also run the mirrored crops and average the outputs. This doubles the work and is a little more
            accurate.
        largest_batch: The largest number of people in one run of the network.
        threads: CPU threads that cut people out; 0 is one for each core.
        slowed_by: Why a session on a GPU is not run by the device pipeline; empty for other sessions.

    Raises:
        SpecError: The contract does not fit the session, or its codec cannot merge a flip test.
    """

    kind = "host"
    ahead = 0

    def __init__(
        self,
        session: Session,
        spec: ModelSpec,
        *,
        flip_test: bool = False,
        largest_batch: int = LARGEST_BATCH,
        threads: int = 0,
        slowed_by: str = "",
    ) -> None:
        check_names(spec, session)
        if flip_test:
            spec.codec.check_flip(spec.skeleton)
        if largest_batch < 1:
            raise ValueError(f"largest_batch: expected at least 1, got {largest_batch}")
        self.session, self.spec, self.slowed_by = session, spec, slowed_by
        self.flip_test, self.largest_batch, self.threads = flip_test, largest_batch, threads
        self.finds_people = spec.codec.finds_people

    def __call__(self, image: Array, boxes_xyxy: Array | None = None, box_scores: Array | None = None) -> Poses:
        """Find the poses in an image; see `Pipeline`."""
        boxes = boxes_for(self.finds_people, image, boxes_xyxy)
        if not len(boxes):
            return Poses.empty(self.spec.skeleton)
        crops, inverse = self.preprocess(image, boxes)
        return self.decode(self.infer(crops), inverse, boxes, box_scores)

    def begin(
        self, image: Array, boxes_xyxy: Array | None = None, box_scores: Array | None = None
    ) -> Callable[[], Poses]:
        """Find the poses in an image now; the returned function only hands them over."""
        poses = self(image, boxes_xyxy, box_scores)
        return lambda: poses

    def together(
        self,
        images: Sequence[Array],
        boxes_xyxy: Sequence[Array | None],
        box_scores: Sequence[Array | None],
    ) -> list[Poses]:
        """Find the poses in several images with as few runs of the network as `largest_batch` allows.

        An image whose people do not fit into the batch of the images before begins another one. See `JoiningPipeline`.
        """
        found: list[Poses] = []
        boxes = [boxes_for(self.finds_people, image, its) for image, its in zip(images, boxes_xyxy, strict=True)]
        start = 0
        for stop in _stops([len(its) for its in boxes], self.largest_batch):
            part = slice(start, stop)
            found += self._joined(images[part], boxes[part], box_scores[part])
            start = stop
        return found

    def _joined(
        self, images: Sequence[Array], boxes_xyxy: Sequence[Array], box_scores: Sequence[Array | None]
    ) -> list[Poses]:
        """Find the poses in images whose people are one batch."""
        cuts = [self.preprocess(*one) if len(one[1]) else None for one in zip(images, boxes_xyxy, strict=True)]
        crops = [cut[0] for cut in cuts if cut is not None]
        outputs = self.infer(np.concatenate(crops) if len(crops) > 1 else crops[0]) if crops else {}
        found, first = [], 0
        for cut, boxes, scores in zip(cuts, boxes_xyxy, box_scores, strict=True):
            if cut is None:
                found.append(Poses.empty(self.spec.skeleton))
                continue
            rows = slice(first, first + len(cut[1]))
            first = rows.stop
            mine = {name: output[rows] for name, output in outputs.items()}
            found.append(self.decode(mine, cut[1], boxes, scores))
        return found

    def preprocess(self, image: Array, boxes_xyxy: Array) -> tuple[Array, Array]:
        """Cut people out of an image.

        Args:
            image: The image, [H, W, 3] uint8 BGR.
            boxes_xyxy: Bounding boxes, [N, 4]; that of the frame for a network that finds people.

        Returns:
            A pair: the input of the network, [N, 3, h, w] float32, or in the layout and dtype of the contract, and
            the matrices crop -> image, [N, 2, 3] float64.
        """
        return cut_out(image, boxes_xyxy, self.spec, self.threads)

    def infer(self, crops: Array) -> dict[str, Array]:
        """Run the network.

        Args:
            crops: The input of the network, as `preprocess` returned it.

        Returns:
            Its outputs by name. A flip test adds those for the mirrored crops, whose names end in `FLIPPED`.
        """
        parts = [self._run(part) for part in self._batches(crops)]
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def decode(
        self,
        outputs: Mapping[str, Array],
        inverse: Array,  # [N, 2, 3], crop -> image
        boxes_xyxy: Array,  # [N, 4]
        box_scores: Array | None = None,  # [N]
    ) -> Poses:
        """Decode outputs to poses in image coordinates and average those of a flip test.

        Args:
            outputs: The outputs that `infer` returned.
            inverse: The matrices crop -> image, [N, 2, 3].
            boxes_xyxy: The bounding boxes of the crops, [N, 4]. A network that finds people replaces them.
            box_scores: The scores of the boxes, [N]; 1 where None.

        Raises:
            SpecError: The shape of an output is not that of the contract.
            ModelError: The network overflowed.
        """
        plain, flipped = outputs_of(self.spec, outputs, len(inverse)), self._flipped(outputs, len(inverse))
        decoded = self.spec.codec.decode(plain, flipped, inverse, self.spec)
        return poses_of(self.spec, decoded, boxes_xyxy, box_scores)

    def stages(self, image: Array, boxes_xyxy: Array | None = None) -> dict[str, Callable[[], object]]:
        """Give the stages of one frame as functions that a benchmark times; see `Pipeline`."""
        boxes = boxes_for(self.finds_people, image, boxes_xyxy)
        crops, inverse = self.preprocess(image, boxes)
        outputs = self.infer(crops)
        feed = {self.spec.input.name: crops}
        return {
            "preprocess": lambda: self.preprocess(image, boxes),
            "inference": lambda: self.infer(crops),
            "decode": lambda: self.decode(outputs, inverse, boxes),
            "end_to_end": lambda: self(image, boxes_xyxy),
            "network": lambda: self.session.run(feed),
        }

    def close(self) -> None:
        """Do nothing: the caller closes the session."""

    def __enter__(self) -> HostPipeline:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _batches(self, crops: Array) -> Iterator[Array]:
        for start in range(0, len(crops), self.largest_batch):
            yield crops[start : start + self.largest_batch]

    def _flipped(self, outputs: Mapping[str, Array], n: int) -> list[Array] | None:
        found = {name.removesuffix(FLIPPED): value for name, value in outputs.items() if name.endswith(FLIPPED)}
        return outputs_of(self.spec, found, n) if found else None

    def _run(self, crops: Array) -> dict[str, Array]:
        outputs = self.session.run({self.spec.input.name: crops})
        if not self.flip_test:
            return outputs
        flipped = self.session.run({self.spec.input.name: mirrored(crops, self.spec.input)})
        return outputs | {name + FLIPPED: flipped[name] for name in self.spec.outputs}


def _stops(counts: Sequence[int], most: int) -> Iterator[int]:
    """Yield where groups of neighbors end: as many as sum up to at most `most`, and at least one each."""
    total = 0
    for index, count in enumerate(counts):
        if index and total + count > most:
            yield index
            total = 0
        total += count
    if counts:
        yield len(counts)


def check_names(spec: ModelSpec, session: Session) -> None:
    """Raise SpecError where the contract names an input or output that the network does not have."""
    for kind, wanted, known in (
        ("input", (spec.input.name,), session.inputs),
        ("output", spec.outputs, session.outputs),
    ):
        for name in wanted:
            if name not in known:
                raise SpecError(f"{spec.name}: the spec's {kind} {name!r} is not the network's: {list(known)}")


def boxes_for(finds_people: bool, image: Array | DeviceArray, boxes_xyxy: Array | None) -> Array:
    """Return the bounding boxes to crop, [N, 4]: the given ones, or that of the whole frame.

    Raises:
        ValueError: Boxes are given to a network that finds people itself.
    """
    if boxes_xyxy is None:
        return frame_box((image.shape[0], image.shape[1]))
    if finds_people:
        raise ValueError("boxes_xyxy: expected None, because this network finds people in the whole frame by itself")
    return boxes_xyxy


def poses_of(spec: ModelSpec, decoded: Array | People, boxes_xyxy: Array, box_scores: Array | None = None) -> Poses:
    """Convert decoded joints or people to poses.

    Args:
        spec: The contract.
        decoded: Joints, [N, K, 3] of x, y in image pixels and score; or the people that the network found.
        boxes_xyxy: The boxes of the joints, [N, 4].
        box_scores: Their scores, [N]; 1 where None.
    """
    if isinstance(decoded, People):
        return Poses(skeleton=spec.skeleton, **decoded._asdict())
    given = np.ones(len(decoded)) if box_scores is None else box_scores
    check_array("box_scores", given, (len(decoded),))
    return Poses(
        skeleton=spec.skeleton,
        xy_image=decoded[..., :2],
        scores=decoded[..., 2],
        boxes_xyxy=np.asarray(boxes_xyxy, np.float32),
        box_scores=np.asarray(given, np.float32),
    )
