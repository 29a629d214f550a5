"""The test of a guard: each candidate of a search is run on the people of the test, from most float to most int8."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgepose import __version__
from edgepose._progress import Track, quiet
from edgepose.api.guarded import Found, Guarded, Step, Test
from edgepose.artifacts.certificate import JOINTS, LABELS, Certificate
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.spec import ModelSpec
from edgepose.quantize.guard import (
    CANNOT,
    CONFIDENCE,
    UNPROVEN,
    Bound,
    Evidence,
    bound,
    jackknife,
    mean_loss,
    verdict,
)

if TYPE_CHECKING:
    import onnx

    from edgepose.datasets.samples import PoseData
    from edgepose.measure.held_out import LabeledPeople
    from edgepose.measure.predictions import Detected, Predictions
    from edgepose.quantize.search import Candidate

POSSIBLE = 1.645  # standard errors: the one-sided 95 % quantile of the normal distribution
STEADY, LEAST_STEADY = "pck@0.2", 0.85  # of the float network on its own joints in moved crops: else they are no labels
GOOD = 0.01  # relative squared output error that counts as good where nothing else can be compared


@dataclass(frozen=True, kw_only=True)
class Task:
    """One guarded quantization."""

    model: onnx.ModelProto
    spec: ModelSpec
    choices: QuantizeOptions
    found: Found
    floors: Mapping[str, float]
    test: Test
    track: Track = quiet
    memory: dict[str, Any] = field(default_factory=dict)

    def run(self, path: list[Step]) -> Guarded:
        """Test the candidates in order, and return the one to use with the certificate."""
        tested: list[Mapping[str, Bound]] = []
        if self.test.data is not None:
            for number in range(len(path)):
                path[number] = self.corrected(path[number])
                tested.append(self.bounds(path[number], f"candidate {number + 1} of {len(path)}"))
                if not _worth_going_on(tested):
                    break
            answer = verdict(tested)
            chosen, words = answer.chosen, answer.answer
        else:
            chosen, words = self.untested(path), UNPROVEN
            path[chosen] = self.corrected(path[chosen])
        rows = [*tested, *({} for _ in path[len(tested) :])]
        certificate = Certificate(
            answer=words,
            candidates=tuple(step.result(self.float_layers(step), row) for step, row in zip(path, rows, strict=True)),
            chosen=chosen,
            reason=self.test.reason or reason_for(words, tested, self.memory.get("own")),
            data="" if self.test.data is None else self.test.data.name,
            test=self.test.kind,
            people=self.memory.get("people", 0),
            images=self.test.images,
            image_list_sha256=self.test.image_list_sha256,
            confidence=CONFIDENCE,
            onnx_sha256=self.found.scales.onnx_sha256,
            edgepose_version=__version__,
        )
        return Guarded(scales=path[chosen or 0].scales, certificate=certificate)

    def corrected(self, step: Step) -> Step:
        """Correct the biases of a candidate of the search, unless the search has done that on the same crops."""
        from edgepose.api.search import CORRECTION, spread_crops
        from edgepose.backends.onnxruntime import make_exact_runner
        from edgepose.graph.prepare import prepare
        from edgepose.quantize import Sample, corrected

        if step.candidate is None or self.found.feed is None:
            return step
        known = step.candidate.corrected
        if known is not None:
            return replace(step, scales=replace(step.scales, bias=known.bias, bias_placement=known.bias_placement))
        if "sample" not in self.memory:
            (crops,) = spread_crops(self.found.feed, CORRECTION)
            self.memory["sample"] = Sample(inputs=crops, make_runner=make_exact_runner)
        prepared = self.memory.setdefault("prepared", prepare(self.model))
        scales = corrected(prepared, step.scales, self.spec, self.choices, self.memory["sample"])
        return replace(step, scales=scales)

    def untested(self, path: list[Step]) -> int:
        """Return the candidate with most int8 layers up to which all were good on the crops of the search."""
        good = [self._good(step.candidate) for step in path]
        return max(0, next((i for i, flag in enumerate(good) if not flag), len(good)) - 1)

    def _good(self, candidate: Candidate | None) -> bool:
        if candidate is None:
            return True
        kept = dict(candidate.measured.retention)
        if kept:
            return all(kept[name] >= floor for name, floor in self.floors.items() if name in kept)
        return bool(candidate.measured.error <= GOOD)

    def float_layers(self, step: Step) -> int:
        """Return how many layers with weights stay in float."""
        from edgepose.graph.lookup import WEIGHTED, graph_of
        from edgepose.graph.prepare import prepare
        from edgepose.quantize import place

        prepared = self.memory.setdefault("prepared", prepare(self.model))
        kept = place(prepared, self.spec, self.choices, step.scales.keep_float, step.scales.int8_ends).kept_float
        return sum(node.op_type in WEIGHTED and node.name in kept for node in graph_of(prepared).nodes)

    def bounds(self, step: Step, name: str) -> dict[str, Bound]:
        """Run one candidate on the people of the test; metric -> what that proves."""
        from edgepose.quantize import quantize

        first = self._float_network()
        graph = quantize(self.model, step.scales, self.spec, self.choices)
        evidence, possible = self.evidence(first, self.predictions(graph, name))
        return {metric: bound(item, self.floors[metric], possible.get(metric)) for metric, item in evidence.items()}

    def predictions(self, graph: onnx.ModelProto, name: str) -> Predictions | Detected:
        """Run a graph on the people of the test."""
        assert self.test.data is not None
        return self._run(graph, name, [self.test.data])[0]

    def _float_network(self) -> Predictions | Detected:
        """Run the float network on the people of the test, and as moved ones where pseudo-labels are made of those."""
        if "first" not in self.memory:
            several, moved_back = self._moved()
            first, *moved = self._run(self.model, "float network", several)
            self.memory.update({"first": first, "moved": moved_back(moved)})
        found: Predictions | Detected = self.memory["first"]
        return found

    def _moved(self) -> tuple[list[PoseData], Callable[[list[Any]], list[Any]]]:
        """Return the people of the test with their moved copies, and what moves the joints found in those back.

        Boxes are moved where the network takes boxes, and images get borders where it finds people by itself.
        """
        from edgepose.measure.moved_images import with_borders
        from edgepose.measure.pseudo_labels import COPIES, with_moved_boxes
        from edgepose.measure.shared_inputs import remembering

        data = self.test.data
        assert data is not None
        if self.test.kind == LABELS:
            return [data], list
        if not self.spec.codec.finds_people:
            return [data, *(with_moved_boxes(data, copy) for copy in range(COPIES))], list
        once = remembering(data)
        copies = [with_borders(once, copy, self.spec.crop.border_value) for copy in range(COPIES)]
        return [once, *(copy.data for copy in copies)], lambda moved: [
            copy.moved_back(found) for copy, found in zip(copies, moved, strict=True)
        ]

    def _run(self, graph: onnx.ModelProto, name: str, several: Sequence[PoseData]) -> Sequence[Predictions | Detected]:
        """Run a graph in one session on people, and on the same people as moved ones; each image is read once.

        The inputs for the people themselves are kept for the other graphs.
        """
        from edgepose.backends.onnxruntime import OnnxRuntimeSession
        from edgepose.backends.session import OpenOptions
        from edgepose.measure.boxes import compared_skeleton
        from edgepose.measure.predictions import Engine, collect_everyone_several, collect_several, evaluated
        from edgepose.measure.shared_inputs import SharedInputs
        from edgepose.runtime.pipeline import open_pipeline

        skeleton = compared_skeleton(self.spec.skeleton)
        about = Engine(path=name, precision="int8", backend="onnxruntime", onnx_sha256="", skeleton=skeleton)
        compared = replace(self.spec, codec=self.spec.codec.for_comparison()[0])
        with (
            OnnxRuntimeSession(graph.SerializeToString(), OpenOptions()) as session,
            open_pipeline(session, evaluated(self.spec) if self.test.kind == LABELS else compared) as pipeline,
        ):
            shared = self.memory.setdefault("inputs", SharedInputs())
            if self.spec.codec.finds_people:
                return collect_everyone_several(pipeline, several, about, self.track, shared=shared)
            unlabeled = self.test.kind == JOINTS
            return collect_several(pipeline, several, about, self.track, unlabeled=unlabeled, shared=shared)

    def evidence(
        self, first: Predictions | Detected, found: Predictions | Detected
    ) -> tuple[dict[str, Evidence], dict[str, float]]:
        """Return what the people say about each metric, and the retention that is likely where that is a prediction."""
        if self.test.kind == LABELS:
            kept = self._labeled(first, found)
            return kept, self._possible(kept)
        from edgepose.measure.displacement import LOSS, TYPICAL, displacement, predicted_loss
        from edgepose.measure.predictions import Predictions

        if not isinstance(first, Predictions) or not isinstance(found, Predictions):
            return self._on_pseudo_people(first, found)
        kept = self._on_pseudo_labels(first, found)
        if self.floors.keys() <= kept.keys():
            return kept, self._possible(kept)
        moved = displacement(first.xy_image, found.xy_image, self.spec.skeleton, expected_scores=first.scores)
        counted = np.isfinite(moved.moved[:, 0])
        self.memory["people"] = moved.people
        if not moved.people:
            return {}, {}
        image = _images_of(self.test.data)[counted]
        losses = predicted_loss(moved)
        found_ = {name: mean_loss(losses[name], image, sum(LOSS[name])) for name in self.floors}
        possible = {name: 1 - float(loss.mean()) for name, loss in predicted_loss(moved, TYPICAL).items()}
        return {name: kept.get(name, item) for name, item in found_.items()}, {
            name: value for name, value in possible.items() if name not in kept
        }

    def _possible(self, kept: Mapping[str, Evidence]) -> dict[str, float]:
        """Return the retention that is possible: within `POSSIBLE` standard errors of the estimate.

        It counts by no more than the loss that is allowed, so that few images do not let a large loss pass as chance.
        """
        return {
            name: item.value + min(POSSIBLE * item.error, 1 - self.floors[name])
            for name, item in kept.items()
            if name in self.floors
        }

    def _on_pseudo_labels(self, first: Predictions, found: Predictions) -> dict[str, Evidence]:
        """Return what the pseudo-labels of the float network say about each metric that they allow."""
        from edgepose.api.judge import evidence_of
        from edgepose.measure.pseudo_labels import FACTORS, pseudo_labels, value_of

        assert self.test.data is not None
        if "pseudo" not in self.memory:
            copies = [one.xy_image for one in self.memory["moved"]]
            samples = [self.test.data[i] for i in range(len(self.test.data))]
            images = [(one.image_id, one.name) for one in samples]
            labels = pseudo_labels(first, copies, images, sorted({*self.floors, STEADY}))
            self.memory["pseudo"] = labels
            self.memory["own"] = None if labels is None else value_of(STEADY, labels.first)
            self.memory["people"] = int(np.isfinite(first.xy_image.sum(axis=2)).any(axis=1).sum())
        labels = self.memory["pseudo"]
        found_ = {} if labels is None else evidence_of(labels.retained(found), FACTORS)
        return {name: found_[name] for name in self.floors if name in found_}

    def _on_pseudo_people(
        self, first: Predictions | Detected, found: Predictions | Detected
    ) -> tuple[dict[str, Evidence], dict[str, float]]:
        """Return what the people of the float network in moved images say, and the retention that is possible.

        Average precision on few people is uncertain by more than a strict floor leaves room for. A candidate whose
        retention is within `POSSIBLE` standard errors of the floor may keep it.
        """
        from edgepose.api.judge import evidence_of
        from edgepose.datasets.samples import pictures
        from edgepose.measure.predictions import Detected
        from edgepose.measure.pseudo_labels import COPIES, value_of
        from edgepose.measure.pseudo_people import FACTORS, pseudo_people

        assert isinstance(first, Detected) and isinstance(found, Detected) and self.test.data is not None
        if "people_labels" not in self.memory:
            count, counted_from = len(pictures(self.test.data)), self.spec.codec.for_comparison()[1]
            wanted = sorted({*self.floors, *([STEADY] if len(self.spec.skeleton) else [])})
            labels = pseudo_people(first, self.memory["moved"], count, wanted, counted_from)
            self.memory["people_labels"] = labels
            self.memory["own"] = None if labels is None else value_of(STEADY, labels.first)
            self.memory["people"] = 0 if labels is None else round(labels.count / COPIES)
        labels = self.memory["people_labels"]
        found_ = {} if labels is None else evidence_of(labels.retained(found), FACTORS)
        kept = {name: found_[name] for name in self.floors if name in found_}
        return kept, {name: item.value + POSSIBLE * item.error for name, item in kept.items()}

    def _labeled(self, first: Predictions | Detected, found: Predictions | Detected) -> dict[str, Evidence]:
        from edgepose.measure.held_out import labeled_people, retained
        from edgepose.measure.pseudo_labels import stand_in

        assert self.test.data is not None
        if "labels" not in self.memory:
            people = labeled_people(self.test.data, first, {*self.floors, *map(stand_in, self.floors)})
            self.memory.update({"labels": people, "float": people.measure(first), "people": people.labels.n})
        people_: LabeledPeople = self.memory["labels"]
        kept = retained(people_, self.memory["float"], people_.measure(found))
        found_ = {name: jackknife(item.value, item.without, item.sizes) for name, item in kept.items()}
        spread = {name: found_.get(stand_in(name), item).influence for name, item in found_.items()}
        return {name: replace(found_[name], influence=spread[name]) for name in self.floors if name in found_}


def reason_for(answer: str, tested: Sequence[Mapping[str, Bound]], own: float | None) -> str:
    """Return which metrics fail and by how much, and whether the test is weak; "" where there is nothing to say.

    Args:
        answer: The answer of the guard.
        tested: What was found about each tested candidate, from the one with most float layers.
        own: `STEADY` of the float network on its own pseudo-labels; None where it was not measured.
    """
    parts = []
    nobody = not tested or not tested[0]
    unsteady = own is not None and own < LEAST_STEADY
    if nobody:
        parts.append("nobody was found in the images for certain, so nothing was compared")
    elif answer == CANNOT:
        failing = [(name, item) for name, item in tested[0].items() if not item.passes]
        parts.append("even with most layers in float, " + "; ".join(f"{name} {_short(item)}" for name, item in failing))
    if unsteady:
        parts.append(
            f"the float network itself finds other joints when its input moves ({STEADY} {own:.2%} on its own joints, "
            f"expected {LEAST_STEADY:.0%} or more), so its joints are weak evidence: it is badly trained, or the "
            "images show few people"
        )
    if nobody or unsteady:
        parts.append("give labeled people with --guard KIND:PATH")
    return "; ".join(parts)


def _short(item: Bound) -> str:
    """Return by how much a metric fails."""
    missing = 100 * (item.floor - item.value)
    return f"keeps {item.value:.2%}, {missing:.2f} points less than the {item.floor:.2%} asked for"


def _worth_going_on(tested: list[Mapping[str, Bound]]) -> bool:
    """Whether the candidate after these can be the answer."""
    last = tested[-1]
    if all(item.proven for item in last.values()):
        return True
    proven_before = len(tested) > 1 and all(item.proven for row in tested[:-1] for item in row.values())
    return not proven_before and all(item.passes for item in last.values())


def _images_of(data: PoseData | None) -> Any:
    """[N] int64: a number for the image of each person."""
    assert data is not None
    numbers: dict[tuple[str, int], int] = {}
    samples = (data[i] for i in range(len(data)))
    return np.array([numbers.setdefault((one.name, one.image_id), len(numbers)) for one in samples], np.int64)
