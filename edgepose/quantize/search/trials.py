"""Trials: quantized graphs that are run on the crops of the search and compared with the float network."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgepose._checks import Array
from edgepose._cores import side_by_side
from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import Scales
from edgepose.artifacts.spec import ModelSpec
from edgepose.quantize.passes import PASSES, run_passes
from edgepose.quantize.search.result import Errors, Judge
from edgepose.quantize.search.state import State, Trial
from edgepose.quantize.value_ranges import Sample, batches
from edgepose.quantize.work import Pass, Runner, Work

if TYPE_CHECKING:
    import onnx

Correct = Callable[[Scales], Scales]  # scales with `keep_float` -> the same with corrected biases
LARGEST = 4.0  # relative squared error of one crop: noise twice as large as the signal is as wrong as any other
OUTLIER = 4.0
TINY = 1e-12  # share of an output's mean energy below which a crop's own energy does not count


@dataclass(frozen=True, kw_only=True)
class Trials:
    """Runs quantized graphs of one network and remembers what they gave.

    Attributes:
        model: The prepared float graph.
        spec: The contract.
        scales: The scales; further nodes are added to its `keep_float` and taken from its `int8_ends`.
        options: The options that apply.
        sample: The crops, and what runs a graph on them.
        expected: Outputs of the float network on the crops, by name.
        state: What was measured before.
        judge: Predicts what is retained of each metric.
        errors: Compares outputs, crop by crop.
        correct: Corrects the biases of a candidate, where the options ask for it.
        made: Float nodes of each candidate that was run -> its scales with corrected biases.
    """

    model: onnx.ModelProto
    spec: ModelSpec
    scales: Scales
    options: QuantizeOptions
    sample: Sample
    expected: Mapping[str, Array]
    state: State
    judge: Judge
    errors: Errors
    correct: Correct
    made: dict[frozenset[str], Scales] = field(default_factory=dict)

    def real(self, keep_float: Mapping[str, str]) -> Trial:
        """Run the graph of a candidate, as it would be built, on all crops."""

        def measure() -> Trial:
            scales = self.made[frozenset(keep_float)] = self.correct(self._scales(keep_float))
            found = self._outputs(scales, PASSES, self.sample.inputs)
            retention = {name: float(value) for name, value in self.judge(self.expected, found).items()}
            return Trial(errors=self.errors(self.expected, found), retention=retention)

        return self.state.get(["real", sorted(keep_float)], measure)

    def without(self, keep_float: Collection[str], crops: Sequence[int]) -> float:
        """Return the error on some crops of the graph in which these nodes are float, without a bias correction."""

        def measure() -> Trial:
            return self._probe(self._scales(dict.fromkeys(keep_float, "search")), PASSES, crops)

        return typical(self.state.get(["without", sorted(keep_float), list(crops)], measure))

    def alone(self, nodes: Collection[str], keep_float: Collection[str], crops: Sequence[int]) -> float:
        """Return the error on some crops of the graph in which only these nodes of the placement are quantized.

        Args:
            nodes: The nodes to quantize.
            keep_float: Nodes that are float in every candidate.
            crops: Indexes of the crops.
        """

        def measure() -> Trial:
            passes: list[Pass] = []
            for item in PASSES:
                passes += [item, OnlyNodes(frozenset(nodes))] if item.name == "placement" else [item]
            return self._probe(self._scales(dict.fromkeys(keep_float, "search")), passes, crops)

        return typical(self.state.get(["alone", sorted(nodes), sorted(keep_float), list(crops)], measure))

    def _scales(self, keep_float: Mapping[str, str]) -> Scales:
        kept = {**keep_float, **self.scales.keep_float}
        return replace(self.scales, keep_float=kept, int8_ends=self.int8_ends(kept))

    def int8_ends(self, keep_float: Collection[str]) -> tuple[str, ...]:
        """Return the first and last layers that are int8 where these nodes are float."""
        return tuple(name for name in self.scales.int8_ends if name not in keep_float)

    def _probe(self, scales: Scales, passes: Sequence[Pass], crops: Sequence[int]) -> Trial:
        rows = list(crops)
        found = self._outputs(scales, passes, self.sample.inputs[rows])
        return Trial(errors=self.errors({name: value[rows] for name, value in self.expected.items()}, found))

    def _outputs(self, scales: Scales, passes: Sequence[Pass], inputs: Array) -> dict[str, Array]:
        work = Work(model=self.model, spec=self.spec, options=self.options, scales=scales)
        return run_on(run_passes(work, passes).model, tuple(self.expected), replace(self.sample, inputs=inputs))


class OnlyNodes:
    """Quantize only some of the nodes of the placement: the pass behind the placement that measures units alone."""

    name: ClassVar[str] = "only_nodes"
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, nodes: frozenset[str]) -> None:
        self.nodes = nodes

    def applies(self, options: QuantizeOptions) -> bool:
        """Return True."""
        return True

    def run(self, work: Work) -> Work:
        """Remove every other node from the placement."""
        assert work.placement is not None, "placement runs first"
        reads = {
            tensor: tuple(reader for reader in readers if reader[0] in self.nodes)
            for tensor, readers in work.placement.reads.items()
        }
        placement = replace(
            work.placement,
            quantized=tuple(name for name in work.placement.quantized if name in self.nodes),
            reads={tensor: readers for tensor, readers in reads.items() if readers},
        )
        return replace(work, placement=placement)


def typical(trial: Trial) -> float:
    """Return the mean error of the crops, each counted with at most `OUTLIER` times the median.

    An output that is found by a maximum, such as a coordinate, jumps on single crops where two places are nearly equal.
    Such jumps do not add up and would hide what a layer does to the other crops.
    """
    errors = np.array(trial.errors)
    return float(np.minimum(errors, OUTLIER * np.median(errors)).mean())


def run_on(model: onnx.ModelProto, outputs: tuple[str, ...], sample: Sample) -> dict[str, Array]:
    """Return outputs of a graph on all crops of a sample, [N, ...] each.

    Raises:
        ModelError: The graph cannot be run.
    """
    return outputs_of(sample.make_runner(model, outputs), outputs, sample.inputs)


def outputs_of(runner: Runner, outputs: tuple[str, ...], inputs: Array) -> dict[str, Array]:
    """Return outputs of an opened graph on crops [N, ...], [N, ...] each.

    Raises:
        ModelError: The graph cannot be run.
    """
    found = side_by_side(runner.run, batches(runner, inputs))
    return {name: np.concatenate([one[name] for one in found])[: len(inputs)] for name in outputs}


def crop_errors(expected: Mapping[str, Array], found: Mapping[str, Array]) -> tuple[float, ...]:
    """Return the relative squared error of the outputs for each crop: the mean over the outputs, at most `LARGEST`.

    Args:
        expected: Outputs of the float network by name, [N, ...] each.
        found: Those to compare.
    """
    each = []
    for name, value in expected.items():
        sums = [
            _energies(one, other) for one, other in zip(value, found[name], strict=True)
        ]  # float64 of one crop only
        noise, signal = np.array(sums).T
        floor = max(TINY * float(signal.mean()), np.finfo(np.float64).tiny)
        relative = noise / np.maximum(signal, floor)
        each.append(np.where(np.isfinite(relative), np.minimum(relative, LARGEST), LARGEST))
    return tuple(float(error) for error in np.mean(each, axis=0))


def _energies(expected: Array, found: Array) -> tuple[float, float]:
    """Return the sums of squares of a difference and of the expected values."""
    wanted = expected.astype(np.float64)
    return float(np.square(found.reshape(wanted.shape) - wanted).sum()), float(np.square(wanted).sum())
