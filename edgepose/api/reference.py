"""What a network computes: its original file in plain ONNX Runtime, to which graphs and engines are compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edgepose._checks import Array
from edgepose._progress import Note, silent
from edgepose.api.sample import sample_inputs
from edgepose.artifacts.acceptance import Acceptance, rounded_inputs
from edgepose.artifacts.spec import ModelSpec
from edgepose.errors import ModelError, one_line

if TYPE_CHECKING:
    import onnx


def reference_of(source: Path, spec: ModelSpec, calib: str | None = None, note: Note = silent) -> Acceptance:
    """Run a float network as its file is written, without graph optimizations, on a few crops.

    Args:
        source: The float ONNX file.
        spec: Its contract.
        calib: Calibration images KIND:PATH[:SPLIT]; None takes rendered figures.
        note: Receives a line where ONNX Runtime's graph optimizations change what the network computes.

    Returns:
        The crops, the outputs of the network and the joints decoded from them.

    Raises:
        ModelError: ONNX Runtime cannot run the file.
        DataError: The calibration data cannot be read, or it has no people.
    """
    from edgepose.measure.acceptance import CROPS, joints_of
    from edgepose.measure.agreement import compare

    inputs = rounded_inputs(sample_inputs(spec, calib, CROPS))
    outputs = plain_outputs(source, spec, inputs)
    optimized = plain_outputs(source, spec, inputs[:1], plain=False)
    for name, value in outputs.items():
        changed = compare(value[:1], optimized[name])
        if changed.problem("fp32"):
            note(
                f"{source}: ONNX Runtime's graph optimizations change output {name!r} ({changed.describe()}); engines "
                "are compared with the graph as it is written"
            )
    return Acceptance(inputs=inputs, outputs=outputs, joints=joints_of(spec, outputs))


def plain_outputs(
    graph: Path | onnx.ModelProto, spec: ModelSpec, inputs: Array, *, plain: bool = True
) -> Mapping[str, Array]:
    """Run a graph in ONNX Runtime, one crop at a time, and return the outputs of the contract.

    Args:
        graph: An ONNX file, whose weights may be in other files, or its content.
        spec: The contract.
        inputs: Crops [N, ...].
        plain: Whether graph optimizations are off.

    Raises:
        ModelError: ONNX Runtime cannot run the graph.
    """
    import numpy as np

    from edgepose.backends.onnxruntime import OnnxRuntimeSession, failures
    from edgepose.backends.session import OpenOptions

    source = graph if isinstance(graph, Path) else graph.SerializeToString()
    # a ValueError where the file states another shape of the image
    refusals: tuple[type[BaseException], ...] = (*failures(), ValueError)
    try:
        with OnnxRuntimeSession(source, OpenOptions(), plain=plain) as session:
            name = session.inputs[0]
            crops = inputs.astype(session.dtypes[name], copy=False)
            found = [session.run({name: crops[i : i + 1]}) for i in range(len(crops))]
    except refusals as error:
        where = graph if isinstance(graph, Path) else "the imported graph"
        raise ModelError(f"ONNX Runtime cannot run {where}: {one_line(error)}") from error
    missing = [name for name in spec.outputs if name not in found[0]]
    if missing:
        raise ModelError(f"the graph has no output {', '.join(missing)}; it has {', '.join(found[0])}")
    return {name: np.concatenate([one[name] for one in found]) for name in spec.outputs}
