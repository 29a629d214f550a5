"""The test of a guard: each candidate of a search is run on the people of the test, from most float to most int8."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgepose import __version__
from edgepose._progress import Track, quiet
from edgepose.artifacts.certificate import JOINTS, LABELS, CandidateResult, Certificate, MetricBound
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import Scales
from edgepose.artifacts.spec import ModelSpec
from edgepose.errors import BuildError
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

    from edgepose.datasets.feeds import CalibrationFeed
    from edgepose.datasets.samples import PoseData
    from edgepose.measure.held_out import LabeledPeople
    from edgepose.measure.predictions import Detected, Predictions
    from edgepose.quantize.search import Candidate

CORRECTION = 32  # crops that biases are corrected on
POSSIBLE = 1.645  # standard errors: the one-sided 95 % quantile of the normal distribution
GOOD = 0.01  # relative squared output error that counts as good where nothing else can be compared
MORE = (
    "give more calibration images or a lower --keep, or fine-tune the network with: edgepose train --quantized "
    "OUT/scales.json --data KIND:PATH --out DIRECTORY"
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What calibration found, and the people who are left to test it.

    Attributes:
        scales: The scales, without the float layers of a search unless they were read from a file.
        source: The file that they were read from; None where they were observed now.
        feed: The calibration images; None without any.
        held_out: People of the same data who were not used to calibrate; None where there are too few images.
    """

    scales: Scales
    source: Path | None = None
    feed: CalibrationFeed | None = None
    held_out: PoseData | None = None


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """Scales to quantize with, and what is known about their accuracy.

    Attributes:
        scales: With the float layers and the bias corrections of the chosen candidate.
        certificate: None where the build has no guard, and nothing is known from earlier.
    """

    scales: Scales
    certificate: Certificate | None = None

    def refuse(self) -> None:
        """Raise BuildError where the accuracy cannot be kept."""
        if self.certificate is not None and cannot_keep(self):
            raise BuildError(f"{'. '.join(self.certificate.lines()[:2])}. No int8 engine is built; {MORE}")


def cannot_keep(guarded: Guarded | None) -> bool:
    """Whether the accuracy cannot be kept in INT8."""
    return guarded is not None and guarded.certificate is not None and guarded.certificate.answer == CANNOT


@dataclass(frozen=True, kw_only=True)
class Test:
    """The people to test on.

    Attributes:
        kind: `LABELS`, `JOINTS`, `BOXES` or `NOTHING`.
        reason: Why nothing is tested.
        data: The people; None where nothing is tested.
        images: Number of images.
        image_list_sha256: What identifies the images.
    """

    kind: str
    reason: str = ""
    data: PoseData | None = None
    images: int = 0
    image_list_sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One candidate: its scales, and what the search says about it."""

    scales: Scales
    candidate: Candidate | None = None

    def result(self, layers: int, bounds: Mapping[str, Bound]) -> CandidateResult:
        """Return the entry of the certificate."""
        about: dict[str, Any] = {}
        if self.candidate is not None:
            about = {
                "int8_share": self.candidate.int8_share,
                "time": _finite(self.candidate.time),
                "output_error": _finite(self.candidate.measured.error),
            }
        metrics = {
            name: MetricBound(retention=item.value, bound=item.low, floor=item.floor, images_needed=item.needed)
            for name, item in bounds.items()
        }
        return CandidateResult(float_layers=layers, metrics=metrics, **about)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


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
            reason=self.test.reason,
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
        """Correct the biases of a candidate of the search."""
        from edgepose.api.search import spread_crops
        from edgepose.backends.onnxruntime import make_exact_runner
        from edgepose.graph.prepare import prepare
        from edgepose.quantize import Sample, corrected

        if step.candidate is None or self.found.feed is None:
            return step
        if "sample" not in self.memory:
            crops = spread_crops(self.found.feed, CORRECTION)
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
        kept = place(prepared, self.spec, self.choices, step.scales.keep_float).kept_float
        return sum(node.op_type in WEIGHTED and node.name in kept for node in graph_of(prepared).nodes)

    def bounds(self, step: Step, name: str) -> dict[str, Bound]:
        """Run one candidate on the people of the test; metric -> what that proves."""
        from edgepose.quantize import quantize

        first = self.memory.get("first")
        if first is None:
            first = self.memory["first"] = self.predictions(self.model, "float network")
        graph = quantize(self.model, step.scales, self.spec, self.choices)
        evidence, typical = self.evidence(first, self.predictions(graph, name))
        return {metric: bound(item, self.floors[metric], typical.get(metric)) for metric, item in evidence.items()}

    def predictions(self, graph: onnx.ModelProto, name: str, data: PoseData | None = None) -> Predictions | Detected:
        """Run a graph on the people of the test, or on others."""
        from edgepose.backends.onnxruntime import OnnxRuntimeSession
        from edgepose.backends.session import OpenOptions
        from edgepose.measure.boxes import compared_skeleton
        from edgepose.measure.predictions import Engine, collect, collect_everyone, evaluated
        from edgepose.runtime.pipeline import open_pipeline

        people = self.test.data if data is None else data  # data of images without labels is empty, and false
        assert people is not None
        skeleton = compared_skeleton(self.spec.skeleton)
        about = Engine(path=name, precision="int8", backend="onnxruntime", onnx_sha256="", skeleton=skeleton)
        compared = replace(self.spec, codec=self.spec.codec.for_comparison()[0])
        with (
            OnnxRuntimeSession(graph.SerializeToString(), OpenOptions()) as session,
            open_pipeline(session, evaluated(self.spec) if self.test.kind == LABELS else compared) as pipeline,
        ):
            if self.spec.codec.finds_people:
                return collect_everyone(pipeline, people, about, self.track)
            return collect(pipeline, people, about, self.track, unlabeled=self.test.kind == JOINTS)

    def evidence(
        self, first: Predictions | Detected, found: Predictions | Detected
    ) -> tuple[dict[str, Evidence], dict[str, float]]:
        """Return what the people say about each metric, and the retention that is likely where that is a prediction."""
        if self.test.kind == LABELS:
            return self._labeled(first, found), {}
        from edgepose.measure.displacement import LOSS, TYPICAL, displacement, predicted_loss
        from edgepose.measure.predictions import Predictions

        if not isinstance(first, Predictions) or not isinstance(found, Predictions):
            return self._on_pseudo_people(first, found)
        kept = self._on_pseudo_labels(first, found)
        if self.floors.keys() <= kept.keys():
            return kept, {}
        moved = displacement(first.xy_image, found.xy_image, self.spec.skeleton, expected_scores=first.scores)
        counted = np.isfinite(moved.moved[:, 0])
        self.memory["people"] = moved.people
        if not moved.people:
            return {}, {}
        image = _images_of(self.test.data)[counted]
        losses = predicted_loss(moved)
        found_ = {name: mean_loss(losses[name], image, sum(LOSS[name])) for name in self.floors}
        typical = {name: 1 - float(loss.mean()) for name, loss in predicted_loss(moved, TYPICAL).items()}
        return {name: kept.get(name, item) for name, item in found_.items()}, {
            name: value for name, value in typical.items() if name not in kept
        }

    def _on_pseudo_labels(self, first: Predictions, found: Predictions) -> dict[str, Evidence]:
        """Return what the pseudo-labels of the float network say about each metric that they allow."""
        from edgepose.api.judge import evidence_of
        from edgepose.measure.pseudo_labels import COPIES, FACTORS, pseudo_labels, with_moved_boxes

        assert self.test.data is not None
        if "pseudo" not in self.memory:
            copies = []
            for copy in range(COPIES):
                data = with_moved_boxes(self.test.data, copy)
                again = self.predictions(self.model, f"float network, moved boxes {copy + 1} of {COPIES}", data)
                copies.append(again.xy_image)
            samples = [self.test.data[i] for i in range(len(self.test.data))]
            images = [(one.image_id, one.name) for one in samples]
            self.memory["pseudo"] = pseudo_labels(first, copies, images, list(self.floors))
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
        from edgepose.measure.moved_images import with_borders
        from edgepose.measure.predictions import Detected
        from edgepose.measure.pseudo_labels import COPIES
        from edgepose.measure.pseudo_people import FACTORS, pseudo_people

        assert isinstance(first, Detected) and isinstance(found, Detected) and self.test.data is not None
        if "people_labels" not in self.memory:
            copies = []
            for copy in range(COPIES):
                images = with_borders(self.test.data, copy, self.spec.crop.border_value)
                again = self.predictions(self.model, f"float network, moved images {copy + 1} of {COPIES}", images.data)
                assert isinstance(again, Detected)
                copies.append(images.moved_back(again))
            count, counted_from = len(pictures(self.test.data)), self.spec.codec.for_comparison()[1]
            labels = pseudo_people(first, copies, count, list(self.floors), counted_from)
            self.memory["people_labels"] = labels
            self.memory["people"] = 0 if labels is None else round(labels.count / COPIES)
        labels = self.memory["people_labels"]
        found_ = {} if labels is None else evidence_of(labels.retained(found), FACTORS)
        kept = {name: found_[name] for name in self.floors if name in found_}
        spread = {name: float(np.sqrt((item.influence**2).sum())) for name, item in kept.items()}
        return kept, {name: item.value + POSSIBLE * spread[name] for name, item in kept.items()}

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
