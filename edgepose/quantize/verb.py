"""`quantize`: the verb that turns a float graph and its scales into an explicit Q/DQ graph."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgepose.artifacts.quantization import QuantizeOptions
from edgepose.artifacts.scales import Scales
from edgepose.artifacts.spec import (
    KEPT_FLOAT_KEY,
    NOTES_KEY,
    PARENT_KEY,
    PRECISION_KEY,
    ModelSpec,
    embed_spec,
    set_metadata,
)
from edgepose.graph.prepare import prepare
from edgepose.quantize.passes import run_passes
from edgepose.quantize.work import MakeRunner, Pass, Work

if TYPE_CHECKING:
    import onnx


def quantize(
    model: onnx.ModelProto,
    scales: Scales,
    spec: ModelSpec,
    options: QuantizeOptions | None = None,
    *,
    make_runner: MakeRunner | None = None,
    passes: Sequence[Pass] | None = None,
) -> onnx.ModelProto:
    """Return the float graph as an explicit Q/DQ graph; the model given is left as it is.

    Args:
        model: The float graph.
        scales: Fresh scales of it (`artifacts.scales.check_fresh`).
        spec: The network's contract.
        options: None takes the contract's.
        make_runner: For passes that run the network; see `work.Work`.
        passes: Instead of `passes.PASSES`.

    Raises:
        CalibrationError: A tensor has no usable scale.
        ModelError: The graph is quantized already or has nothing to quantize.
    """
    work = Work(
        model=prepare(model),
        spec=spec,
        options=spec.quantize if options is None else options,
        scales=scales,
        make_runner=make_runner,
    )
    done = run_passes(work, passes)
    assert done.placement is not None
    embed_spec(done.model, spec)
    set_metadata(done.model, PARENT_KEY, scales.onnx_sha256)
    set_metadata(done.model, PRECISION_KEY, "int8")
    set_metadata(done.model, KEPT_FLOAT_KEY, json.dumps(done.placement.kept_float))
    if done.notes:
        set_metadata(done.model, NOTES_KEY, json.dumps(done.notes))
    return done.model
