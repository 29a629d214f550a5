"""Find the first layer at which two graphs or engines of one network part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgepose._checks import Array
from edgepose._progress import Track, quiet
from edgepose.api.matching import matched
from edgepose.artifacts.acceptance import rounded_inputs
from edgepose.artifacts.manifest import read_manifest
from edgepose.artifacts.spec import PRECISION_KEY, SPEC_KEY, ModelSpec, embedded_spec, get_metadata
from edgepose.backends.inner import Inner, OnnxInner, Tensor, inner_of
from edgepose.errors import EdgeposeError, ModelError, UsageError
from edgepose.measure.agreement import Agreement, compare
from edgepose.measure.departure import LIMIT, Step, first_departure, last_agreement, losses

CROPS = 2
CHUNK = 64  # tensors of one run, which bounds the memory
SHOWN = 10  # of the tensors that lose most


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Where two networks part.

    Attributes:
        parted: Whether they compute different things, beyond what their precision explains.
        first: The first tensor that departs, with its node; None where both are float and agree. For a reduced
            precision it is the tensor that loses most.
        last: The last tensor before it that still agrees.
        losses: The tensors that lose most signal-to-noise ratio, with the loss in decibels; only for a reduced
            precision.
        outputs: The agreement of each output that both have.
        compared: How many tensors were compared.
        precision: The lower precision of the two.
    """

    parted: bool
    first: Step | None
    last: Step | None
    losses: tuple[tuple[Step, float], ...]
    outputs: Mapping[str, Agreement]
    compared: int
    precision: str

    def describe(self) -> str:
        """Return one line: the first tensor that departs, the node that makes it, its error, and what still agrees."""
        if self.first is None:
            return f"they agree: {self.compared} tensors compared"
        until = f"; the last tensor that agrees is {self.last.tensor!r}" if self.last else ""
        what = f"loses most ({self.losses[0][1]:.1f} dB)" if self.losses else "departs first"
        return (
            f"the tensor that {what} is {self.first.tensor!r} of node {self.first.node!r} ({self.first.op}): "
            f"{self.first.agreement.describe()}{until}"
        )

    def lines(self) -> list[str]:
        """Return the result as lines of text: the agreement of the outputs, the layer, and the largest losses."""
        lines = [f"output {name}: {found.describe()}" for name, found in self.outputs.items()]
        lines.append(self.describe())
        return lines + [f"  {loss:5.1f} dB  {step.tensor} ({step.op})" for step, loss in self.losses]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value; numbers that are not finite are null."""
        from edgepose.measure.agreement import finite

        value: dict[str, Any] = finite(asdict(self))
        return value


@dataclass(frozen=True, kw_only=True)
class _Side:
    """One of the two networks."""

    inner: Inner
    spec: ModelSpec | None
    precision: str


def diagnose(
    first: str | Path, second: str | Path, *, calib: str | None = None, limit: float = LIMIT, track: Track = quiet
) -> Diagnosis:
    """Find the first layer, in the order of computation, at which two graphs or engines of one network part.

    ONNX files run in ONNX Runtime as they are written; engines run in their backend, with the inner tensors as
    outputs. Tensors are matched by name, or, where names differ, by operator, shape and position. Of a TensorRT engine
    only the outputs can be compared.

    Args:
        first: The network that is right: an ONNX file, an engine folder or a zoo name.
        second: The network to compare, likewise.
        calib: Images KIND:PATH[:SPLIT] to run on; by default rendered figures.
        limit: The relative error above which two float tensors differ.
        track: Shows the progress.

    Returns:
        The first tensor that departs, the node that computes it, and the last tensor that agrees.

    Raises:
        UsageError: There is no such file, or the two have no tensor in common.
        ModelError: A graph cannot be run.
        EngineError: An engine cannot be opened here.

    Examples:
        >>> diagnose("engines/fp32.onnx", "engines/openvino-fp32").parted
        False
    """
    one, other = _side(first), _side(second)
    precision = other.precision if other.precision != "fp32" else one.precision
    spec = one.spec or other.spec
    inputs = _noise(one.inner, first) if spec is None else _crops(spec, calib)
    return part(one.inner, other.inner, inputs, precision=precision, limit=limit, track=track)


def part(
    one: Inner, other: Inner, inputs: Array, *, precision: str = "fp32", limit: float = LIMIT, track: Track = quiet
) -> Diagnosis:
    """Compare the inner tensors of two networks; see `diagnose`.

    Args:
        one: The network that is right.
        other: The network to compare.
        inputs: Crops [N, ...].
        precision: The lower precision of the two.
        limit: The relative error above which two float tensors differ.
        track: Shows the progress.

    Raises:
        UsageError: They have no tensor in common.
    """
    pairs, lead = matched(one, other, inputs)
    steps: list[Step] = []
    chunks = [pairs[i : i + CHUNK] for i in range(0, len(pairs), CHUNK)]
    for chunk in track(chunks, "diagnose", len(chunks)):
        steps += _steps(one, other, chunk, lead, inputs, {step.tensor for step in steps})
        if precision == "fp32" and first_departure(steps, limit):
            break  # what comes after it differs because of it
    outputs = _outputs(one, other, inputs, dict(pairs))
    found = first_departure(steps, limit) if precision == "fp32" else None
    ranked: list[tuple[Step, float]] = []
    if precision != "fp32":
        ranked = [(step, round(loss, 2)) for step, loss in losses(steps, precision)[:SHOWN] if loss > 0]
        found = ranked[0][0] if ranked else None
    wrong = any(item.problem(precision) for item in outputs.values())
    return Diagnosis(
        parted=wrong or (found is not None and precision == "fp32"),
        first=found,
        last=last_agreement(steps, found, limit) if precision == "fp32" else None,
        losses=tuple(ranked),
        outputs=outputs,
        compared=len(steps),
        precision=precision,
    )


def _steps(
    one: Inner, other: Inner, pairs: Sequence[tuple[str, str]], lead: Inner, inputs: Array, known: set[str]
) -> list[Step]:
    """Compare some tensors; `known` are those that were compared before."""
    mine, theirs = one.run([a for a, _ in pairs], inputs), other.run([b for _, b in pairs], inputs)
    made: list[Step] = []
    by_name = {tensor.name: tensor for tensor in lead.tensors}
    for a, b in pairs:
        if a not in mine or b not in theirs:
            continue
        tensor = by_name.get(a) or Tensor(name=a, op="an output")
        above = _nearest(tensor, by_name, known)
        known.add(a)
        agreement = _agreement(mine[a], theirs[b])
        made.append(Step(tensor=a, node=tensor.node or a, op=tensor.op, agreement=agreement, reads=above))
    return made


def _agreement(expected: list[Array], found: list[Array]) -> Agreement:
    """Compare a tensor on all crops, as the worst of them."""
    each = [compare(a, b) for a, b in zip(expected, found, strict=True)]
    return max(each, key=lambda item: item.relative_error)


def _nearest(tensor: Tensor, by_name: Mapping[str, Tensor], known: set[str]) -> tuple[str, ...]:
    """Return the nearest tensors above one that were compared."""
    found, seen, waiting = [], set[str](), list(tensor.reads)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in known:
            found.append(name)
        elif name in by_name:
            waiting.extend(by_name[name].reads)
    return tuple(found)


def _outputs(one: Inner, other: Inner, inputs: Array, pairs: Mapping[str, str]) -> dict[str, Agreement]:
    names = [name for name in one.outputs if pairs.get(name, name) in other.outputs]
    if not names:
        return {}
    mine, theirs = one.run(names, inputs), other.run([pairs.get(name, name) for name in names], inputs)
    return {name: _agreement(mine[name], theirs[pairs.get(name, name)]) for name in names if name in mine}


def _side(path: str | Path) -> _Side:
    from edgepose.graph.lookup import QUANTIZED, load_onnx
    from edgepose.zoo import ZOO, zoo_model

    source = zoo_model(str(path)) if str(path) in ZOO and not Path(path).exists() else Path(path)
    if source.is_dir():
        manifest = read_manifest(source)
        return _Side(inner=inner_of(manifest.backend, source), spec=manifest.spec, precision=manifest.precision)
    if source.suffix != ".onnx" or not source.is_file():
        raise UsageError(f"{path} is no ONNX file, no engine folder and no zoo name")
    model = load_onnx(source)
    quantized = any(node.op_type in QUANTIZED for node in model.graph.node)
    precision = get_metadata(model, PRECISION_KEY) or ("int8" if quantized else "fp32")
    spec = embedded_spec(model, str(source)) if get_metadata(model, SPEC_KEY) else None
    return _Side(inner=OnnxInner(source), spec=spec, precision=precision)


def _crops(spec: ModelSpec, calib: str | None) -> Array:
    from edgepose.api.sample import sample_inputs

    return rounded_inputs(sample_inputs(spec, calib, CROPS))


def _noise(inner: Inner, path: str | Path) -> Array:
    """Return noise in the shape of an ONNX file's input, for two networks without a contract."""
    import numpy as np

    from edgepose.graph.lookup import graph_of, load_onnx

    if not isinstance(inner, OnnxInner):
        raise EdgeposeError(f"{path} has no contract; give an ONNX file first")
    model = load_onnx(Path(path))
    names = graph_of(model).inputs
    ports = [value for value in model.graph.input if value.name in names]
    axes = [axis.dim_value for axis in ports[0].type.tensor_type.shape.dim] if len(ports) == 1 else []
    if len(axes) < 2 or not all(axes[1:]):
        raise ModelError(
            f"{path} has no contract and no fixed input size, so that there is nothing to run it on; build an engine "
            "with --spec, and diagnose OUT/fp32.onnx"
        )
    return np.random.default_rng(0).normal(size=(CROPS, *axes[1:])).astype(np.float32)


def where_wrong(source: Path, backend: str, folder: Path, precision: str, inputs: Array) -> str:
    """Say where a new engine departs from the file that it was made from, as a clause for an error message.

    Args:
        source: The float ONNX file.
        backend: The backend of the engine.
        folder: The engine folder, which has no manifest yet.
        precision: The precision of the engine.
        inputs: Crops [N, ...].
    """
    try:
        found = part(OnnxInner(source), inner_of(backend, folder), inputs[:CROPS], precision=precision)
    except EdgeposeError as error:
        return f"its layers cannot be compared: {error}"
    if found.first is None:
        return "no single layer departs when layers are read one by one, so that their fusion is at fault"
    return found.describe()


def import_departure(source: Any, model: Any, inputs: Array) -> str:
    """Say where an imported graph departs from its file; see `where_wrong`."""
    found = part(OnnxInner(source), OnnxInner(model), inputs[:CROPS])
    return found.describe()
