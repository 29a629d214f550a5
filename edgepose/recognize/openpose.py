"""OpenPose networks: joint maps with a background, and part affinity fields, columns before rows.

The caffe networks BODY_25, COCO and MPI have one output, the maps before the fields (caffe's Concat). Ports to other
frameworks have two outputs. lightweight-openpose has the joints and fields of COCO, one pair of outputs for each stage,
and names them `stage_N_output_1_heatmaps` and `stage_N_output_0_pafs`; the last stage counts.
"""

from __future__ import annotations

import re

from edgepose.graph.adapters.grouping import split_channels
from edgepose.pose.geometry import Size
from edgepose.pose.skeletons import Skeleton
from edgepose.recognize.candidate import NAMES, SHAPES, Candidate, Guess, Recognized
from edgepose.recognize.channels import maps_of, pair, size_guess
from edgepose.recognize.ports import Image, float_image
from edgepose.recognize.topologies import BODY25, MPI15, OPENPOSE18
from edgepose.recognize.whole_image import OPENPOSE, contract, pixel_guesses

SIZE: Size = (368, 368)
LIGHTWEIGHT_SIZE: Size = (256, 456)  # of lightweight-openpose's scripts/convert_to_onnx.py
STAGE = re.compile(r"^stage_(\d+)_output_([01])_(heatmaps|pafs)$")
GRAY = 128  # lightweight-openpose pads its normalized image with 0, which is this level
CODEC = {"type": "paf", "field_order": "xy", "background": True}
WHY = "as OpenPose and lightweight-openpose take it; the ONNX file does not say it"


def counts(skeleton: Skeleton) -> tuple[int, int]:
    """Return the numbers of maps, with the background, and of field channels."""
    return len(skeleton) + 1, 2 * len(skeleton.limbs)


class LightweightOpenPose:
    """lightweight-openpose, by the names that its export gives to the outputs."""

    name = "lightweight-openpose"

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Recognize outputs of stages, see `registry.Family.recognize`."""
        image = float_image(candidate)
        found = [match for port in candidate.outputs if (match := STAGE.match(port.name))]
        if image is None or not found:
            return None
        last = max(int(match[1]) for match in found)
        named = {match[3]: match[0] for match in found if int(match[1]) == last}
        if set(named) != {"heatmaps", "pafs"}:
            return None
        size = image.sized(LIGHTWEIGHT_SIZE)
        shapes = {maps.name: maps.channels for maps in maps_of(candidate, image, size)}
        outputs = named["heatmaps"], named["pafs"]
        if tuple(shapes.get(name) for name in outputs) != counts(OPENPOSE18):
            return None
        return _recognized(candidate, image, size, self.name, NAMES, OPENPOSE18, outputs, border=GRAY)


class OpenPose:
    """OpenPose networks and their ports, by the numbers of channels."""

    name = "openpose"

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Recognize maps and fields, in one output or in two, see `registry.Family.recognize`."""
        image = float_image(candidate)
        if image is None:
            return None
        size = image.sized(SIZE)
        maps = maps_of(candidate, image, size)
        for skeleton in (BODY25, OPENPOSE18, MPI15):
            heat, fields = counts(skeleton)
            if len(maps) == len(candidate.outputs) == 1 and maps[0].channels == heat + fields:
                parts = {"heatmaps": heat, "pafs": fields}
                model = split_channels(candidate.model, maps[0].name, parts)
                outputs = tuple(value.name for value in model.graph.output)
                order = Guess(
                    field="outputs",
                    value="the joint maps before the fields",
                    reason="as in OpenPose's caffe networks; the ONNX file does not say it",
                )
                found = _recognized(candidate, image, size, self.name, SHAPES, skeleton, outputs, guesses=(order,))
                return Recognized(
                    family=found.family, source=found.source, model=model, spec=found.spec, guesses=found.guesses
                )
            two = pair(maps, heat, fields)
            if two is not None:
                return _recognized(candidate, image, size, self.name, SHAPES, skeleton, two)
        return None


def _recognized(
    candidate: Candidate,
    image: Image,
    size: Size,
    family: str,
    source: str,
    skeleton: Skeleton,
    outputs: tuple[str, ...],
    *,
    border: int = 0,
    guesses: tuple[Guess, ...] = (),
) -> Recognized:
    spec = contract(
        candidate,
        image,
        size,
        skeleton=skeleton,
        pixels=OPENPOSE,
        codec=CODEC,
        outputs=outputs,
        crop={"border_value": border} if border else {},
    )
    about = Guess(
        field="skeleton", value=skeleton.name, reason=f"the usual one with {len(skeleton)} joints and a background"
    )
    return Recognized(
        family=family,
        source=source,
        model=candidate.model,
        spec=spec,
        guesses=(*pixel_guesses(OPENPOSE, WHY), about, *size_guess(image, size), *guesses),
    )


LIGHTWEIGHT_OPENPOSE = LightweightOpenPose()
OPENPOSE_NETWORKS = OpenPose()
