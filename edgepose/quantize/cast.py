"""Cast a float32 network to float16. Its inputs and outputs stay float32.

The graph holds the precision, and engines compile what the graph says: initializers are float16, a Cast follows each
input and precedes each output, and Casts surround the nodes that stay in float32. These are the nodes that patterns
name, those that overflow or lose too much precision in float16, and those whose operator, constants or observed values
float16 does not hold (`float16.reasons`). With a sample of inputs, the half graph is compared with the float graph, and
more nodes stay in float32 where it departs (`float16.verify`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgepose.artifacts.spec import (
    KEPT_FLOAT_KEY,
    PARENT_KEY,
    PRECISION_KEY,
    ModelSpec,
    embed_spec,
    set_metadata,
)
from edgepose.graph.prepare import prepare
from edgepose.quantize.float16.reasons import reasons_for_float32
from edgepose.quantize.float16.runnable import with_what_does_not_run
from edgepose.quantize.float16.verify import settled
from edgepose.quantize.float16.view import view_of
from edgepose.quantize.float16.writer import cast_half
from edgepose.quantize.value_ranges import Sample, largest_values

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, kw_only=True)
class CastOptions:
    """Which nodes stay in float32.

    Attributes:
        keep_float: Names, or patterns of names (`names.matches`), of nodes that stay in float32, in addition to
            `quantize.keep_float32` of the contract.
        sensitive_float: Whether the operators of `float16.operators.SENSITIVE`, and the arithmetic between two of
            them, stay in float32.
    """

    keep_float: tuple[str, ...] = ()
    sensitive_float: bool = True


DEFAULT = CastOptions()


def to_fp16(
    model: onnx.ModelProto,
    spec: ModelSpec,
    parent_sha256: str,
    options: CastOptions = DEFAULT,
    ranges: Mapping[str, float] | None = None,
    sample: Sample | None = None,
) -> onnx.ModelProto:
    """Cast a float32 graph to float16.

    Args:
        model: The float32 graph, which is left as it is.
        spec: The contract to embed. Its `quantize.keep_float32` names nodes that stay in float32; its
            `quantize.keep_float` is about int8 and is not used.
        parent_sha256: Of the file that holds `model`.
        options: Which nodes stay in float32.
        ranges: The largest absolute value that was seen in each tensor, such as those of a scales.json.
        sample: Inputs to observe further values on, and to compare the half graph with the float graph on.

    Raises:
        ModelError: The graph is quantized, has tensors of unknown type, or departs in float16 whatever stays float32.
        UsageError: A pattern names no node.
    """
    prepared = prepare(model)
    view = view_of(prepared, merged_ranges(prepared, ranges, sample))
    kept = reasons_for_float32(view, patterns_of(spec, options), options.sensitive_float)
    if sample is not None:
        kept = with_what_does_not_run(view, kept, sample)
        kept = settled(view, kept, sample)
    made = cast_half(view, kept)
    embed_spec(made, spec)
    set_metadata(made, PARENT_KEY, parent_sha256)
    set_metadata(made, PRECISION_KEY, "fp16")
    set_metadata(made, KEPT_FLOAT_KEY, json.dumps(kept))
    return made


def patterns_of(spec: ModelSpec, options: CastOptions) -> tuple[str, ...]:
    """Return the patterns of the nodes that stay in float32 in every precision."""
    return tuple(dict.fromkeys((*spec.quantize.keep_float32, *options.keep_float)))


def merged_ranges(
    model: onnx.ModelProto, ranges: Mapping[str, float] | None, sample: Sample | None
) -> dict[str, float]:
    """Return the largest values known: those given and those observed on a sample."""
    known = dict(ranges or {})
    if sample is not None:
        for name, largest in largest_values(model, sample.inputs, sample.make_runner).items():
            known[name] = max(known.get(name, 0.0), largest)
    return known
