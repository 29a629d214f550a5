"""The forms of a network in which families look at it: floats with channels first, one size, and stated outputs.

A graph may take integers or channels last, leave the height and width of its image open, or not state the shapes of
its outputs. None of this decides which family a network is of, so it is brought to one form before families see it.
What a recognized network is to be given then follows from its graph (`with_levels`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgepose.artifacts.spec import InputSpec
from edgepose.errors import ModelError
from edgepose.graph.adapters.inputs import to_float_nchw
from edgepose.graph.adapters.preprocessing import without_preprocessing
from edgepose.graph.importing import with_image_shape
from edgepose.graph.layout import with_layout
from edgepose.graph.lookup import Graph, graph_of
from edgepose.recognize.candidate import Candidate, Guess, Port, Recognized, candidate_of
from edgepose.recognize.ports import float_image, outputs_of_noise, with_stated

if TYPE_CHECKING:
    from edgepose.pose.geometry import Size

LEVELS = ("input.mean", "input.std", "input.scale")
# Operators whose outputs have as many entries as they find in their inputs; bodies may do anything.
COUNTING = ("NonZero", "NonMaxSuppression", "Unique", "Compress", "Loop", "If", "Scan")


class Forms:
    """The forms of one network.

    Args:
        candidate: The network as its file has it.
    """

    def __init__(self, candidate: Candidate) -> None:
        self._file, self._own = candidate, _with_layout(candidate)
        self._made: dict[tuple[bool, Size | None], Candidate] = {}

    def form(self, *, plain: bool, size: Size | None = None) -> Candidate:
        """Return a form of the network.

        Args:
            plain: Whether its image is to be float32 or float16 with channels first, as nearly all families expect.
            size: (height, width) to give an image whose size the graph leaves open; None leaves it open.
        """
        key = (plain, size)
        if key not in self._made:
            own = self._own if size is None else with_size(self._own, size)
            self._made[key] = stated(plain_image(own) if plain else own)
        return self._made[key]

    @property
    def open_size(self) -> bool:
        """Whether the graph leaves the height or the width of its image open."""
        image = float_image(self.form(plain=True))
        return image is not None and image.size is None

    def finished(self, found: Recognized, form: Candidate) -> Recognized:
        """Return what a family found in a form, with the levels and the color order that the graph itself demands."""
        if form.image_from is not None:
            found = with_levels(found, form.image_from)
        elif found.model is form.model and form.inputs == self._own.inputs:
            return replace(found, model=self._file.model)  # only shapes were stated
        return found


def _with_layout(candidate: Candidate) -> Candidate:
    """Return a network whose image has four axes, one of which has 3 channels, where its readers tell that."""
    model = with_layout(candidate.model)
    return candidate if model is candidate.model else _of(candidate, model)


def plain_image(candidate: Candidate) -> Candidate:
    """Return a network whose image is [N, 3, H, W] of floats; itself where it is, or where that is not possible.

    Args:
        candidate: The network.
    """
    if len(candidate.inputs) != 1 or float_image(candidate) is not None:
        return candidate
    try:
        model = to_float_nchw(candidate.model)
    except ModelError:
        return candidate
    made = _of(candidate, model)
    return replace(made, image_from=candidate.inputs[0]) if float_image(made) is not None else candidate


def with_size(candidate: Candidate, size: Size) -> Candidate:
    """Return a network whose image has the size where the graph leaves its height or width open.

    Args:
        candidate: The network.
        size: (height, width).
    """
    if len(candidate.inputs) != 1 or len(candidate.inputs[0].shape) != 4:
        return candidate
    shape = candidate.inputs[0].shape
    if all(isinstance(length, int) for length in shape[1:]):
        return candidate
    last = shape[3] == 3 and shape[1] != 3
    return _of(candidate, with_image_shape(candidate.model, (*size, 3) if last else (3, *size)))


def stated(candidate: Candidate) -> Candidate:
    """Return a network that states the shapes of its outputs, where its image has one size.

    The network is run once. An output that holds as many rows as the network finds has no shape to state.

    Args:
        candidate: The network.
    """
    made = candidate if len(candidate.inputs) != 1 else plain_image(candidate)
    image = float_image(made)
    missing = {port.name for port in candidate.outputs if not _is_stated(port)}
    if image is None or image.size is None or not missing:
        return candidate
    graph = graph_of(candidate.model)
    missing = {name for name in missing if not _counts(graph, name)}
    if not missing:
        return candidate
    values = outputs_of_noise(made, image, image.size)
    shapes = {name: (1, *values[name].shape[1:]) for name in missing if name in values and values[name].ndim}
    if not shapes:
        return candidate
    model = with_stated(candidate.model, shapes)
    outputs = tuple(
        replace(port, shape=("batch", *shapes[port.name][1:])) if port.name in shapes else port
        for port in candidate.outputs
    )
    return replace(candidate, model=model, outputs=outputs)


def _is_stated(port: Port) -> bool:
    return bool(port.shape) and all(isinstance(axis, int) for axis in port.shape[1:])


def _counts(graph: Graph, output: str) -> bool:
    """Whether a node in front of an output returns as many entries as it finds."""
    waiting, seen = [output], set[str]()
    while waiting:
        node = graph.producer.get(waiting.pop())
        if node is None or node.output[0] in seen:
            continue
        seen.add(node.output[0])
        if node.op_type in COUNTING:
            return True
        waiting.extend(name for name in node.input if name)
    return False


def _of(candidate: Candidate, model: object) -> Candidate:
    """Return the candidate of a changed graph."""
    made = candidate_of(model, candidate.path)  # type: ignore[arg-type]
    return replace(candidate, model=made.model, inputs=made.inputs, outputs=made.outputs)


def with_levels(found: Recognized, image: Port) -> Recognized:
    """Return a recognized network with the levels that its graph expects, where it takes integers.

    Integers are pixels from 0 to 255, so what the graph does with them at its beginning is its preprocessing. It moves
    into the contract. A graph of floats may expect any levels, and keeps the guesses of its family.

    Args:
        found: The network, whose image was made float32 with channels first.
        image: The input as the file has it.
    """
    if image.dtype.startswith("float"):
        return found
    given = found.spec.input
    pixels = InputSpec(name=given.name, size=given.size, color=given.color, mean=(0, 0, 0), std=(1, 1, 1))
    model, taken = without_preprocessing(found.model, pixels)
    guesses = tuple(guess for guess in found.guesses if guess.field not in LEVELS)
    if taken.color != given.color:
        guesses = tuple(_turned(guess, given.color, taken.color) for guess in guesses)
    made = replace(taken, layout="nchw", dtype="float32")
    return replace(found, model=model, spec=replace(found.spec, input=made), guesses=guesses)


def _turned(guess: Guess, inside: str, color: str) -> Guess:
    """Return a guess about the color order of a graph that exchanges red and blue, which was taken out of it."""
    if guess.field != "input.color":
        return guess
    reason = f"the graph exchanged red and blue, and behind that {inside} is a guess: {guess.reason}"
    return Guess(field=guess.field, value=color, reason=reason)
