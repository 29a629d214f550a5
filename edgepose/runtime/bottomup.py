"""Bottom-up: a whole frame in, everyone in it out, without boxes (part affinity fields, codecs/paf.py).

The frame is letterboxed to the input: it is cut as a person is whose box is the frame, grown by the contract's
`crop.padding`, which is 1 for these networks unless their contract says otherwise. The stages are separate
methods, as in topdown.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec
from edgepose.backends.session import Session
from edgepose.codecs.codec import People
from edgepose.codecs.outputs import outputs_of
from edgepose.datasets.feeds import cut
from edgepose.errors import SpecError
from edgepose.kernels import mirrored
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
        if not spec.codec.finds_people:
            raise SpecError(f"{spec.name}: codec {spec.codec.name!r} takes one person in a box, not a whole image")
        check_names(spec, session)
        self.session, self.spec, self.flip_test = session, spec, flip_test
        if flip_test:
            spec.codec.check_flip(spec.skeleton)  # now, not at the first image

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
        flipped = self.session.run({self.spec.input.name: mirrored(canvas, self.spec.input)})
        both = outputs_of(self.spec, outputs, 1), outputs_of(self.spec, flipped, 1)
        merged = self.spec.codec.merge_flip(*both, self.spec)
        return {**outputs, **dict(zip(self.spec.outputs, merged, strict=False))}

    def decode(self, outputs: Mapping[str, Array], inverse: Array) -> Poses:
        """Image coordinates from the outputs; inverse [1, 2, 3]. A person's box is that of the joints found.

        Raises SpecError when their shapes are not the contract's, ModelError when the network overflowed or
        finds more peaks than the contract's capacity.
        """
        people = self.spec.codec.decode(outputs_of(self.spec, outputs, 1), None, inverse, self.spec)
        return Poses(skeleton=self.spec.skeleton, **cast(People, people)._asdict())
