"""Top-down heatmap networks: one output [N, K, h, w] that covers the input evenly.

Neither the preprocessing nor the decoder can be seen in the graph, so they are guessed. PP-TinyPose is recognized by
its second output, an argmax of the maps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgepose.artifacts.spec import ModelSpec
from edgepose.codecs.heatmap import HeatmapCodec
from edgepose.graph.adapters.outputs import to_heatmaps
from edgepose.pose.geometry import Size
from edgepose.recognize.candidate import NAMES, SHAPES, Candidate, Guess, Port, Recognized
from edgepose.recognize.dense import of_a_crop, other_than_joints, says_pose
from edgepose.recognize.naming import name_of
from edgepose.recognize.ports import FLOATS, Image, float_image, floats, no_image, output_shapes, outputs_of_noise
from edgepose.recognize.preprocessing import Preparation, usual_preparation
from edgepose.recognize.skeletons import skeleton_of

SIZE: Size = (256, 192)
STRIDES = (2, 4, 8)  # input pixels per map pixel of published networks
COUNTS = (11, 14, 15, 16, 17, 21, 23, 26, 68, 98, 106, 133, 136, 308)  # joints of published top-down networks
EXTRA = {18: 17, 22: 21}  # maps that are usually the joints of another network and a background or a neck
SMALLEST = 8  # pixels of a side of a map
SUM_ERROR = 0.02  # of probabilities in float16
WHY = "as most heatmap networks take it; the ONNX file does not say it"
TINY = ("argmax", "arg_max")  # in the name of PP-TinyPose's second output, as Paddle2ONNX writes it


@dataclass(frozen=True, kw_only=True)
class Maps:
    """The output of a heatmap network.

    Attributes:
        name: The name of the output.
        joints: The number of maps.
        size: (height, width) of the input.
        stride: Input pixels per map pixel.
        last: Whether the output is [N, h, w, K].
    """

    name: str
    joints: int
    size: Size
    stride: int
    last: bool = False


def maps_of(candidate: Candidate, image: Image, stated: Size | None = None) -> Maps | None:
    """Find the heatmaps of a network: its only output of four axes.

    Args:
        candidate: The network.
        image: Its input.
        stated: (height, width) as a file beside the network says; it counts where the graph leaves the size open.
    """
    size = image.sized(stated or SIZE)
    names = {port.name for port in floats(candidate)}
    shapes = output_shapes(candidate, image, size)
    four = {name: shape for name, shape in shapes.items() if name in names and len(shape) == 4}
    if len(four) != 1:
        return None
    ((name, (_, *axes)),) = four.items()
    for last, (joints, rows, columns) in ((False, axes), (True, (axes[2], axes[0], axes[1]))):
        for stride in STRIDES:
            if size == (rows * stride, columns * stride):
                return Maps(name=name, joints=joints, size=size, stride=stride, last=last)
    return None


def recognized_maps(
    candidate: Candidate,
    image: Image,
    maps: Maps,
    preparation: Preparation,
    *,
    family: str,
    source: str,
    codec: dict[str, Any],
    hint: str = "",
    names: tuple[str, ...] = (),
    guesses: tuple[Guess, ...] = (),
) -> Recognized:
    """Return the contract of a heatmap network.

    Args:
        candidate: The network.
        image: Its input.
        maps: Its output.
        preparation: The pixels that it sees.
        family: The name of the family.
        source: What it was recognized from.
        codec: The parameters of the codec.
        hint: A text that may name the data set.
        names: The names of the joints, where they are stated.
        guesses: Further guesses.
    """
    skeleton, about = skeleton_of(maps.joints, names, hint)
    model = to_heatmaps(candidate.model, maps.name, channels_last=True) if maps.last else candidate.model
    output = model.graph.output[0].name if maps.last else maps.name
    spec = ModelSpec(
        name=name_of(candidate),
        skeleton=skeleton,
        input=preparation.input(image, maps.size),
        codec=HeatmapCodec.read(codec, "recognition"),
        crop=preparation.crop(),
        outputs=(output,),
    )
    return Recognized(
        family=family,
        source=source,
        model=model,
        spec=spec,
        guesses=(*preparation.guesses, *about, *guesses),
    )


def by_stride() -> dict[str, Any]:
    """Return the codec's parameter by which map pixel x stands for crop pixel stride * x, as mmpose has it."""
    return {"grid": "stride"}


class TinyPose:
    """PP-TinyPose, as Paddle2ONNX exports it: heatmaps, and the index of the highest pixel of each."""

    name = "pp-tinypose"

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Recognize heatmaps with an argmax beside them, see `registry.Family.recognize`."""
        image = float_image(candidate)
        others = [port for port in candidate.outputs if port.dtype in ("int64", "int32")]
        if image is None or len(others) != 1 or len(candidate.outputs) != 2:
            return None
        maps = maps_of(candidate, image)
        if maps is None or maps.joints != 17 or maps.stride != 4:
            return None
        named = any(word in others[0].name.lower() for word in TINY)
        reason = "PaddleDetection trains PP-TinyPose so; the ONNX file does not say it"
        return recognized_maps(
            candidate,
            image,
            maps,
            usual_preparation(reason),
            family=self.name,
            source=NAMES if named else SHAPES,
            codec={"decode": "dark", **by_stride()},
        )


class HeatmapNetworks:
    """Heatmap networks without files beside them."""

    name = "heatmaps"

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Recognize one output of as many maps as a skeleton has joints, see `registry.Family.recognize`."""
        image = float_image(candidate)
        if image is None or len(candidate.outputs) != 1:
            return None
        maps = maps_of(candidate, image)
        if maps is None or maps.joints not in COUNTS or self._other(candidate, image, maps):
            return None
        decode = Guess(field="codec.decode", value="dark", reason="assumed; the graph does not show its decoder")
        sizes = () if image.size else (Guess(field="input.size", value=f"{list(maps.size)}", reason=FREE),)
        return recognized_maps(
            candidate,
            image,
            maps,
            usual_preparation(WHY),
            family=self.name,
            source=SHAPES,
            codec={"decode": "dark"},
            guesses=(*self._doubt(candidate, maps), decode, GRID, *sizes),
        )

    def near(self, candidate: Candidate) -> str | None:
        """Say why outputs of maps are not taken, see `registry.Explaining.near`."""
        if not any(_like_maps(port) for port in candidate.outputs):
            return None
        image = float_image(candidate)
        if image is None:
            return no_image(candidate)
        if len(candidate.outputs) > 1:
            return _several(candidate, image)
        found = maps_of(candidate, image)
        if found is None and _covers_input(candidate, image):
            return (
                "its maps are as large as its input, as those of networks that label pixels are (segmentation, depth)"
            )
        if found is None:
            strides = ", ".join(map(str, STRIDES))
            return f"its maps do not cover the input with a stride of {strides}"
        if found.joints in COUNTS and (other := self._other(candidate, image, found)):
            return other
        joints = EXTRA.get(found.joints)
        usual = f"; {joints} joints and a background or a neck are as many" if joints else ""
        return f"it has {found.joints} maps, and no usual skeleton has as many joints{usual}"

    def _doubt(self, candidate: Candidate, maps: Maps) -> tuple[Guess, ...]:
        """Return a guess where only the number of maps says that they are those of joints."""
        if candidate.asked == self.name or of_a_crop(maps.size) or says_pose(candidate, maps.name):
            return ()
        reason = (
            f"{maps.joints} maps are as many as the joints of a skeleton, and nothing else in the file says that they "
            f"are joints; a network that labels pixels with {maps.joints} classes looks the same"
        )
        return (Guess(field="codec.type", value="heatmap", reason=reason),)

    def _other(self, candidate: Candidate, image: Image, maps: Maps) -> str | None:
        """Say why maps may not be those of joints, unless a spec says that they are."""
        if candidate.asked == self.name:
            return None
        said = other_than_joints(candidate, maps.name, maps.joints, maps.size)
        if said is None and self._doubt(candidate, maps) and _are_probabilities(candidate, image, maps):
            return f"its {maps.joints} maps sum to 1 at each pixel, as the probabilities of classes of pixels do"
        return said


def _are_probabilities(candidate: Candidate, image: Image, maps: Maps) -> bool:
    """Whether the maps are positive and sum to 1 at each pixel, which those of joints do not. The network is run."""
    values = outputs_of_noise(candidate, image, maps.size).get(maps.name)
    if values is None or (values < 0).any():
        return False
    return bool(np.allclose(values.astype(np.float64).sum(axis=-1 if maps.last else 1), 1, atol=SUM_ERROR))


def _several(candidate: Candidate, image: Image) -> str | None:
    """Say what to do with several outputs, if one of them can be heatmaps."""
    shapes = output_shapes(candidate, image, image.sized(SIZE))
    alone = (replace(candidate, outputs=(port,)) for port in candidate.outputs if len(shapes.get(port.name, ())) == 4)
    found = [maps for one in alone if (maps := maps_of(one, image)) is not None and maps.joints in COUNTS]
    if not found:
        return None
    names = " or ".join(maps.name for maps in found)
    return (
        f"it has {len(candidate.outputs)} outputs, and a network of this family has one: if {names} holds heatmaps of "
        f'one person, write a contract with outputs = ["{found[-1].name}"]'
    )


def _covers_input(candidate: Candidate, image: Image) -> bool:
    """Whether an output has a value for each pixel of the input."""
    shapes = output_shapes(candidate, image, image.sized(SIZE)).values()
    return any(len(shape) == 4 and image.sized(SIZE) in (shape[2:], shape[1:3]) for shape in shapes)


def _like_maps(port: Port) -> bool:
    """Whether an output can be [N, K, h, w] with maps of some size; boxes and joints in four axes cannot."""
    if len(port.shape) != 4 or port.dtype not in FLOATS:
        return False
    return all(not isinstance(axis, int) or axis >= SMALLEST for axis in port.shape[2:])


GRID = Guess(
    field="codec.grid",
    value="centers",
    reason="assumed; `build` measures it on crops and their mirror images, and proposes another where it finds one",
)
FREE = "assumed, as the graph takes images of any size; `edgepose build` takes another one with --shape"
TINYPOSE = TinyPose()
HEATMAPS = HeatmapNetworks()
