"""Top-down: boxes in, poses out. One crop a person, all people of a frame as one batch.

The three stages are separate methods, so that a benchmark can time each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.artifacts.spec import ModelSpec
from edgepose.backends.session import Session
from edgepose.codecs.outputs import outputs_of
from edgepose.datasets.feeds import cut
from edgepose.errors import SpecError
from edgepose.kernels import mirrored
from edgepose.pose.poses import Poses

LARGEST_BATCH = 32  # people; more are run in several goes, which bounds memory
FLIPPED = "/flipped"  # added to the name of an output of the mirrored crops

Outputs = list[Array]  # the decoded ones, in the contract's order


def check_names(spec: ModelSpec, session: Session) -> None:
    """SpecError where the contract names an input or output that the network does not have."""
    for kind, wanted, known in (
        ("input", (spec.input.name,), session.inputs),
        ("output", spec.outputs, session.outputs),
    ):
        for name in wanted:
            if name not in known:
                raise SpecError(f"{spec.name}: the spec's {kind} {name!r} is not the network's: {list(known)}")


def poses_of(spec: ModelSpec, joints: Array, boxes_xyxy: Array, box_scores: Array | None) -> Poses:
    """Poses of joints [N, K, 3]: x and y in the image, score; box scores [N] default to 1."""
    given = np.ones(len(joints)) if box_scores is None else box_scores
    check_array("box_scores", given, (len(joints),))
    return Poses(
        skeleton=spec.skeleton,
        xy_image=joints[..., :2],
        scores=joints[..., 2],
        boxes_xyxy=np.asarray(boxes_xyxy, np.float32),
        box_scores=np.asarray(given, np.float32),
    )


class TopDown:
    """A pose network with its contract. The session stays the caller's: it is not closed here.

    flip_test: also run the mirrored crops and average; twice the work, a little more accurate. threads: for
    cutting people out; 0 is one a core.
    Raises SpecError when the spec and the session do not fit, or the codec wants no boxes (runtime/bottomup.py).
    """

    def __init__(
        self,
        session: Session,
        spec: ModelSpec,
        *,
        flip_test: bool = False,
        largest_batch: int = LARGEST_BATCH,
        threads: int = 1,
    ) -> None:
        if spec.codec.finds_people:
            raise SpecError(
                f"{spec.name}: codec {spec.codec.name!r} finds everyone in a whole image, not one person in a "
                "box; edgepose run and eval can do that"
            )
        check_names(spec, session)
        if largest_batch < 1:
            raise ValueError(f"largest_batch: expected at least 1, got {largest_batch}")
        self.session, self.spec = session, spec
        self.flip_test, self.largest_batch, self.threads = flip_test, largest_batch, threads

    def __call__(self, image: Array, boxes_xyxy: Array, box_scores: Array | None = None) -> Poses:
        """The poses in an image [H, W, 3] uint8 BGR, one per box [N, 4]; box scores [N] default to 1."""
        if not len(boxes_xyxy):
            return Poses.empty(self.spec.skeleton)
        crops, inverse = self.preprocess(image, boxes_xyxy)
        return self.decode(self.infer(crops), inverse, boxes_xyxy, box_scores)

    def preprocess(self, image: Array, boxes_xyxy: Array) -> tuple[Array, Array]:
        """(crops [N, 3, h, w] float32, inverse [N, 2, 3] float64, crop -> image)."""
        return cut(image, boxes_xyxy, self.spec, self.threads)

    def infer(self, crops: Array) -> dict[str, Array]:
        """The network's outputs, by name, for crops [N, 3, h, w]; with `flip_test` also those of the mirrored crops,
        whose names end in FLIPPED."""
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
        """Image coordinates from the outputs, flipped ones averaged in.

        Raises SpecError when their shapes are not the contract's, ModelError when the network overflowed.
        """
        spec, n = self.spec, len(inverse)
        joints = spec.codec.decode(outputs_of(spec, outputs, n), self._flipped(outputs, n), inverse, spec)
        return poses_of(spec, cast(Array, joints), boxes_xyxy, box_scores)

    def _batches(self, crops: Array) -> Iterator[Array]:
        for start in range(0, len(crops), self.largest_batch):
            yield crops[start : start + self.largest_batch]

    def _flipped(self, outputs: Mapping[str, Array], n: int) -> Outputs | None:
        found = {name.removesuffix(FLIPPED): value for name, value in outputs.items() if name.endswith(FLIPPED)}
        return outputs_of(self.spec, found, n) if found else None

    def _run(self, crops: Array) -> dict[str, Array]:
        outputs = self.session.run({self.spec.input.name: crops})
        if not self.flip_test:
            return outputs
        flipped = self.session.run({self.spec.input.name: mirrored(crops, self.spec.input)})
        return outputs | {name + FLIPPED: flipped[name] for name in self.spec.outputs}
