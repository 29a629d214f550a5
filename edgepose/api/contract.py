"""Judge a contract: what cannot be right about it, and what labeled images say would be better."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgepose.api.sample import sample_inputs
from edgepose.errors import SpecError

if TYPE_CHECKING:
    import onnx

    from edgepose.artifacts.spec import ModelSpec
    from edgepose.measure.plausible import Evidence, Finding


def doubts(
    model: onnx.ModelProto, spec: ModelSpec, *, source: Path | None = None, calib: str | None = None
) -> tuple[Finding, ...]:
    """Return everything that speaks against a contract, errors first.

    The network is run on a few crops: calibration images where there are any, else rendered figures.

    Args:
        model: The float graph, with the contract's shapes.
        spec: The contract.
        source: The ONNX file that the graph was imported from, whose input may have a free size.
        calib: The calibration data KIND:PATH[:SPLIT], or None.

    Raises:
        ModelError: The network cannot be run.
    """
    from edgepose.measure.plausible import judge

    return judge(_evidence(model, spec, source, calib))


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
    from edgepose.backends.onnxruntime import make_runner
    from edgepose.measure.plausible import Evidence

    crops = sample_inputs(spec, calib)
    runner = make_runner(model, spec.outputs)
    batch = runner.input_shape[0]
    step = batch if isinstance(batch, int) else 1
    parts = [runner.run(crops[i : i + step]) for i in range(0, len(crops) - step + 1, step)]
    outputs = tuple(np.concatenate([part[name] for part in parts]) for name in spec.outputs[: len(spec.codec.decodes)])
    kind = "rendered figures" if calib is None else "calibration images"
    return Evidence(
        spec=spec, free_size=source is not None and _free_size(source), outputs=outputs, source=f"{len(crops)} {kind}"
    )


def _free_size(source: Path) -> bool:
    """Whether the graph of an ONNX file takes images of any height and width."""
    from edgepose.export.ports import image_input
    from edgepose.graph.lookup import load_onnx

    return image_input(load_onnx(source), str(source)).size == (None, None)
