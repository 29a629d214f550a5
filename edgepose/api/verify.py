"""Compare what each step of a build made with the original network: the import, the graphs and the engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgepose._files import sha256_file
from edgepose._progress import Note, silent
from edgepose.api.reference import plain_outputs, reference_of
from edgepose.artifacts.acceptance import Acceptance, rounded_inputs
from edgepose.artifacts.spec import ModelSpec
from edgepose.errors import BuildError, EdgeposeError, MissingPackage, ModelError
from edgepose.measure.acceptance import Examination, examined
from edgepose.measure.agreement import compare

if TYPE_CHECKING:
    import onnx

    from edgepose.api.graphs import Graphs

CROPS = 3  # of the comparison of a graph; engines are compared on all crops of the sample


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What the graphs and engines of a build are compared with.

    Attributes:
        source: The float ONNX file that was run.
        sample: The crops and what the network makes of them; None where it cannot be run here.
        snr_db: Precision -> the signal-to-noise ratio of each output of its graph.
    """

    source: Path
    sample: Acceptance | None
    snr_db: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def verify_import(
    source: Path,
    model: onnx.ModelProto,
    spec: ModelSpec,
    calib: str | None,
    note: Note,
    *,
    adapted: onnx.ModelProto | None = None,
) -> None:
    """Compare an imported graph with its file, both in plain ONNX Runtime.

    Args:
        source: The ONNX file.
        model: The imported graph.
        spec: Its contract.
        calib: Calibration images KIND:PATH[:SPLIT]; None takes rendered figures.
        note: Receives why the file cannot be compared, where ONNX Runtime cannot run it.
        adapted: The graph to compare with instead of the file, where the file has other inputs and outputs.

    Raises:
        BuildError: The graph computes something else; the message names the first tensor that departs.
    """
    from edgepose.api.sample import sample_inputs

    inputs = rounded_inputs(sample_inputs(spec, calib, CROPS))
    try:
        expected = plain_outputs(source if adapted is None else adapted, spec, inputs)
    except ModelError as error:
        note(f"not compared with the file that it was made from: {error}")
        return
    found = plain_outputs(model, spec, inputs)
    for name, value in expected.items():
        wrong = compare(value, found[name]).problem("fp32")
        if wrong:
            from edgepose.api.diagnose import import_departure

            raise BuildError(
                f"{source}: the imported graph does not compute what the file computes: output {name!r}: {wrong}; "
                f"{import_departure(source if adapted is None else adapted, model, inputs)}. Simplify the graph with "
                "onnxslim, or export it again"
            )


def verify_graphs(
    graphs: Graphs, source: Path, spec: ModelSpec, calib: str | None, note: Note = silent
) -> tuple[Graphs, Reference]:
    """Compare the graph of each precision with the original network, in plain ONNX Runtime.

    A graph of a reduced precision that cannot be right stays for `edgepose diagnose`; no engine is made of it.

    Args:
        graphs: The files.
        source: The file that the network came in, or its copy.
        spec: The contract.
        calib: Calibration images KIND:PATH[:SPLIT]; None takes rendered figures.
        note: Receives the signal-to-noise ratio of each precision, what is doubtful, and what was not compared.

    Returns:
        The graphs, those that cannot be right in `failed`; and what engines are to be compared with.

    Raises:
        BuildError: The FP32 graph does not compute what the original network computes.
    """
    fp32 = graphs.paths["fp32"]
    sample = _sample(source, fp32, spec, calib, note)
    if sample is None:
        return graphs, Reference(source=fp32, sample=None)
    few = sample.first(CROPS)
    paths, failed, ratios = dict(graphs.paths), dict(graphs.failed), dict[str, dict[str, float]]()
    for precision, path in graphs.paths.items():
        if precision == "fp32":
            continue
        found = examine_graph(path, spec, few)
        problem = found.problem(precision)
        if problem is not None:
            failed[precision] = BuildError(f"{path} is wrong: {problem}. {_remedy(precision, fp32, path)}")
            del paths[precision]
            continue
        ratios[precision] = found.snr_db()
        note(f"{precision}: {found.describe()} (against float, on {found.count} crops)")
        for text in found.warnings(precision):
            note(f"{precision}: {text}. {_remedy(precision, fp32, path)}")
    return replace(graphs, paths=paths, failed=failed), Reference(source=source, sample=sample, snr_db=ratios)


def examine_graph(path: Path, spec: ModelSpec, sample: Acceptance) -> Examination:
    """Compare what a graph computes in plain ONNX Runtime with what the float network computes.

    Args:
        path: The graph.
        spec: The contract.
        sample: The crops, and what the float network makes of them.

    Raises:
        ModelError: ONNX Runtime cannot run the graph.
    """
    return examined(plain_outputs(path, spec, sample.inputs), spec, sample)


def failure(failed: Mapping[str, EdgeposeError], made: Sequence[str]) -> EdgeposeError:
    """Return one error about all that failed, which is the error itself where nothing else was asked for.

    Args:
        failed: What failed (an engine or a precision) -> why.
        made: What did not fail.
    """
    errors = list(failed.values())
    if len(failed) == 1 and not made:
        return errors[0]
    by_text: dict[str, list[str]] = {}
    for name, error in failed.items():
        by_text.setdefault(str(error), []).append(name)
    reasons = "; ".join(f"{', '.join(names)}: {text}" for text, names in by_text.items())
    kept = f" (built: {', '.join(made)})" if made else ""
    kinds = {type(error) for error in errors}
    kind = kinds.pop() if len(kinds) == 1 else BuildError
    return kind(f"{len(failed)} of {len(failed) + len(made)} engines could not be built{kept}: {reasons}")


def _sample(source: Path, fp32: Path, spec: ModelSpec, calib: str | None, note: Note) -> Acceptance | None:
    """Run the original network, or its imported copy where ONNX Runtime cannot run the original."""
    for path in (source, fp32):
        try:
            return reference_of(path, spec, calib, note)
        except MissingPackage as error:
            note(f"what the graphs and engines compute was not checked: {error}")
            return None
        except ModelError as error:
            if path == fp32 or sha256_file(source) == sha256_file(fp32):
                note(f"what the graphs and engines compute was not checked: {error}")
                return None
    return None


def _remedy(precision: str, fp32: Path, path: Path) -> str:
    more = "" if precision == "fp16" else ", or calibrate on other images"
    how = f"keep that layer in float with --keep-float{more}"
    return f"See which layer loses most with: edgepose diagnose {fp32} {path}; {how}"
