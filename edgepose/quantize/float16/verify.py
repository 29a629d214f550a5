"""Compare the half graph with the float graph on a few inputs, and keep in float32 what departs.

The outputs must be finite and agree with the float graph. Where they do not, both graphs are compared tensor by tensor:
the nodes at which the error begins stay in float32 together with their neighbors, and the comparison is repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.errors import ModelError
from edgepose.quantize.float16.rounding import rounded
from edgepose.quantize.float16.view import View
from edgepose.quantize.value_ranges import Sample, batches

if TYPE_CHECKING:
    import onnx

LIMIT = 0.005  # relative error of an output, root mean square; rounding alone gives 0.0005 to 0.003
REFUSED = 20  # times the limit: beyond it nothing is left to call rounding
SIGNAL = 1e-6  # an output below this has no signal; errors are then compared with it
ROUNDS = 8
GROWTH = 4  # a node at which the error grows by this factor is where it begins
SMALLEST = 2.0**-12  # error of one rounding
TENSORS = 64  # that are compared at once, so that memory stays bounded
# Rounding flips a few of their results. Of outputs behind them, the tenth that differs most is left out.
DISCRETE = ("ArgMax", "ArgMin", "TopK", "NonMaxSuppression", "Round", "Floor", "Ceil", "Mod")
COMPARED = 0.9


def settled(view: View, kept: Mapping[str, str], sample: Sample, limit: float = LIMIT) -> dict[str, str]:
    """Return the nodes that stay in float32, with those that the comparison adds.

    Args:
        view: The prepared graph.
        kept: The nodes that stay in float32 by the rules, each with the reason.
        sample: The inputs to compare on.
        limit: Largest relative error of an output, root mean square.

    Raises:
        ModelError: The half graph departs from the float graph whatever stays in float32.
    """
    found = dict(kept)
    outputs = tuple(name for name in view.graph.outputs if name in view.floats)
    if not outputs:
        return found
    expected = _run(view.model, outputs, sample)
    for remaining in reversed(range(ROUNDS + 1)):
        errors = _output_errors(view, expected, _run(rounded(view, found), outputs, sample))
        worst = max(errors, key=lambda name: max(errors[name]))
        error = max(errors[worst])
        if error <= limit:
            return found
        departing: dict[str, str] = {}
        if remaining:
            one = _one(sample, int(np.argmax(errors[worst])))
            departing = _departures(view, found, one, limit, gradual=error > REFUSED * limit)
        if not departing:
            break
        found |= departing
    if error <= REFUSED * limit:
        return found
    raise ModelError(
        f"float16 changes output {worst!r} by {_percent(error)} (rounding alone changes less than {_percent(limit)}), "
        f"although {len(found)} of {len(view.graph.nodes)} nodes stay in float32; build fp32, or name the nodes that "
        "lose it with --keep-float"
    )


def _one(sample: Sample, run: int) -> Sample:
    """Return the input of one run; where the batch axis is fixed, a run has several, and the first of all is taken."""
    index = run if run < len(sample.inputs) else 0
    return Sample(inputs=sample.inputs[index : index + 1], make_runner=sample.make_runner)


def relative_error(expected: Array, found: Array, share: float = 1.0, signal: float = 0.0) -> float:
    """Return the root mean square of the difference divided by that of the expected values.

    Args:
        expected: The values that are right.
        found: The values to judge, of the same shape.
        share: Part of the elements that counts; those that differ most are left out.
        signal: Size that the expected values count as at least, root mean square.

    Returns:
        0 where both are equal, infinity where `found` is not finite and `expected` is.
    """
    wanted, given = expected.astype(np.float64).ravel(), found.astype(np.float64).ravel()
    same = (wanted == given) | (np.isnan(wanted) & np.isnan(given))
    finite = np.isfinite(wanted)
    with np.errstate(invalid="ignore"):
        squares = np.sort(np.where(same, 0.0, (given - wanted) ** 2))
    squares = squares[: max(1, int(share * squares.size))]
    if not squares.size or not squares.any():
        return 0.0
    size = max(float(np.mean(wanted[finite] ** 2)) if finite.any() else 0.0, signal**2)
    total = float(np.mean(squares))
    return float(np.sqrt(total / size)) if np.isfinite(total) and size > 0 else float("inf")


def _run(model: onnx.ModelProto, tensors: tuple[str, ...], sample: Sample) -> dict[str, list[Array]]:
    """Return the tensors by name, one array for each run."""
    runner = sample.make_runner(model, tensors)
    found: dict[str, list[Array]] = {name: [] for name in tensors}
    for images in batches(runner, sample.inputs):
        for name, value in runner.run(images).items():
            found[name].append(value)
    return found


def _output_errors(
    view: View, expected: Mapping[str, list[Array]], found: Mapping[str, list[Array]]
) -> dict[str, list[float]]:
    """Return the relative error of each output in each run."""
    discrete = _behind_discrete(view)
    return {
        name: [
            relative_error(one, other, COMPARED if name in discrete else 1.0, SIGNAL)
            for one, other in zip(values, found[name], strict=True)
        ]
        for name, values in expected.items()
    }


def _behind_discrete(view: View) -> set[str]:
    """Name the tensors that depend on an operator whose result jumps."""
    behind = set[str]()
    for node in view.graph.nodes:
        if node.op_type in DISCRETE or not behind.isdisjoint(node.input):
            behind.update(node.output)
    return behind


def _departures(view: View, kept: Mapping[str, str], sample: Sample, limit: float, gradual: bool) -> dict[str, str]:
    """Return nodes that should stay in float32 too, each with the reason; none where nothing is left.

    With `gradual`, they include nodes at which an error grows that no single node causes. In a deep network a small
    error of this kind is the sum of all roundings, and no node is worth a float32 kernel.
    """
    errors, losses = _tensor_errors(view, kept, sample)
    added: dict[str, str] = {}
    for node in view.graph.nodes:  # what float16 cannot hold, whoever computes it
        lost = max((losses[name] for name in node.output if name in losses), default=0.0)
        if lost > limit:
            reason = f"float16 loses {_percent(lost)} of {node.output[0]!r}"
            added |= {name: reason for name in _neighbors(view, node, above=False) if name not in kept}
    if added:
        return added
    for node, error in list(_starts(view, errors, limit)) or (_steepest(view, errors) if gradual else []):
        reason = f"float16 departs here: {_percent(error)} of {node.output[0]!r}"
        near = [name for name in _neighbors(view, node) if name not in kept] or _above(view, node, kept)
        added |= dict.fromkeys(near, reason)
    return added


def _tensor_errors(view: View, kept: Mapping[str, str], sample: Sample) -> tuple[dict[str, float], dict[str, float]]:
    """Return the error of each tensor in the half graph, and the error of storing its right value in float16."""
    names = [name for node in view.graph.nodes for name in view.float_outputs(node)]
    half = rounded(view, kept)
    errors: dict[str, float] = {}
    losses: dict[str, float] = {}
    for start in range(0, len(names), TENSORS):
        some = tuple(names[start : start + TENSORS])
        expected, found = _run(view.model, some, sample), _run(half, some, sample)
        errors |= {name: relative_error(expected[name][0], found[name][0]) for name in some}
        losses |= {name: relative_error(expected[name][0], _stored(expected[name][0])) for name in some}
    return errors, losses


def _stored(values: Array) -> Array:
    with np.errstate(over="ignore"):
        return values.astype(np.float16)


def _grown(node: onnx.NodeProto, errors: Mapping[str, float]) -> tuple[float, float]:
    """Return the error of what a node reads and of what it makes."""
    before = max((errors[name] for name in node.input if name in errors), default=0.0)
    return max(before, SMALLEST), max((errors[name] for name in node.output if name in errors), default=0.0)


def _starts(view: View, errors: Mapping[str, float], limit: float) -> Iterator[tuple[onnx.NodeProto, float]]:
    for node in view.graph.nodes:
        before, after = _grown(node, errors)
        if before <= limit < after and after > GROWTH * before:
            yield node, after


def _steepest(view: View, errors: Mapping[str, float]) -> list[tuple[onnx.NodeProto, float]]:
    """Return the twentieth of the nodes at which the error grows most, for errors that no single node causes."""
    growth = [(after / before, node, after) for node in view.graph.nodes for before, after in [_grown(node, errors)]]
    growing = sorted((item for item in growth if item[0] > 1), key=lambda item: -item[0])
    return [(node, after) for _, node, after in growing[: 1 + len(growing) // 20]]


def _neighbors(view: View, node: onnx.NodeProto, above: bool = True) -> Iterator[str]:
    """Name a node, those that read what it makes and, with `above`, those that make what it reads."""
    yield node.name
    for name in view.float_inputs(node):
        if above and name in view.graph.producer:
            yield view.graph.producer[name].name
    for name in view.float_outputs(node):
        for reader, _ in view.graph.readers.get(name, []):
            yield reader.name


def _above(view: View, node: onnx.NodeProto, kept: Mapping[str, str]) -> list[str]:
    """Name the nearest nodes above that are not kept yet."""
    waiting, seen, found = [node], {node.name}, list[str]()
    while waiting:
        for name in waiting.pop().input:
            above = view.graph.producer.get(name)
            if above is None or above.name in seen:
                continue
            seen.add(above.name)
            if above.name in kept:
                waiting.append(above)
            elif view.float_outputs(above):
                found.append(above.name)
    return found


def _percent(error: float) -> str:
    return f"{error:.2%}" if np.isfinite(error) else "values that are not finite"
