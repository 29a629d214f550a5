"""openpifpaf: intensity fields `cif` [N, K, 5, h, w] and association fields `caf` [N, L, 8, h, w].

Its export adds the index of each cell to the places in the fields. Inputs have 8 n + 1 or 16 n + 1 pixels.
"""

from __future__ import annotations

from edgepose.codecs.pifpaf import ASSOCIATION, INTENSITY
from edgepose.pose.geometry import Size
from edgepose.recognize.candidate import NAMES, SHAPES, Candidate, Guess, Recognized
from edgepose.recognize.channels import size_guess
from edgepose.recognize.ports import float_image, output_shapes
from edgepose.recognize.topologies import PIFPAF17
from edgepose.recognize.whole_image import IMAGENET, contract, pixel_guesses

SIZE: Size = (385, 385)
INTENSITIES, ASSOCIATIONS = "cif", "caf"
FILL = 116  # openpifpaf pads with ImageNet's mean, (124, 116, 104)
WHY = "as openpifpaf takes it; the ONNX file does not say it"


class OpenPifPaf:
    """openpifpaf with COCO's joints and limbs."""

    name = "openpifpaf"

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Recognize composite fields, see `registry.Family.recognize`."""
        image = float_image(candidate)
        if image is None:
            return None
        size = image.sized(SIZE)
        fields = {name: shape for name, shape in output_shapes(candidate, image, size).items() if len(shape) == 5}
        wanted = ((len(PIFPAF17), INTENSITY), (len(PIFPAF17.limbs), ASSOCIATION))
        pairs = [[name for name, shape in fields.items() if shape[1:3] == want] for want in wanted]
        if [len(names) for names in pairs] != [1, 1]:
            return None
        outputs = (pairs[0][0], pairs[1][0])
        spec = contract(
            candidate,
            image,
            size,
            skeleton=PIFPAF17,
            pixels=IMAGENET,
            codec={"type": "pifpaf"},
            outputs=outputs,
            crop={"border_value": FILL},
        )
        guesses = (
            *pixel_guesses(IMAGENET, WHY),
            Guess(field="crop.border_value", value=str(FILL), reason="near the mean that openpifpaf pads with"),
            *size_guess(image, size),
        )
        source = NAMES if outputs == (INTENSITIES, ASSOCIATIONS) else SHAPES
        return Recognized(family=self.name, source=source, model=candidate.model, spec=spec, guesses=guesses)

    def near(self, candidate: Candidate) -> str | None:
        """Say why a network with composite fields is not taken, see `registry.Explaining.near`."""
        shapes = {port.name: port.shape for port in candidate.outputs if len(port.shape) == 5}
        if not {INTENSITIES, ASSOCIATIONS} <= set(shapes):
            return None
        joints, limbs = shapes[INTENSITIES][1], shapes[ASSOCIATIONS][1]
        return (
            f"it has composite fields of {joints} joints and {limbs} limbs, and the limbs are known for "
            f"{len(PIFPAF17)} and {len(PIFPAF17.limbs)} only: give a spec with a skeleton table whose limbs are in the "
            'order of caf, and codec = { type = "pifpaf" }'
        )


OPENPIFPAF = OpenPifPaf()
