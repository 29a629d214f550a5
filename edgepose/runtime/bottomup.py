"""Bottom-up: a whole frame in, everyone in it out, without boxes (part affinity fields, codecs/paf.py).

The frame is letterboxed to the input: it is cut as a person is whose box is the frame, grown by the contract's
`crop.padding`, which is 1 for these networks unless their contract says otherwise. The stages are separate
methods, as in topdown.py.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec
from edgepose.backends.session import Session
from edgepose.codecs import paf
from edgepose.codecs.outputs import outputs_of
from edgepose.errors import SpecError
from edgepose.kernels import paf_peaks, paf_score
from edgepose.kernels.cropping import cut
from edgepose.pose.geometry import box_of_joints, compose_affine, grid_affine
from edgepose.pose.poses import Poses
from edgepose.runtime.detect import whole_frame
from edgepose.runtime.topdown import check_names


class BottomUp:
    """A network of part affinity fields with its contract. The session stays the caller's.

    flip_test: also run the mirrored frame and average; twice the work, a little more accurate.
    Raises SpecError when the spec and the session do not fit, the codec is not bottom-up, or (flip_test) a limb
    has no mirror.
    """

    def __init__(self, session: Session, spec: ModelSpec, *, flip_test: bool = False) -> None:
        if spec.codec.type != "paf":
            raise SpecError(f"{spec.name}: codec {spec.codec.type!r} wants one person in a box, not a whole frame")
        check_names(spec, session)
        self.session, self.spec, self.flip_test = session, spec, flip_test
        self.limbs = np.array(spec.skeleton.limb_indices())
        if flip_test:
            paf.mirrored_limbs(self.limbs, spec.skeleton.flip_order())  # now, not at the first frame

    def __call__(self, image: Array) -> Poses:
        """The poses of everyone in an image [H, W, 3] uint8 BGR, the surest first."""
        canvas, inverse = self.preprocess(image)
        return self.decode(self.infer(canvas), inverse)

    def preprocess(self, image: Array) -> tuple[Array, Array]:
        """(canvas [1, 3, h, w] float32, inverse [1, 2, 3] float64, canvas -> image)."""
        return cut(image, whole_frame(image, "")[0], self.spec)

    def infer(self, canvas: Array) -> dict[str, Array]:
        """The network's outputs, by name, for a canvas [1, 3, h, w]; with `flip_test` the merged ones."""
        outputs = self.session.run({self.spec.input.name: canvas})
        if not self.flip_test:
            return outputs
        flipped = self.session.run({self.spec.input.name: np.ascontiguousarray(canvas[..., ::-1])})
        both = self._maps(outputs), self._maps(flipped)
        maps, fields = paf.merge_flip(*both, self.limbs, self.spec.skeleton.flip_order())
        merged = maps[None], fields.reshape(1, -1, *fields.shape[2:])
        return {**outputs, **dict(zip(self.spec.outputs, merged, strict=False))}

    def decode(self, outputs: Mapping[str, Array], inverse: Array) -> Poses:
        """Image coordinates from the outputs; inverse [1, 2, 3]. A person's box is that of the joints found.

        Raises SpecError when their shapes are not the contract's, ModelError when the network overflowed or
        finds more peaks than the contract's capacity.
        """
        spec = self.spec
        maps, fields = self._maps(outputs)
        xy_image, scores, sure = self._people(maps, fields, inverse[0])
        boxes = [box_of_joints(xy, found > 0) for xy, found in zip(xy_image, scores, strict=True)]
        return Poses(
            skeleton=spec.skeleton,
            xy_image=xy_image,
            scores=scores,
            boxes_xyxy=np.array(boxes, np.float32).reshape(-1, 4),
            box_scores=sure,
        )

    def _people(self, maps: Array, fields: Array, inverse: Array) -> tuple[Array, Array, Array]:
        codec = self.spec.codec
        peaks, counts = paf_peaks(maps, codec.peak_threshold, codec.capacity)
        rules = codec.limb_samples, codec.limb_threshold, codec.limb_ratio
        scores = paf_score(fields, peaks, counts, self.limbs, *rules)
        to_image = compose_affine(inverse, grid_affine((maps.shape[1], maps.shape[2]), self.spec.input.size))
        return paf.people_in_image(peaks, counts, scores, self.limbs, to_image, codec)

    def _maps(self, outputs: Mapping[str, Array]) -> tuple[Array, Array]:
        """(maps [K, h, w] without a background map, fields [L, 2, h, w])."""
        maps, fields = outputs_of(self.spec, outputs, 1)
        return maps[0, : len(self.spec.skeleton)], fields.reshape(len(self.limbs), 2, *fields.shape[2:])
