"""Judge a contract: what cannot be right about it, and what people of a data set say would be better."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgepose._progress import Track, quiet
from edgepose.api.sample import sample_inputs
from edgepose.artifacts.spec import read_toml
from edgepose.backends.engine import open_engine
from edgepose.backends.session import OpenOptions, Session
from edgepose.errors import DataError, SpecError, UsageError
from edgepose.graph.folder import is_published, network_file
from edgepose.recognize.candidate import GUESSED
from edgepose.recognize.kept import Recognition, recognition_of

TESTED = ("input.color", "input.mean", "input.std", "input.scale")
GUESS_PEOPLE = 80  # to test guesses on in a build: half of them choose, the other half confirms

if TYPE_CHECKING:
    import onnx

    from edgepose._checks import Array
    from edgepose.artifacts.spec import ModelSpec
    from edgepose.measure.comparison import Comparison
    from edgepose.measure.grid import GridMeasurement
    from edgepose.measure.plausible import Evidence, Finding


@dataclass(frozen=True, kw_only=True)
class ContractReport:
    """What is known for and against a contract.

    Attributes:
        findings: What cannot be right, errors first.
        comparison: The contract and its alternatives on the people of a data set; None without data, and for a network
            that finds people by itself.
        guesses: Values of the contract that no evidence states, one line each.
        grid: Where heatmap pixels lie in the crop, measured on mirrored crops; None where it cannot be measured.
        proposal: The line of the spec.toml to change, or "" where nothing is clearly better.
        lines: The report for a person, one line each.
    """

    findings: tuple[Finding, ...]
    comparison: Comparison | None
    proposal: str
    lines: tuple[str, ...]
    grid: GridMeasurement | None = None
    guesses: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing says that the contract cannot be right; it may still be unlikely."""
        return all(finding.severity != "error" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON value."""
        made: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return made


def check_contract(
    model: str | Path,
    spec: str | Path | None = None,
    data: str | None = None,
    *,
    people: int = 200,
    track: Track = quiet,
) -> ContractReport:
    """Judge the contract of a network.

    Args:
        model: An ONNX file, an engine folder, or a zoo name.
        spec: A spec.toml for an ONNX file that was trained elsewhere; None where the contract is inside.
        data: People as KIND:PATH[:SPLIT], never those of a test set. With labels the contract and the usual
            alternatives of color order, mean and std are compared by accuracy, without labels by the scores of the
            joints.
        people: The largest number of people to compare on.
        track: Shows the progress.

    Returns:
        The findings, the comparison and a proposal.

    Raises:
        SpecError: There is no contract, or it contradicts the network.
        ModelError: The network cannot be read or run.
        DataError: The data cannot be read, or has too few people.
        UsageError: A spec is given for something that carries its contract.

    Examples:
        >>> report = check_contract("net.onnx", "net.toml", "json:labels.json")
        >>> report.proposal
        'input = { color = "bgr", mean = [123.675, 116.28, 103.53], std = [58.395, 57.12, 57.375] }'
    """
    from edgepose.datasets.open import open_data
    from edgepose.measure.comparison import compare

    path = _model_path(model)
    opened = None if data is None else open_data(data)
    session: Session
    guesses: tuple[str, ...]
    if path.is_dir():
        if spec is not None:
            raise UsageError(f"--spec is for an ONNX trained elsewhere; {path} carries its contract")
        session, manifest = open_engine(path, OpenOptions())
        contract, found, grid = manifest.spec, _static(manifest.spec), None
        guesses = tuple(line.removeprefix("contract: ") for line in manifest.notes if GUESSED in line)
    else:
        from edgepose.backends.onnxruntime import OnnxRuntimeSession
        from edgepose.export.foreign import import_network

        made = import_network(path, None if spec is None else read_toml(Path(spec)))
        graph, contract, recognized = made.model, made.spec, recognition_of(made.model)
        guesses = () if recognized is None else tuple(recognized.lines()[1:])
        found, grid = judged(graph, contract, source=path if spec is not None else None, calib=data)
        session = OnnxRuntimeSession(graph.SerializeToString(), OpenOptions())
    with session:
        compared = None
        if opened is not None and not contract.codec.finds_people:
            compared = compare(session, contract, opened, people=people, track=track)
    return _report(found, compared, grid, guesses)


def is_network(name: str) -> bool:
    """Whether a name is that of an ONNX file or of a folder with one, and not of an engine.

    Args:
        name: What `check` was given.
    """
    path = Path(name)
    return is_published(path) or (path.suffix == ".onnx" and path.is_file())


def _model_path(model: str | Path) -> Path:
    from edgepose.zoo import ZOO, zoo_model

    path = Path(model)
    return zoo_model(str(model)) if str(model) in ZOO and not path.exists() else network_file(path)


def _static(spec: ModelSpec) -> tuple[Finding, ...]:
    """Return what speaks against a contract without running the network."""
    from edgepose.measure.plausible import Evidence, judge

    return judge(Evidence(spec=spec))


def _report(
    findings: tuple[Finding, ...], compared: Comparison | None, grid: GridMeasurement | None, guesses: tuple[str, ...]
) -> ContractReport:
    lines = [f"{finding.severity}: {finding.line()}" for finding in findings]
    lines += [] if compared is None else compared.lines()
    lines = lines or ["nothing speaks against the contract"]
    lines += [f"guess: {line}" for line in guesses]
    lines += [grid.line()] if grid is not None and grid.proposed is None else []
    proposed = None if compared is None else compared.proposed
    proposal = "" if proposed is None else proposed.toml()
    return ContractReport(
        findings=findings,
        comparison=compared,
        proposal=proposal,
        lines=tuple(lines),
        grid=grid,
        guesses=guesses,
    )


def judged(
    model: onnx.ModelProto,
    spec: ModelSpec,
    *,
    source: Path | None = None,
    calib: str | None = None,
    measure_grid: bool = True,
) -> tuple[tuple[Finding, ...], GridMeasurement | None]:
    """Return everything that speaks against a contract, errors first, and the grid of its heatmaps.

    The network is run on a few crops: calibration images where there are any, else rendered figures.

    Args:
        model: The float graph, with the contract's shapes.
        spec: The contract.
        source: The ONNX file that the graph was imported from, whose input may have a free size.
        calib: The calibration data KIND:PATH[:SPLIT], or None.
        measure_grid: Whether to measure the grid of heatmaps, for which the network is run on more crops.

    Raises:
        ModelError: The network cannot be run.
    """
    from edgepose.measure.plausible import judge

    evidence = _evidence(model, spec, source, calib)
    if measure_grid:
        evidence = replace(evidence, grid=measured_grid(model, spec, calib))
    return judge(evidence), evidence.grid


def tested_guesses(
    model: onnx.ModelProto, spec: ModelSpec, recognized: Recognition, calib: str, track: Track = quiet
) -> tuple[str, ...]:
    """Compare guessed color order, mean and std with the usual alternatives, and propose what is clearly better.

    The contract is not changed. With labels PCK is compared; without them, and for a network that finds people by
    itself, how sure the network is.

    Args:
        model: The float graph.
        spec: The contract.
        recognized: What was guessed about it.
        calib: The calibration data KIND:PATH[:SPLIT].
        track: Shows the progress.

    Returns:
        Lines for the user; none where no such value was guessed.
    """
    from edgepose.backends.onnxruntime import OnnxRuntimeSession
    from edgepose.datasets.open import open_data
    from edgepose.measure.comparison import compare

    if not any(guess.field in TESTED for guess in recognized.guesses):
        return ()
    with OnnxRuntimeSession(model.SerializeToString(), OpenOptions()) as session:
        try:
            found = compare(session, spec, open_data(calib), people=GUESS_PEOPLE, track=track)
        except DataError as error:
            return (f"contract: guesses were not tested: {error}",)
    if found.proposed is None:
        return ("contract: guesses tested: none of the usual alternatives of color, mean and std is clearly better",)
    lines = [*found.lines()[-2:], "`edgepose inspect NET.onnx --toml` writes the spec to change; pass it with --spec"]
    return tuple(f"contract: guesses tested: {line}" for line in lines)


def refuse_errors(findings: tuple[Finding, ...], where: str) -> tuple[str, ...]:
    """Return the warnings among findings as lines.

    Args:
        findings: What speaks against a contract.
        where: The network that the error names.

    Raises:
        SpecError: One of the findings is an error.
    """
    from edgepose.measure.plausible import ERROR

    for finding in findings:
        if finding.severity == ERROR:
            raise SpecError(f"{where}: {finding.line()}")
    return tuple(f"contract: {finding.line()}" for finding in findings)


def _evidence(model: onnx.ModelProto, spec: ModelSpec, source: Path | None, calib: str | None) -> Evidence:
    from edgepose.measure.plausible import Evidence

    crops = sample_inputs(spec, calib)
    outputs = _outputs(model, spec, crops)
    kind = "rendered figures" if calib is None else "calibration images"
    return Evidence(
        spec=spec,
        free_size=source is not None and _free_size(source),
        outputs=outputs,
        source=f"{len(crops)} {kind}",
    )


def measured_grid(model: onnx.ModelProto, spec: ModelSpec, calib: str | None = None) -> GridMeasurement | None:
    """Measure the grid of a heatmap network on people and their mirror images.

    Args:
        model: The float graph, with the contract's shapes.
        spec: The contract.
        calib: The calibration data KIND:PATH[:SPLIT]; None takes rendered figures.

    Returns:
        The measurement; None where the network gives no heatmaps or does not find the same joints twice.

    Raises:
        ModelError: The network cannot be run.
        DataError: The calibration data cannot be read, or it has no people.
    """
    from edgepose.codecs.heatmap import HeatmapCodec
    from edgepose.measure.grid import PEOPLE, measure_grid

    if not isinstance(spec.codec, HeatmapCodec):
        return None
    return measure_grid(lambda crops: _outputs(model, spec, crops)[0], spec, sample_inputs(spec, calib, PEOPLE))


def _outputs(model: onnx.ModelProto, spec: ModelSpec, crops: Array) -> tuple[Array, ...]:
    """Return the decoded outputs for crops, [N, ...] each."""
    from edgepose.backends.onnxruntime import make_runner

    runner = make_runner(model, spec.outputs)
    batch = runner.input_shape[0]
    step = batch if isinstance(batch, int) else 1
    parts = [runner.run(crops[i : i + step]) for i in range(0, len(crops) - step + 1, step)]
    return tuple(np.concatenate([part[name] for part in parts]) for name in spec.outputs[: len(spec.codec.decodes)])


def _free_size(source: Path) -> bool:
    """Whether the graph of an ONNX file takes images of any height and width."""
    from edgepose.export.ports import image_input
    from edgepose.graph.adapters.inputs import to_float
    from edgepose.graph.lookup import load_onnx

    return image_input(to_float(load_onnx(source)), str(source)).size == (None, None)
