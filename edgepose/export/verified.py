"""Rewrite a foreign graph and prove that it computes what the file computes in plain ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.artifacts.spec import ModelSpec
from edgepose.errors import ModelError
from edgepose.export.batch import free_batch, noise, run_graph
from edgepose.export.original import Original
from edgepose.export.ports import set_shapes
from edgepose.graph.evaluate import runtime_failures
from edgepose.graph.importing import PASSES, Changes, described, rewrite
from edgepose.graph.importing.constants import BATCHES, sized_branches
from edgepose.graph.importing.step import listed
from edgepose.graph.prepare import name_nodes, prepare
from edgepose.graph.types import drop_inferred_types

if TYPE_CHECKING:
    import onnx

FLOAT_ERROR = 1e-3  # of the largest value of an output
HALF_ERROR = 2e-2  # where the file computes in float16 or bfloat16, which round at every layer


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    model: onnx.ModelProto
    changes: Changes
    lines: tuple[str, ...] = ()


def verified_import(
    model: onnx.ModelProto, spec: ModelSpec, path: Path, *, adapted: bool = False
) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Rewrite a graph, free its batch axis, and compare it with its file on images of noise.

    Args:
        model: The graph as it was read, with the outputs of the contract and the size of its image.
        spec: The contract.
        path: The file.
        adapted: Whether the graph has other inputs or outputs than the file; then the graph as it is given takes the
            place of the file in the comparison.

    Returns:
        The prepared graph, and one sentence for each kind of change and for what could not be verified.

    Raises:
        ModelError: The graph cannot be run, or computes something else than the file whatever is left out.
        SpecError: The outputs do not fit the contract.
    """
    images = noise(spec)
    first = _attempt(model, spec, str(path), ())
    try:
        expected = _original(model, path, adapted).run(images, spec.outputs)
    except ModelError as error:
        lines = (*described(first.changes), *first.lines, f"not compared with the file: {error}")
        return first.model, lines
    _refuse_not_finite(expected, spec, path)
    departs = _departs(first, spec, images, expected)
    if departs is None:
        return first.model, (*described(first.changes), *first.lines)
    for skip in _less(first.changes):
        try:
            made = _attempt(model, spec, str(path), skip)
        except ModelError:
            continue
        if _departs(made, spec, images, expected) is None:
            left = f"left out, since results would depart: {listed(skip, len(skip))}"
            return made.model, (*described(made.changes), *made.lines, left)
    raise ModelError(
        f"{path}: the imported graph departs from the file in plain ONNX Runtime ({departs}); export the network again "
        "with another exporter or opset"
    )


def _original(model: onnx.ModelProto, path: Path, adapted: bool) -> Original:
    """Load the file; if ONNX Runtime refuses it for names or types that it states, the graph as it was read."""
    try:
        return Original(path, model.SerializeToString() if adapted else None)
    except ModelError as error:
        try:
            return Original(path, name_nodes(drop_inferred_types(model)).SerializeToString())
        except ModelError:
            raise error from None


def _less(changes: Changes) -> list[tuple[str, ...]]:
    """The passes to leave out, one after another: each that changed the graph, and all of them."""
    return [*((name,) for name in changes), tuple(step.name for step in PASSES)] if changes else []


def _attempt(model: onnx.ModelProto, spec: ModelSpec, where: str, skip: tuple[str, ...]) -> _Attempt:
    """Rewrite and prepare the graph, for any batch size if that is possible."""
    made, changes = rewrite(model, where, skip)
    decide = sized_branches(made)
    batches = (1,) if decide else BATCHES
    if decide:
        made, more = rewrite(set_shapes(made, spec, 1, None), where, skip, batches)
        changes |= more
    made = free_batch(_prepared(made, where), spec, where)
    lines = (f"batch size 1, because the batch size decides {listed(decide)}",) if decide else ()
    if made.graph.input[0].type.tensor_type.shape.dim[0].dim_value != 1:
        return _Attempt(model=made, changes=changes)
    made, more = rewrite(made, where, skip, (1,))  # now every shape is known
    changes = {name: (*changes.get(name, ()), *more.get(name, ())) for name in {**changes, **more}}
    return _Attempt(model=_prepared(made, where), changes=changes, lines=lines)


def _prepared(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    try:
        return prepare(model)
    except ModelError as error:
        raise ModelError(f"{where}: {error}") from error


def _refuse_not_finite(expected: list[Array], spec: ModelSpec, path: Path) -> None:
    for name, values in zip(spec.outputs, expected, strict=True):
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ModelError(
                f"{path}: output {name!r} is not finite (NaN or infinite) for images of noise, in the file itself; "
                "train or export the network again"
            )


def _departs(made: _Attempt, spec: ModelSpec, images: Array, expected: list[Array]) -> str | None:
    """Return the output that departs and by how much, or None.

    One of the images may depart: where a network takes a maximum, a rounding can decide between two places.
    """
    half = {"float16", "bfloat16"}.intersection(made.changes.get("float32", ()))
    limit = HALF_ERROR if half else FLOAT_ERROR
    try:
        found = run_graph(made.model, spec, images)
    except runtime_failures() as error:
        return str(error)
    errors = np.zeros(len(images))
    worst = spec.outputs[0]
    for name, values, right in zip(spec.outputs, found, expected, strict=True):
        if values.shape != right.shape:
            return f"output {name!r} has shape {list(values.shape)} instead of {list(right.shape)}"
        axes = tuple(range(1, right.ndim))
        largest = max(float(np.abs(right.astype(np.float64)).max(initial=0)), 1e-12)
        found_errors = np.abs(values.astype(np.float64) - right).max(axis=axes) / largest
        found_errors = np.where(np.isfinite(found_errors), found_errors, np.inf)
        worst = name if found_errors.max() > errors.max() else worst
        errors = np.maximum(errors, found_errors)
    if (errors <= limit).sum() >= len(images) - 1:
        return None
    return f"output {worst!r} by {np.median(errors):.1e} of its largest value"
