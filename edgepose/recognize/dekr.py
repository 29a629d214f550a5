"""DEKR: joint maps with the map of people's centers last, and displacements from each center to the joints.

mmpose calls the outputs heatmaps and displacements and adds a displacement to its cell. DEKR's own code subtracts it,
and gives no names.
"""

from __future__ import annotations

from edgepose.pose.geometry import Size
from edgepose.recognize.candidate import NAMES, SHAPES, Candidate, Guess, Recognized
from edgepose.recognize.channels import maps_of, pair, size_guess
from edgepose.recognize.ports import float_image
from edgepose.recognize.topologies import BY_COUNT
from edgepose.recognize.whole_image import IMAGENET, contract, pixel_guesses

SIZE: Size = (512, 512)
DISPLACEMENTS = "displacement"  # in the name of mmpose's output
WHY = "as DEKR and mmpose take it; the ONNX file does not say it"


class Dekr:
    """DEKR with the joints of COCO or of CrowdPose."""

    name = "dekr"

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Recognize joint maps with centers and displacements, see `registry.Family.recognize`."""
        image = float_image(candidate)
        if image is None or len(candidate.outputs) != 2:
            return None
        size = image.sized(SIZE)
        maps = maps_of(candidate, image, size)
        for joints, skeleton in BY_COUNT.items():
            outputs = pair(maps, joints + 1, 2 * joints)
            if outputs is None:
                continue
            named = DISPLACEMENTS in outputs[1].lower()
            sign = "add" if named else "subtract"
            spec = contract(
                candidate,
                image,
                size,
                skeleton=skeleton,
                pixels=IMAGENET,
                codec={"type": "offsets", "displacement": sign, "grid": "stride"},
                outputs=outputs,
            )
            reason = "mmpose's name of the output" if named else "DEKR's own code subtracts; networks of mmpose add"
            guesses = (
                *pixel_guesses(IMAGENET, WHY),
                Guess(field="codec.displacement", value=sign, reason=reason),
                Guess(field="skeleton", value=skeleton.name, reason=f"the usual one of DEKR with {joints} joints"),
                *size_guess(image, size),
            )
            source = NAMES if named else SHAPES
            return Recognized(family=self.name, source=source, model=candidate.model, spec=spec, guesses=guesses)
        return None


DEKR = Dekr()
