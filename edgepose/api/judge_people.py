"""The judge of a search for networks that find people by themselves: what they keep of the people of moved canvases."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec

if TYPE_CHECKING:
    from edgepose.measure.moved_images import Border
    from edgepose.measure.predictions import Detected
    from edgepose.measure.pseudo_people import PseudoPeople
    from edgepose.quantize.search import Errors, Judge
    from edgepose.quantize.work import Runner

CANVASES = 16  # that are moved and run at once, to save memory


def canvas_labels(
    spec: ModelSpec, inputs: Array, expected: Mapping[str, Array], runner: Runner, metrics: Collection[str]
) -> PseudoPeople | None:
    """Return the pseudo-labels of the canvases of a search, in pixels of the canvases.

    Args:
        spec: The contract.
        inputs: The canvases, [N, ...], as the network takes them.
        expected: Outputs of the float network on them, by name.
        runner: The opened float network.
        metrics: Names of the metrics; those that the people do not allow are left out.

    Returns:
        The labels; None where the float network is sure of nobody.
    """
    from edgepose.measure.moved_images import borders
    from edgepose.measure.pseudo_labels import COPIES
    from edgepose.measure.pseudo_people import pseudo_people
    from edgepose.quantize.search.trials import outputs_of

    count = len(inputs)

    def people(chosen: list[Border]) -> Detected:
        parts = []
        for start in range(0, count, CANVASES):
            some = slice(start, start + CANVASES)
            moved = bordered_canvases(inputs[some], spec, chosen[some])
            parts.append(detected_of(outputs_of(runner, tuple(spec.outputs), moved), spec, start))
        return _joined(parts)

    first = detected_of(expected, spec)
    copies = []
    for copy in range(COPIES):
        chosen = borders(count, copy)
        found = people(chosen)
        copies.append(replace(found, xy_image=in_first_canvas(found, spec, chosen)))
    return pseudo_people(first, copies, count, metrics, spec.codec.for_comparison()[1])


def bordered_canvases(inputs: Array, spec: ModelSpec, chosen: list[Border]) -> Array:
    """Return canvases as if their images had borders, fitted into the same canvas.

    Args:
        inputs: The canvases, [N, ...], as the network takes them.
        spec: The contract.
        chosen: The N borders.
    """
    import cv2

    height, width = spec.input.size
    channels_first = spec.input.layout == "nchw"
    outside = _outside(spec)
    moved = np.empty_like(inputs)
    for i, matrix in enumerate(_matrices(spec, chosen)):
        canvas = inputs[i].transpose(1, 2, 0) if channels_first else inputs[i]
        canvas = canvas.astype(np.float32)  # OpenCV takes no float16
        warped = cv2.warpAffine(canvas, matrix, (width, height), borderMode=cv2.BORDER_CONSTANT, borderValue=outside)
        moved[i] = warped.transpose(2, 0, 1) if channels_first else warped
    return moved


def in_first_canvas(found: Detected, spec: ModelSpec, chosen: list[Border]) -> Array:
    """Return the joints [D, K, 2] of people in bordered canvases in pixels of the canvases without a border."""
    matrices = np.stack(_matrices(spec, chosen))[found.image]  # [D, 2, 3]
    return np.asarray((found.xy_image - matrices[:, None, :, 2]) / matrices[:, :1, :1])


def _matrices(spec: ModelSpec, chosen: list[Border]) -> list[Array]:
    """Return the matrices from a canvas to the one with a border, [2, 3] float64 each."""
    height, width = spec.input.size
    made = []
    for border in chosen:
        scale = 1 / (1 + border.grown)
        edge = border.place * border.grown * scale * np.array([width, height])
        center = (scale - 1) / 2  # the edge of the canvas is half a pixel from the center of its first pixel
        made.append(np.array([[scale, 0, edge[0] + center], [0, scale, edge[1] + center]]))
    return made


def _outside(spec: ModelSpec) -> tuple[float, ...]:
    """Return the level of each channel outside the image, as the network takes it."""
    from edgepose.kernels.cropping import crops_at

    level = np.full((4, 4, 3), spec.crop.border_value, np.uint8)
    canvas = crops_at(level, np.eye(2, 3)[None], spec)[0]
    pixel = canvas[:, -1, -1] if spec.input.layout == "nchw" else canvas[-1, -1]
    return tuple(float(value) for value in pixel)


def detected_of(outputs: Mapping[str, Array], spec: ModelSpec, start: int = 0) -> Detected:
    """Decode the outputs for canvases; nobody is found where they cannot be decoded.

    Args:
        outputs: The outputs by name, [N, ...] each.
        spec: The contract.
        start: The number of the first canvas.
    """
    from edgepose.measure.acceptance import people_in
    from edgepose.measure.boxes import compared_skeleton
    from edgepose.measure.predictions import THE_NETWORK, Detected, Engine

    skeleton = compared_skeleton(spec.skeleton)
    found = people_in(spec, outputs)
    joints = len(skeleton)
    about = Engine(path="", precision="", backend="", onnx_sha256="", skeleton=skeleton)
    if found is None:
        nobody = np.zeros(0)
        return Detected(
            engine=about, boxes=THE_NETWORK, image=np.zeros(0, np.int64), xy_image=np.zeros((0, joints, 2)),
            scores=np.zeros((0, joints)), box_scores=nobody, area=nobody, grouped=True,
        )  # fmt: skip
    crowd = found[0]
    return Detected(
        engine=about, boxes=THE_NETWORK, image=crowd.image + start, xy_image=crowd.xy, scores=crowd.scores,
        box_scores=crowd.person_scores, area=np.ones(len(crowd.image)), grouped=True,
    )  # fmt: skip


def _joined(parts: list[Detected]) -> Detected:
    def together(values: Callable[[Detected], Array]) -> Array:
        return np.concatenate([values(part) for part in parts])

    return replace(
        parts[0],
        image=together(lambda part: part.image),
        xy_image=together(lambda part: part.xy_image),
        scores=together(lambda part: part.scores),
        box_scores=together(lambda part: part.box_scores),
        area=together(lambda part: part.area),
    )


def people_judge(spec: ModelSpec, labels: PseudoPeople | None) -> Judge:
    """Return what predicts the retention of each metric from the people whom a graph finds in the canvases.

    Args:
        spec: The contract, whose codec decodes the outputs.
        labels: The pseudo-labels of the canvases; without them nothing is predicted.
    """
    from edgepose.api.judge import cautious, evidence_of
    from edgepose.measure.pseudo_people import FACTORS

    def judge(expected: Mapping[str, Array], found: Mapping[str, Array]) -> Mapping[str, float]:
        if labels is None:
            return {}
        return cautious(evidence_of(labels.retained(detected_of(found, spec)), FACTORS))

    return judge


def errors_of(spec: ModelSpec) -> Errors:
    """Return what compares the outputs of a graph with those of the float network: by what a person is made of.

    Most rows of a network that lists candidates are background, and their coordinates are large numbers. Counted as
    they are, they hide the scores, which decide who is found.

    Args:
        spec: The contract.
    """
    from edgepose.codecs.onestage import OnestageCodec
    from edgepose.quantize.search.trials import crop_errors

    if not isinstance(spec.codec, OnestageCodec):
        return crop_errors
    threshold = spec.codec.score_threshold

    def errors(expected: Mapping[str, Array], found: Mapping[str, Array]) -> tuple[float, ...]:
        name = spec.outputs[0]
        return row_errors(expected[name], found[name], threshold)

    return errors


def row_errors(expected: Array, found: Array, score_threshold: float) -> tuple[float, ...]:
    """Return the relative squared error of candidates for each canvas: the mean of the errors of their parts.

    The parts are the scores, the places (corners and joints, relative to the size of the box) and the scores of joints.
    Places and joints count by the squared score of their row. An image without people counts as if it had one who
    just counts.

    Args:
        expected: Rows of the float network, [N, M, 5 + 3K] as `codecs.onestage` describes them.
        found: Those to compare.
        score_threshold: The score that a person must exceed.
    """
    return tuple(_row_error(one, other, score_threshold) for one, other in zip(expected, found, strict=True))


def _row_error(expected: Array, found: Array, score_threshold: float) -> float:
    """Return the error of the candidates [M, 5 + 3K] of one canvas."""
    from edgepose.codecs.onestage import BOX, places
    from edgepose.quantize.search.trials import LARGEST

    wanted = expected.astype(np.float64)
    squared = np.square(found - wanted)
    weights = np.square(wanted[:, BOX - 1])
    total = max(float(weights.sum()), score_threshold**2)
    columns = [column + axis for column in places(wanted.shape[1]) for axis in (0, 1)]
    area = np.maximum(wanted[:, 2:4] - wanted[:, 0:2], 1.0).prod(axis=1)
    parts = [squared[:, BOX - 1], weights * squared[:, columns].mean(axis=1) / area]
    if wanted.shape[1] > BOX:
        parts.append(weights * squared[:, BOX + 2 :: 3].mean(axis=1))
    each = np.array([float(part.sum()) / total for part in parts])
    return float(np.where(np.isfinite(each), np.minimum(each, LARGEST), LARGEST).mean())
