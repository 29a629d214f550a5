"""The judge of a search: what the joints that a graph finds on the crops say about the accuracy that it retains."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec
from edgepose.quantize.guard import Evidence, jackknife, predicted

if TYPE_CHECKING:
    from edgepose.measure.held_out import LeftOut
    from edgepose.measure.predictions import Predictions
    from edgepose.measure.pseudo_labels import PseudoLabels
    from edgepose.quantize.search import Judge
    from edgepose.quantize.work import Runner

DOUBT = 0.5  # standard errors by which a retention on the few crops of a search counts less


def crop_labels(
    spec: ModelSpec, inputs: Array, expected: Mapping[str, Array], runner: Runner, metrics: Collection[str]
) -> PseudoLabels | None:
    """Return pseudo-labels of the crops of a search, in pixels of the crops.

    Args:
        spec: The contract.
        inputs: The crops, [N, ...], as the network takes them.
        expected: Outputs of the float network on them, by name.
        runner: The opened float network.
        metrics: Names of the metrics; those that the joints do not allow are left out.

    Returns:
        The labels; None where the joints cannot be compared, or allow no metric.
    """
    from edgepose.measure.acceptance import joints_of
    from edgepose.measure.pseudo_labels import COPIES, pseudo_labels
    from edgepose.quantize.search.trials import outputs_of

    first = joints_of(spec, expected)
    if first is None:
        return None
    copies = []
    for copy in range(COPIES):
        moved, matrices = moved_crops(inputs, spec, copy)
        found = joints_of(spec, outputs_of(runner, tuple(spec.outputs), moved))
        if found is None:
            return None
        copies.append(in_first_crop(found[..., :2], matrices))
    images = [(i, str(i)) for i in range(len(inputs))]
    return pseudo_labels(predictions_of(first, spec), copies, images, metrics)


def moved_crops(inputs: Array, spec: ModelSpec, copy: int) -> tuple[Array, Array]:
    """Return crops as if their boxes were moved, as `measure.pseudo_labels.with_moved_boxes` moves boxes.

    Args:
        inputs: The crops, [N, ...], as the network takes them.
        spec: The contract.
        copy: The number of the copy.

    Returns:
        The crops, and [N, 2, 3] float64: the matrix from the pixels of a crop to those of its moved one.
    """
    import cv2

    from edgepose.measure.pseudo_labels import moves

    height, width = spec.input.size
    shifts, scales = moves(len(inputs), copy)
    center = np.array([(width - 1) / 2, (height - 1) / 2])
    matrices = np.zeros((len(inputs), 2, 3))
    moved = np.empty_like(inputs)
    channels_first = spec.input.layout == "nchw"
    for i, (shift, scale) in enumerate(zip(shifts, scales, strict=True)):
        matrices[i, :, :2] = np.eye(2) / scale
        matrices[i, :, 2] = center - (center + shift * max(height, width) / spec.crop.padding) / scale
        crop = inputs[i].transpose(1, 2, 0) if channels_first else inputs[i]
        crop = crop.astype(np.float32)  # OpenCV takes no float16
        warped = cv2.warpAffine(crop, matrices[i], (width, height), borderMode=cv2.BORDER_REPLICATE)
        moved[i] = warped.transpose(2, 0, 1) if channels_first else warped
    return moved, matrices


def in_first_crop(xy: Array, matrices: Array) -> Array:
    """Return joints [N, K, 2] of moved crops in pixels of the crops that they were made from."""
    return np.asarray((xy - matrices[:, None, :, 2]) / matrices[:, 0, 0][:, None, None])


def predictions_of(joints: Array, spec: ModelSpec) -> Predictions:
    """Return decoded joints [N, K, 3] (x, y, score) as predictions."""
    from edgepose.measure.predictions import Engine, Predictions

    about = Engine(path="", precision="", backend="", onnx_sha256="", skeleton=spec.skeleton)
    return Predictions(engine=about, xy_image=joints[..., :2], scores=joints[..., 2])


def evidence_of(kept: Mapping[str, LeftOut], factors: Mapping[str, float]) -> dict[str, Evidence]:
    """Return what the retention on pseudo-labels says about that on labels.

    Args:
        kept: Metric -> what is retained on pseudo-labels.
        factors: Metric -> the loss on labels over that on pseudo-labels.
    """
    return {name: predicted(jackknife(its.value, its.without, its.sizes), factors[name]) for name, its in kept.items()}


def cautious(found: Mapping[str, Evidence]) -> dict[str, float]:
    """Return the retention of each metric less a part of its standard error, since the crops of a search are few."""
    return {name: max(0.0, its.value - DOUBT * its.error) for name, its in found.items()}


def judge_of(
    spec: ModelSpec, inputs: Array, expected: Mapping[str, Array], runner: Runner, metrics: Collection[str]
) -> Judge:
    """Return what predicts the retention of each metric on the crops of a search.

    Args:
        spec: The contract.
        inputs: The crops, or the canvases of a network that finds people by itself, [N, ...].
        expected: Outputs of the float network on them, by name.
        runner: The opened float network.
        metrics: Names of the metrics.
    """
    from edgepose.api.judge_people import canvas_labels, people_judge

    if spec.codec.finds_people:
        return people_judge(spec, canvas_labels(spec, inputs, expected, runner, metrics))
    return joint_judge(spec, crop_labels(spec, inputs, expected, runner, metrics))


def joint_judge(spec: ModelSpec, labels: PseudoLabels | None = None) -> Judge:
    """Return what predicts the retention of each metric from the joints that a graph moves.

    Args:
        spec: The contract, whose codec decodes the outputs.
        labels: Pseudo-labels of the crops. The retention on them counts where they allow the metric, see `cautious`.
    """
    from edgepose.measure.acceptance import joints_of
    from edgepose.measure.displacement import displacement, predicted_retention
    from edgepose.measure.pseudo_labels import FACTORS

    def judge(expected: Mapping[str, Array], found: Mapping[str, Array]) -> Mapping[str, float]:
        wanted, got = joints_of(spec, expected), joints_of(spec, found)
        if wanted is None:
            return {}
        if got is None:  # outputs that are not finite: nothing is retained
            nothing = displacement(wanted[..., :2], wanted[..., :2] * float("nan"), spec.skeleton)
            return predicted_retention(nothing)
        moved = displacement(wanted[..., :2], got[..., :2], spec.skeleton, expected_scores=wanted[..., 2])
        return {**predicted_retention(moved), **on_labels(got)}

    def on_labels(joints: Array) -> Mapping[str, float]:
        if labels is None:
            return {}
        return cautious(evidence_of(labels.retained(predictions_of(joints, spec)), FACTORS))

    return judge
