"""Write sparse constants as dense ones, which every runtime reads."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edgepose._checks import Array
from edgepose.errors import ModelError
from edgepose.graph.importing.step import ImportPass, listed
from edgepose.graph.lookup import copied

if TYPE_CHECKING:
    import onnx


def make_dense(model: onnx.ModelProto) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Return a copy without sparse initializers."""
    from onnx import numpy_helper

    if not model.graph.sparse_initializer:
        return model, ()
    made = copied(model)
    for sparse in model.graph.sparse_initializer:
        made.graph.initializer.append(numpy_helper.from_array(_dense(sparse), sparse.values.name))
    del made.graph.sparse_initializer[:]
    return made, tuple(sparse.values.name for sparse in model.graph.sparse_initializer)


def _dense(sparse: onnx.SparseTensorProto) -> Array:
    from onnx import numpy_helper

    values, indices = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
    shape = tuple(sparse.dims)
    flat = np.zeros(math.prod(shape), values.dtype)
    try:
        flat[np.ravel_multi_index(tuple(indices.T), shape) if indices.ndim == 2 else indices] = values
    except (IndexError, ValueError) as error:
        raise ModelError(f"the sparse constant {sparse.values.name!r} has wrong indices; export it dense") from error
    return flat.reshape(shape)


SPARSE = ImportPass(
    name="sparse", run=make_dense, describe=lambda names: f"sparse constants were made dense: {listed(names)}"
)
