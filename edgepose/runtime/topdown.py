"""Top-down: boxes in, poses out. One crop a person, all people of a frame as one batch.

The three stages are separate methods, so that a benchmark can time each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from edgepose._checks import Array, check_array
from edgepose.artifacts.spec import ModelSpec
from edgepose.backends.session import Session
from edgepose.codecs import heatmap, pictorial
from edgepose.datasets.feeds import cut
from edgepose.errors import SpecError
from edgepose.pose.poses import Poses

LARGEST_BATCH = 32  # people; more are run in several goes, which bounds memory


def _check_names(spec: ModelSpec, kind: str, wanted: tuple[str, ...], known: tuple[str, ...]) -> None:
    for name in wanted:
        if name not in known:
            raise SpecError(f"{spec.name}: the spec's {kind} {name!r} is not the network's: {list(known)}")


class TopDown:
    """A pose network with its contract. The session stays the caller's: it is not closed here.

    flip_test: also run the mirrored crops and average; twice the work, a little more accurate.
    Raises SpecError when the spec and the session do not fit, or the codec has no decoder here.
    """

    def __init__(
        self,
        session: Session,
        spec: ModelSpec,
        *,
        flip_test: bool = False,
        largest_batch: int = LARGEST_BATCH,
    ) -> None:
        if spec.codec.type != "heatmap":
            raise SpecError(f"{spec.name}: codec {spec.codec.type!r} cannot be run yet; heatmap can")
        _check_names(spec, "input", (spec.input.name,), session.inputs)
        _check_names(spec, "output", spec.outputs, session.outputs)
        if largest_batch < 1:
            raise ValueError(f"largest_batch: expected at least 1, got {largest_batch}")
        self.session, self.spec = session, spec
        self.flip_test, self.largest_batch = flip_test, largest_batch

    def __call__(self, image: Array, boxes_xyxy: Array, box_scores: Array | None = None) -> Poses:
        """The poses in an image [H, W, 3] uint8 BGR, one per box [N, 4]; box scores [N] default to 1."""
        if not len(boxes_xyxy):
            return Poses.empty(self.spec.skeleton)
        crops, inverse = self.preprocess(image, boxes_xyxy)
        return self.decode(self.infer(crops), inverse, boxes_xyxy, box_scores)

    def preprocess(self, image: Array, boxes_xyxy: Array) -> tuple[Array, Array]:
        """(crops [N, 3, h, w] float32, inverse [N, 2, 3] float64, crop -> image)."""
        return cut(image, boxes_xyxy, self.spec)

    def infer(self, crops: Array) -> dict[str, Array]:
        """The network's outputs, by name, for crops [N, 3, h, w]; with `flip_test` the merged maps."""
        parts = [self._run(part) for part in self._batches(crops)]
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.spec.outputs}

    def decode(
        self,
        outputs: Mapping[str, Array],
        inverse: Array,  # [N, 2, 3], crop -> image
        boxes_xyxy: Array,  # [N, 4]
        box_scores: Array | None = None,  # [N]
    ) -> Poses:
        """Image coordinates from the outputs.

        Raises SpecError when the maps are not one per joint, ModelError when the network overflowed.
        """
        spec, maps = self.spec, outputs[self.spec.outputs[0]]
        n, joints = len(inverse), len(spec.skeleton)
        if maps.ndim != 4 or maps.shape[:2] != (n, joints):
            raise SpecError(
                f"{spec.name}: output {spec.outputs[0]!r} has shape {list(maps.shape)}, but the spec's "
                f"skeleton {spec.skeleton.name!r} wants heatmaps [{n}, {joints}, h, w]; correct the spec"
            )
        xy_image, scores = self._joints(maps, inverse)
        given = np.ones(n) if box_scores is None else box_scores
        check_array("box_scores", given, (n,))
        return Poses(
            skeleton=spec.skeleton,
            xy_image=xy_image,
            scores=scores,
            boxes_xyxy=np.asarray(boxes_xyxy, np.float32),
            box_scores=np.asarray(given, np.float32),
        )

    def _joints(self, maps: Array, inverse: Array) -> tuple[Array, Array]:
        """(xy_image [N, K, 2], scores [N, K]): peaks, each map's own or those of the best body."""
        codec, size = self.spec.codec, self.spec.input.size
        if codec.pictorial is None:
            return heatmap.decode_to_image(maps, inverse, size, codec.decode, sigma=codec.sigma)
        return pictorial.decode_to_image(maps, inverse, size, codec.pictorial, codec.decode, sigma=codec.sigma)

    def _batches(self, crops: Array) -> Iterator[Array]:
        for start in range(0, len(crops), self.largest_batch):
            yield crops[start : start + self.largest_batch]

    def _run(self, crops: Array) -> dict[str, Array]:
        outputs = self.session.run({self.spec.input.name: crops})
        if not self.flip_test:
            return outputs
        mirrored = np.ascontiguousarray(crops[..., ::-1])
        flipped = self.session.run({self.spec.input.name: mirrored})
        name, order = self.spec.outputs[0], self.spec.skeleton.flip_order()
        return {**outputs, name: heatmap.merge_flip(outputs[name], flipped[name], order)}
