"""Refuse weights that are NaN or infinite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.errors import ModelError
from edgepose.graph.lookup import graph_of

if TYPE_CHECKING:
    import onnx

# An infinite constant is a weight that no network can compute with, unless it is a limit or masks a softmax.
MAY_BE_INFINITE = (
    "Add", "Cast", "CastLike", "Clip", "Concat", "ConstantOfShape", "Equal", "Expand", "Gather", "Greater", "Identity",
    "If", "Less", "Loop", "Max", "Min", "Pad", "Reshape", "Scan", "Slice", "Squeeze", "Sub", "Tile", "Transpose",
    "Unsqueeze", "Where", "Attention", "IsInf",
)  # fmt: skip


def refuse_not_finite(model: onnx.ModelProto) -> None:
    """Raise ModelError for the first constant that holds NaN, or an infinite value where a weight stands."""
    graph = graph_of(model)
    for name, tensor in graph.constants.items():
        readers = graph.readers.get(name, [])
        values = _floats(tensor) if readers else None
        if values is None or np.isfinite(values).all():
            continue
        count = int((~np.isfinite(values)).sum())
        node = readers[0][0]
        if np.isnan(values).any() or any(reader.op_type not in MAY_BE_INFINITE for reader, _ in readers):
            kind = "NaN" if np.isnan(values).any() else "infinite"
            raise ModelError(
                f"the weight {name!r} {list(tensor.dims)} of node {node.name or node.output[0]!r} ({node.op_type}) "
                f"has {count} values that are not finite ({kind}); train or export the network again"
            )


def _floats(tensor: onnx.TensorProto) -> Array | None:
    from onnx import TensorProto, numpy_helper

    kinds = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
    if tensor.data_type not in kinds:
        return None
    values = numpy_helper.to_array(tensor)
    return values.astype(np.float32) if tensor.data_type == TensorProto.BFLOAT16 else values
