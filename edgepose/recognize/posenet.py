"""PoseNet: joint maps, offsets, and displacements forward and backward along a tree, y before x.

The published networks (TensorFlow.js, TensorFlow Lite, Coral) have their channels last and logits for joint maps; the
PyTorch port has them first, and a Sigmoid inside. The names of the displacements tell forward from backward; without
names the order of the outputs does: maps, offsets, forward, backward.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgepose.graph.adapters.grouping import channels_first, ends_in_sigmoid, probabilities
from edgepose.pose.geometry import Size
from edgepose.recognize.candidate import NAMES, SHAPES, Candidate, Guess, Port, Recognized
from edgepose.recognize.channels import FREE
from edgepose.recognize.ports import FLOATS, Image, float_image, output_shapes
from edgepose.recognize.topologies import POSENET17
from edgepose.recognize.whole_image import SIGNED, contract, pixel_guesses

SIZE: Size = (257, 257)
STRIDES = (8, 16, 32)
JOINTS, LIMBS = len(POSENET17), len(POSENET17.limbs)
COUNTS = (JOINTS, 2 * JOINTS, 2 * LIMBS, 2 * LIMBS)
FORWARD, BACKWARD = ("fwd", "forward"), ("bwd", "backward")
WHY = "as PoseNet with MobileNet takes it; the ONNX file does not say it"


@dataclass(frozen=True, kw_only=True)
class _Form:
    """outputs: maps, offsets, forward, backward. last: whether channels are last. size: of the maps."""

    outputs: tuple[str, ...]
    last: bool
    size: Size
    named: bool


class PoseNet:
    """PoseNet with COCO's joints."""

    name = "posenet"
    any_input = True

    def recognize(self, candidate: Candidate) -> Recognized | None:
        """Recognize the four outputs, see `registry.Family.recognize`."""
        nhwc = _last_image(candidate)
        image = nhwc or float_image(candidate)
        if image is None or len(candidate.outputs) != len(COUNTS):
            return None
        size = image.sized(SIZE)
        form = _form(candidate, image, size, nhwc is not None)
        if form is None:
            return None
        model, outputs = candidate.model, form.outputs
        logits = not ends_in_sigmoid(model, outputs[0])
        if form.last:
            model = channels_first(model, outputs)
            outputs = tuple(value.name for value in model.graph.output)
        if logits:
            place = [value.name for value in model.graph.output].index(outputs[0])
            model = probabilities(model, outputs[0])
            outputs = (model.graph.output[place].name, *outputs[1:])
        exact = all((side - 1) % (cells - 1) == 0 for side, cells in zip(size, form.size, strict=True) if cells > 1)
        rule = "corners" if exact else "stride"
        spec = contract(
            candidate,
            image,
            size,
            skeleton=POSENET17,
            pixels=SIGNED | ({"layout": "nhwc"} if nhwc else {}),
            codec={"type": "posenet", "grid": rule},
            outputs=outputs,
        )
        reason = "forward and backward by the order of the outputs"
        named = () if form.named else (Guess(field="outputs", value=f"{list(outputs)}", reason=reason),)
        free = () if image.size else (Guess(field="input.size", value=f"{list(size)}", reason=FREE),)
        guesses = (*pixel_guesses(SIGNED, WHY), *named, *free)
        source = NAMES if form.named else SHAPES
        return Recognized(family=self.name, source=source, model=model, spec=spec, guesses=guesses)


def _last_image(candidate: Candidate) -> Image | None:
    """The image input [N, H, W, 3] of floats; None for any other."""
    ports = candidate.inputs
    if len(ports) != 1 or ports[0].dtype not in FLOATS or len(ports[0].shape) != 4 or ports[0].shape[3] != 3:
        return None
    height, width = (length if isinstance(length, int) else None for length in ports[0].shape[1:3])
    return Image(name=ports[0].name, dtype=ports[0].dtype, height=height, width=width)


def _form(candidate: Candidate, image: Image, size: Size, nhwc: bool) -> _Form | None:
    shapes = _stated(candidate.outputs) if nhwc else dict(output_shapes(candidate, image, size))
    if any(len(shape) != 4 for shape in shapes.values()) or len(shapes) != len(COUNTS):
        return None
    for axis in (3, 1):
        counts = {name: shape[axis] for name, shape in shapes.items()}
        if sorted(counts.values()) != sorted(COUNTS):
            continue
        maps, offsets = (next(name for name, count in counts.items() if count == wanted) for wanted in COUNTS[:2])
        one, other = (name for name, count in counts.items() if count == COUNTS[2])
        backward_first = _has(one, BACKWARD) or _has(other, FORWARD)
        named = (_has(one, FORWARD + BACKWARD)) and _has(other, FORWARD + BACKWARD)
        ways = (other, one) if backward_first else (one, other)
        cells = shapes[maps][1:3] if axis == 3 else shapes[maps][2:]
        return _Form(outputs=(maps, offsets, *ways), last=axis == 3, size=(cells[0], cells[1]), named=named)
    return None


def _has(name: str, words: tuple[str, ...]) -> bool:
    return any(word in name.lower() for word in words)


def _stated(outputs: tuple[Port, ...]) -> dict[str, tuple[int, ...]]:
    """The shapes that the graph states in full."""
    return {
        port.name: (1, *(axis for axis in port.shape[1:] if isinstance(axis, int)))
        for port in outputs
        if all(isinstance(axis, int) for axis in port.shape[1:])
    }


POSENET = PoseNet()
