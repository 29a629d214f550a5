"""Associative embedding: joint maps, and maps of tags that say whose a joint is.

mmpose's networks have the outputs heatmaps and tags, of equal size. HigherHRNet's own code has [N, 2K, h, w], maps
before tags, at a quarter of the input's size, and [N, K, 2h, 2w], maps at half of it; both maps are averaged. A network
with one resolution has the first of these outputs alone, and networks that label pixels have as many maps: it is taken
where a name says pose. TAG_PER_JOINT = False leaves one map of tags for all joints.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgepose.errors import ModelError, SpecError
from edgepose.graph.adapters.grouping import maps_and_tags, with_tags
from edgepose.pose.geometry import Size
from edgepose.recognize.candidate import NAMES, SHAPES, Candidate, Guess, Recognized
from edgepose.recognize.channels import Maps, maps_of, size_guess
from edgepose.recognize.dense import other_than_joints, says_pose
from edgepose.recognize.ports import Image, float_image
from edgepose.recognize.topologies import BY_COUNT
from edgepose.recognize.whole_image import IMAGENET, contract, pixel_guesses

if TYPE_CHECKING:
    import onnx

SIZE: Size = (512, 512)
TAG = "tag"  # in the name of an output of tags
CLASSES = "Cityscapes has 34"
WHY = "as HigherHRNet and mmpose take it; the ONNX file does not say it"


class Associative:
    """HigherHRNet and other networks with tags, with the joints of COCO or of CrowdPose."""

    name = "associative-embedding"

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Recognize joint maps and tags, see `registry.Family.recognize`.

        Raises:
            SpecError: The opset of a network of two resolutions is too old to join them.
        """
        image = float_image(candidate)
        if image is None:
            return None
        size = image.sized(SIZE)
        maps = maps_of(candidate, image, size)
        if len(maps) != len(candidate.outputs):
            return None
        for model, joints, source, rule in self._forms(candidate, maps, size):
            return _recognized(candidate, image, size, model, joints, source, rule)
        return None

    def _forms(
        self, candidate: Candidate, maps: tuple[Maps, ...], size: Size
    ) -> Iterator[tuple[onnx.ModelProto | tuple[str, str], int, str, str]]:
        """Yield (graph, or outputs of the graph as it is; number of joints; source; grid)."""
        tags = [item for item in maps if TAG in item.name.lower()]
        others = [item for item in maps if item not in tags]
        if len(tags) == len(others) == 1 and others[0].channels in BY_COUNT:
            heat, tag = others[0], tags[0]
            if (tag.channels, tag.size) == (heat.channels, heat.size):
                yield (heat.name, tag.name), heat.channels, NAMES, "stride"
        for joints in BY_COUNT:
            for count in (joints, 1):
                low = [item for item in maps if item.channels == joints + count and _covers(item, size, 4)]
                high = [item for item in maps if item.channels == joints and _covers(item, size, 2)]
                if len(maps) == 2 and low and high:
                    try:
                        joined = with_tags(candidate.model, low[0].name, high[0].name, joints, count)
                    except ModelError as error:
                        raise SpecError(f"{candidate.path}: {error}") from error
                    yield joined, joints, SHAPES, "centers"
                if low and count == joints and _alone(maps, size) and self._said(candidate, low[0], size):
                    yield maps_and_tags(candidate.model, low[0].name, joints, count), joints, SHAPES, "centers"

    def _said(self, candidate: Candidate, maps: Maps, size: Size) -> bool:
        """Whether something other than their number says that maps are those of joints and tags."""
        if candidate.asked == self.name:
            return True
        named = says_pose(candidate, maps.name)
        return named and other_than_joints(candidate, maps.name, maps.channels, size) is None

    def near(self, candidate: Candidate) -> str | None:
        """Say why maps that can be joints and tags are not taken, see `registry.Explaining.near`."""
        image = float_image(candidate)
        if image is None or len(candidate.outputs) != 1:
            return None
        size = image.sized(SIZE)
        maps = maps_of(candidate, image, size)
        joints = next((k for k in BY_COUNT for one in maps if one.channels == 2 * k and _covers(one, size, 4)), 0)
        if not joints or not _alone(maps, size):
            return None
        if other := other_than_joints(candidate, maps[0].name, maps[0].channels, size):
            return other
        return (
            f"its {2 * joints} maps are maps and tags of {joints} joints or classes of pixels ({CLASSES}), and nothing "
            f'in the file says which: if they are joints and tags, say so with a spec.toml that holds family = "'
            f'{self.name}"'
        )


def _alone(maps: tuple[Maps, ...], size: Size) -> bool:
    """Whether there is one output of maps; networks of one person at a time have inputs that are higher than wide."""
    return len(maps) == 1 and size[0] <= size[1]


def _covers(maps: Maps, size: Size, stride: int) -> bool:
    return size == (maps.size[0] * stride, maps.size[1] * stride)


def _recognized(
    candidate: Candidate,
    image: Image,
    size: Size,
    model: onnx.ModelProto | tuple[str, str],
    joints: int,
    source: str,
    rule: str,
) -> Recognized:
    skeleton = BY_COUNT[joints]
    graph = candidate.model if isinstance(model, tuple) else model
    outputs = model if isinstance(model, tuple) else tuple(value.name for value in graph.graph.output)
    spec = contract(
        candidate,
        image,
        size,
        skeleton=skeleton,
        pixels=IMAGENET,
        codec={"type": "associative", "grid": rule},
        outputs=outputs,
    )
    about = (
        Guess(field="codec.type", value="associative", reason=f"the outputs fit maps and tags of {joints} joints"),
        Guess(
            field="skeleton", value=skeleton.name, reason=f"the usual one of bottom-up networks with {joints} joints"
        ),
        Guess(field="codec.grid", value=rule, reason="that of the code which usually trains such networks"),
    )
    return Recognized(
        family=Associative.name,
        source=source,
        model=graph,
        spec=spec,
        guesses=(*pixel_guesses(IMAGENET, WHY), *about, *size_guess(image, size)),
    )


ASSOCIATIVE = Associative()
